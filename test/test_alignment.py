"""Scale and shift of what knows no metres, from depths that are known."""

import numpy as np
import pytest

from mono_depth_ros import Anchors, Prediction, fuse
from mono_depth_ros.alignment import NotMetricError, align
from mono_depth_ros.fusion import in_metres


def relative(kind: str, metres: np.ndarray) -> Prediction:
    """What a network of this kind says of a scene."""
    values = 3 / metres - 1 if kind == "disparity" else 0.5 * metres + 2
    return Prediction(values.astype(np.float32), kind=kind)


@pytest.mark.parametrize("kind", ["relative", "disparity"])
def test_scale_and_shift_are_found_among_outliers(kind):
    rng = np.random.default_rng(1)
    metres = rng.uniform(0.5, 8, (40, 60))
    v, u = rng.integers(0, 40, 60), rng.integers(0, 60, 60)
    depth = metres[v, u] * np.exp(0.02 * rng.standard_normal(60))
    depth[:8] *= 3
    found = align(relative(kind, metres), u, v, depth, np.full(60, 0.02))
    np.testing.assert_allclose(found.depth, metres, rtol=0.1)
    assert found.kind == "metres" and 0.02 < found.sigma.min() and np.median(found.sigma) < 0.3


@pytest.mark.parametrize("kind", ["relative", "disparity"])
def test_what_falls_where_the_known_depths_rise_is_refused(kind):
    metres = np.linspace(1, 5, 60)[None]
    wrong = Prediction(-relative(kind, metres).depth, kind=kind)
    with pytest.raises(NotMetricError, match="falls where the known depths say it rises"):
        align(wrong, np.array([5, 50]), np.array([0, 0]), metres[0, [5, 50]], np.full(2, 0.02))


@pytest.mark.parametrize("kind", ["relative", "disparity"])
def test_a_fit_is_unsure_far_from_what_it_was_fitted_to(kind):
    """Points on a wall 2 to 2.2 m away tell little of what is at 8 m."""
    metres = np.concatenate([np.linspace(2, 2.2, 100), [8.0]])[None]
    u, noise = np.arange(0, 100, 5), np.random.default_rng(0).normal(0, 0.02, 20)
    found = align(relative(kind, metres), u, np.zeros(20, int), metres[0, u] * np.exp(noise), np.full(20, 0.02))
    assert found.sigma[0, 50] < 0.3 and found.sigma[0, 100] > 2 * found.sigma[0, 50]
    assert abs(np.log(found.depth[0, 100] / 8)) < 3 * found.sigma[0, 100]


def test_bounds_and_what_is_outside_give_no_scale():
    metres = np.linspace(1, 5, 60)[None] * np.ones((20, 1))
    anchors = Anchors(u=[3, 30, 90], v=[2, 9, 9], depth=[9, 2, 2], sigma=[0.02] * 3, bound=[1, 0, 0])
    with pytest.raises(NotMetricError, match="found 1 depths that are known"):
        fuse(relative("disparity", metres), anchors)


def test_what_has_metres_stays_as_it_is():
    prediction = Prediction(np.ones((4, 4), np.float32))
    assert in_metres(prediction, Anchors(*np.empty((4, 0)))) is prediction
