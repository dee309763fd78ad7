"""REP-117: what is too near, too far, too unsure or unseen is marked, and a depth stays what it is."""

import numpy as np
import pytest

from mono_depth_ros.camera import Rectifier
from mono_depth_ros.prediction import Prediction, confidence
from mono_depth_ros.ros.gates import Gates
from test.scenes import LENSES

NAN, INF = np.nan, np.inf
DEPTHS = [[0.1, 0.3, 1.0, 9.99, 10.0, 10.1, NAN, INF, -INF, 0.0]]


def gated(depth=DEPTHS, sigma=None, **limits):
    """Depth and sigma after the gates."""
    depth = np.array(depth, np.float32)
    sigma = None if sigma is None else np.array(sigma, np.float32)
    Gates().apply(Prediction(depth, sigma), **limits)
    return depth, sigma


def test_near_and_far_are_infinite_and_nan_stays():
    depth, _ = gated(nearest=0.3, farthest=10.0)
    expected = [[-INF, 0.3, 1.0, 9.99, 10.0, INF, NAN, INF, -INF, -INF]]
    np.testing.assert_array_equal(depth, np.array(expected, np.float32))


def test_zero_is_no_depth_whatever_the_range():
    assert gated(nearest=0.0, farthest=10.0)[0][0, 9] == -INF


def test_less_than_the_minimum_of_confidence_is_nan():
    """Confidence is a half at sigma = sqrt(2) ln 1.25 / ln 2 = 0.4553."""
    limits = {"farthest": 10.0, "min_confidence": 0.5}
    depth, sigma = gated([[1.0, 2.0, 3.0, 11.0]], [[0.456, 0.455, 0.0, 9.0]], **limits)
    np.testing.assert_array_equal(depth, np.array([[NAN, 2.0, 3.0, NAN]], np.float32))
    np.testing.assert_array_equal(sigma, np.array([[0.456, 0.455, 0.0, 9.0]], np.float32))
    with pytest.raises(ValueError, match="predicts no confidence"):
        gated([[1.0]], **limits)


def test_nothing_is_known_of_what_the_lens_has_not_seen():
    seen = Rectifier(LENSES["plumb_bob"]).valid_mask
    depth, sigma = gated(np.full(seen.shape, 2.0), np.full(seen.shape, 0.1), seen=seen)
    assert 0.5 < seen.mean() < 1
    np.testing.assert_array_equal(np.isnan(depth), ~seen)
    np.testing.assert_array_equal(confidence(sigma) > 0, seen)


def test_the_valid_share_counts_finite_depths_of_any_size():
    gates = Gates()
    assert gates.valid_share(np.array(DEPTHS, np.float32)) == 0.7
    assert gates.valid_share(np.array([[NAN, 1.0], [INF, -INF]], np.float32)) == 0.25
    assert gates.valid_share(np.full((3, 3), np.finfo(np.float32).max, np.float32)) == 1.0
