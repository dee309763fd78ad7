"""Anchors correct a prediction: held against a dense Gaussian process, by properties, and on a scene of exact truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mono_depth_ros import Anchors, CameraModel, fuse
from mono_depth_ros.fusion import MOST_ANCHORS, Prior, fuse_and_report
from mono_depth_ros.prediction import Prediction
from test.conftest import fuzz
from test.scenes import ROOM, cast, rays_of

EXACT = Prior(registration=0.0, slip=0.0)
NARROW = Prior(reach=0.05, registration=0.0, slip=0.0)


def smooth_prediction(height: int = 120, width: int = 160) -> Prediction:
    """A floor-like ramp from 4 m at the top to 1.5 m, with a box 1 m in front of it, and a sigma of 0.2."""
    v, u = np.mgrid[:height, :width] / width
    depth = 4 - 2.5 * v * width / height + 0.3 * u
    depth[height // 4 : height // 2, width // 4 : width // 2] -= 1
    return Prediction(depth.astype(np.float32), np.full((height, width), 0.2, np.float32))


def anchors_at(depth: np.ndarray, u, v, factor=1.0, sigma=0.02, **others) -> Anchors:
    """Anchors at (u, v) whose depth is ``factor`` times that of the map."""
    u, v = np.atleast_1d(u), np.atleast_1d(v)
    return Anchors(u, v, depth[v, u] * factor, np.full(u.shape, sigma), **others)


def spread_anchors(prediction: Prediction, number: int, factor=1.0, seed=0, **others) -> Anchors:
    """Anchors at random pixels; ``factor`` is a number or a map (H, W)."""
    rng = np.random.default_rng(seed)
    height, width = prediction.depth.shape
    u, v = rng.integers(width, size=number), rng.integers(height, size=number)
    return anchors_at(prediction.depth * np.asarray(factor, np.float32), u, v, **others)


def dense_correction(log_depth: np.ndarray, anchors: Anchors, prior: Prior) -> np.ndarray:
    """The textbook's posterior mean of ln depth's residual at every pixel, pixel by pixel and anchor by anchor."""

    def kernel(p: tuple, q: tuple) -> float:
        across = math.hypot(p[0] - q[0], p[1] - q[1]) / (prior.reach * max(log_depth.shape))
        return prior.spread**2 * math.exp(-math.hypot(across, (p[2] - q[2]) / prior.depth_reach))

    places = [(u, v, float(log_depth[int(v), int(u)])) for u, v in zip(anchors.u, anchors.v, strict=True)]
    residual = [math.log(z) - p[2] for z, p in zip(anchors.depth, places, strict=True)]
    covariance = np.array([[kernel(p, q) for q in places] for p in places]) + np.diag(anchors.sigma**2)
    gain = np.linalg.solve(covariance, residual)
    height, width = log_depth.shape
    rows = [[(u, v, float(log_depth[v, u])) for u in range(width)] for v in range(height)]
    return np.array([[sum(kernel(x, p) * g for p, g in zip(places, gain, strict=True)) for x in row] for row in rows])


def test_equals_a_dense_process():
    prediction = smooth_prediction(60, 80)
    v, u = np.mgrid[:60, :80]
    anchors = spread_anchors(prediction, 12, np.exp(0.2 * np.sin(u / 30) + 0.1 * np.cos(v / 20)), sigma=0.05)
    found = np.log(fuse(prediction, anchors, EXACT).depth / prediction.depth)
    expected = dense_correction(np.log(prediction.depth), anchors, EXACT)
    assert np.abs(expected).max() > 0.15
    assert np.abs(found - expected).mean() < 0.003  # the knots of the grid are interpolated linearly
    assert np.abs(found - expected).max() < 0.03


def test_meets_an_anchor_without_noise():
    prediction = smooth_prediction()
    anchors = spread_anchors(prediction, 10, 1.3, sigma=0.0)
    fused = fuse(prediction, anchors, EXACT)
    u, v = anchors.u.astype(int), anchors.v.astype(int)
    np.testing.assert_allclose(fused.depth[v, u], anchors.depth, rtol=0.02)
    assert (fused.sigma[v, u] < 0.5 * prediction.sigma[v, u]).all()


def test_far_from_every_anchor_nothing_changes():
    prediction = smooth_prediction()
    fused = fuse(prediction, anchors_at(prediction.depth, 20, 20, 1.3), NARROW)
    np.testing.assert_allclose(fused.depth[60:, 80:], prediction.depth[60:, 80:], rtol=1e-3)
    np.testing.assert_allclose(fused.sigma[60:, 80:], prediction.sigma[60:, 80:], rtol=1e-3)
    assert fused.depth[20, 20] > 1.2 * prediction.depth[20, 20]


def test_without_anchors_it_is_the_prediction():
    prediction = smooth_prediction()
    fused, reports = fuse_and_report(prediction, Anchors(*np.empty((4, 0))))
    np.testing.assert_array_equal(fused.depth, prediction.depth)
    np.testing.assert_array_equal(fused.sigma, prediction.sigma)
    assert not np.shares_memory(fused.depth, prediction.depth)
    assert reports == {}


def test_one_anchor_carries_the_scale_of_the_view():
    prediction = smooth_prediction()
    fused = fuse(prediction, anchors_at(prediction.depth, 80, 90, 1.25))
    ratio = fused.depth / prediction.depth
    assert ratio[90, 80] == pytest.approx(1.25, abs=0.03)
    assert ratio.min() > 1.03


def test_the_correction_has_the_edges_of_the_prediction():
    prediction = smooth_prediction()
    near = anchors_at(prediction.depth, [60, 70], [40, 50], 1.3)
    far = anchors_at(prediction.depth, [60, 100, 20], [80, 40, 40], 0.9)
    fused = fuse(prediction, Anchors.together([near, far]), Prior(depth_reach=0.2))
    ratio = fused.depth / prediction.depth
    assert ratio[40, 78] > 1.1 > 1 > ratio[40, 81]  # the box ends between these columns


@given(st.permutations(range(30)))
def test_the_order_of_anchors_makes_no_difference(order):
    prediction = smooth_prediction(24, 32)
    anchors = spread_anchors(prediction, 30, np.linspace(0.8, 1.3, 32))
    one, other = fuse(prediction, anchors), fuse(prediction, anchors[np.array(order)])
    np.testing.assert_allclose(other.depth, one.depth, rtol=1e-4)
    np.testing.assert_allclose(other.sigma, one.sigma, rtol=1e-3)


ANYTHING = st.one_of(st.floats(width=32), st.sampled_from([0.0, -1.0, 1.0, 1e-30, 1e30, math.nan, math.inf, -math.inf]))
ANCHOR = st.tuples(
    st.one_of(ANYTHING, st.floats(-5, 40)),
    st.one_of(ANYTHING, st.floats(-5, 30)),
    st.one_of(ANYTHING, st.floats(0.1, 10)),
    st.one_of(ANYTHING, st.floats(0, 0.3)),
    st.one_of(ANYTHING, st.floats(0, 10)),
    st.sampled_from([-1, 0, 1]),
)


@fuzz(100)
@given(st.lists(ANCHOR, max_size=40))
def test_whatever_the_anchors_the_depth_is_finite_and_each_anchor_is_counted(rows):
    prediction = smooth_prediction(24, 32)
    u, v, depth, sigma, radius, bound = np.array(rows, np.float64).reshape(-1, 6).T
    fused, reports = fuse_and_report(prediction, Anchors(u, v, depth, sigma, radius, bound.astype(int)))
    assert np.isfinite(fused.depth).all() and (fused.depth > 0).all()
    assert np.isfinite(fused.sigma).all() and (fused.sigma >= 0).all()
    assert sum(report.used + sum(report.dropped.values()) for report in reports.values()) == len(rows)


@pytest.mark.parametrize("claim", [1e-45, 1e45])
def test_impossible_depths_that_agree_leave_a_depth_that_is_finite_and_above_0(claim):
    u, v = (np.ravel(x) for x in np.meshgrid(np.arange(0.0, 32, 2), np.arange(0.0, 24, 2)))
    fused = fuse(smooth_prediction(24, 32), Anchors(u, v, np.full(192, claim), np.full(192, 1e-3)))
    assert np.isfinite(fused.depth).all() and (fused.depth > 0).all() and np.isfinite(fused.sigma).all()


def test_an_anchor_given_twice_makes_nothing_more_certain():
    prediction = smooth_prediction()
    once = spread_anchors(prediction, 10, 1.2)
    twice, reports = fuse_and_report(prediction, Anchors.together([once, once]))
    single = fuse(prediction, once)
    np.testing.assert_allclose(twice.sigma, single.sigma, rtol=1e-3)
    np.testing.assert_allclose(twice.depth, single.depth, rtol=1e-3)
    assert sum(report.used for report in reports.values()) == 10


def test_many_anchors_are_thinned_evenly():
    prediction = smooth_prediction()
    _, reports = fuse_and_report(prediction, spread_anchors(prediction, 5000, 1.2))
    assert MOST_ANCHORS / 2 < reports[0].used <= MOST_ANCHORS
    assert reports[0].dropped["crowded"] > 1000


def test_of_anchors_on_one_pixel_the_nearest_is_seen():
    prediction = smooth_prediction()
    behind = anchors_at(prediction.depth, 50, 90, 2.0)
    before = anchors_at(prediction.depth, 50, 90, 1.1)
    fused, reports = fuse_and_report(prediction, Anchors.together([behind, before]))
    assert fused.depth[90, 50] == pytest.approx(1.1 * prediction.depth[90, 50], rel=0.03)
    assert reports[0].dropped == {"occluded": 1} and reports[1].used == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"depth": math.nan}, "invalid"),
        ({"depth": 0.0}, "invalid"),
        ({"depth": math.inf}, "invalid"),
        ({"sigma": math.nan}, "invalid"),
        ({"sigma": -0.1}, "invalid"),
        ({"u": math.nan}, "invalid"),
        ({"u": -3.0}, "outside"),
        ({"v": 120.0}, "outside"),
    ],
)
def test_an_anchor_that_says_nothing_is_dropped_for_a_reason(change, reason):
    prediction = smooth_prediction()
    values = {"u": 80.0, "v": 60.0, "depth": 2.0, "sigma": 0.02} | change
    fused, reports = fuse_and_report(prediction, Anchors(**{name: np.array([x]) for name, x in values.items()}))
    np.testing.assert_array_equal(fused.depth, prediction.depth)
    assert reports[0].used == 0 and reports[0].dropped == {reason: 1}


def test_gross_outliers_are_contradicted():
    prediction = smooth_prediction()
    good = spread_anchors(prediction, 60, 1.2)
    bad = spread_anchors(prediction, 9, np.random.default_rng(1).choice([0.3, 3.0], (120, 160)), seed=5)
    fused, reports = fuse_and_report(prediction, Anchors.together([good, bad]))
    assert np.median(np.abs(fused.depth / (1.2 * prediction.depth) - 1)) < 0.01
    assert reports[1].dropped.get("contradicted", 0) >= 8
    assert reports[0].used >= 55


def wide_beam(depth: np.ndarray, u: int, v: int, radius: int) -> float:
    """What a rangefinder reports: (sum 1/z) / (sum 1/z^2) over every pixel of its disc."""
    rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]]
    inverse = 1 / depth[np.hypot(columns - u, rows - v) <= radius]
    return inverse.sum() / (inverse**2).sum()


def test_a_wide_beam_that_agrees_changes_nothing():
    prediction = smooth_prediction()
    u, v, radius = 80, 45, 25  # half of the cone is on the box
    reading = wide_beam(prediction.depth, u, v, radius)
    assert reading < 0.9 * prediction.depth[v, u]  # taken for the centre's depth, it would be wrong
    anchor = Anchors(np.array([u]), np.array([v]), np.array([reading]), np.array([0.02]), radius=radius)
    ratio = fuse(prediction, anchor).depth / prediction.depth
    assert np.abs(ratio - 1).max() < 0.03


def test_a_wide_beam_scales_what_its_cone_sees():
    prediction = smooth_prediction()
    reading = 1.2 * wide_beam(prediction.depth, 80, 45, 25)
    anchor = Anchors(np.array([80]), np.array([45]), np.array([reading]), np.array([0.02]), radius=25)
    fused = fuse(prediction, anchor)
    assert wide_beam(fused.depth, 80, 45, 25) == pytest.approx(reading, rel=0.04)


@pytest.mark.parametrize(("bound", "factor"), [(1, 0.8), (-1, 1.25)])
def test_a_bound_that_holds_changes_nothing(bound, factor):
    prediction = smooth_prediction()
    fused, reports = fuse_and_report(prediction, anchors_at(prediction.depth, 80, 90, factor, bound=bound))
    np.testing.assert_array_equal(fused.depth, prediction.depth)
    assert reports[0].dropped == {"satisfied": 1}


@pytest.mark.parametrize(("bound", "factor"), [(1, 1.3), (-1, 0.75)])
def test_a_bound_that_is_broken_moves_the_depth_to_it(bound, factor):
    prediction = smooth_prediction()
    fused = fuse(prediction, anchors_at(prediction.depth, 80, 90, factor, bound=bound))
    assert fused.depth[90, 80] / prediction.depth[90, 80] == pytest.approx(factor, rel=0.03)


def test_a_smaller_image_of_the_same_view_gets_the_same_correction():
    large = smooth_prediction(480, 640)
    small = Prediction(large.depth[2::4, 2::4].copy(), large.sigma[2::4, 2::4].copy())
    anchors = spread_anchors(small, 30, np.linspace(0.8, 1.3, 160))
    enlarged = Anchors(4 * anchors.u + 2, 4 * anchors.v + 2, anchors.depth, anchors.sigma)
    one, other = fuse(small, anchors), fuse(large, enlarged)
    np.testing.assert_allclose(other.depth[2::4, 2::4], one.depth, rtol=0.02)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"found depth of shape \(2,\), expected \(3,\)"):
        Anchors(np.zeros(3), np.zeros(3), np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match=r"found u of shape \(\)"):
        Anchors(np.float64(1), np.zeros(3), np.ones(3), np.ones(3))


def test_a_room_of_exact_truth_seen_wrong_becomes_right_and_says_how_sure_it_is():
    camera = CameraModel(320, 240, 260.0, 260.0, 160.0, 120.0)
    truth, _ = cast(rays_of(camera), ROOM)
    v, u = np.mgrid[:240, :320]
    error = 0.25 * np.sin(u / 90 + 1) * np.cos(v / 110) + 0.15 * np.log(truth / 2)
    prediction = Prediction((truth * np.exp(error)).astype(np.float32), np.full(truth.shape, 0.25, np.float32))
    rng = np.random.default_rng(0)
    column, row = rng.integers(320, size=100), rng.integers(240, size=100)
    anchors = anchors_at(truth * np.exp(0.02 * rng.standard_normal(truth.shape)), column, row)
    fused = fuse(prediction, anchors)
    before, after = (np.abs(depth / truth - 1).mean() for depth in (prediction.depth, fused.depth))
    assert after < 0.2 * before
    inside = np.abs(np.log(fused.depth / truth)) < 1.645 * fused.sigma
    assert inside.mean() > 0.9
    assert fused.sigma.mean() < 0.5 * prediction.sigma.mean()
