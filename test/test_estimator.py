"""Metric depth and confidence from images: worked numbers on a flat network, real backends on real frames."""

import math
import tracemalloc
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mono_depth_ros import CameraModel, DepthEstimator, Prediction
from mono_depth_ros.backends import BackendError, NotFiniteError
from mono_depth_ros.backends.machine import detect
from mono_depth_ros.checkpoint import Checkpoint, CheckpointError, CheckpointInfo
from mono_depth_ros.estimator import MIN_DEPTH, network_size

INFO = CheckpointInfo({}, (480, 640), 500.0, 10.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
LENS_500 = CameraModel(640, 480, 500.0, 500.0, 320.0, 240.0)


@dataclass
class Flat:
    """A network that sees the same canonical depth and error everywhere."""

    depth: float = 2.0
    log_error: float | None = -2.0
    name: str = "flat"
    device: str = "cpu"
    precision: str = "fp32"

    def infer(self, rgb, size):
        return tuple(
            None if value is None else np.full(size, value, np.float32) for value in (self.depth, self.log_error)
        )


def flat_estimator(tmp_path="", **options):
    return DepthEstimator(Checkpoint(tmp_path, INFO, ""), Flat(**options))


def image(height=480, width=640):
    stripes = (np.arange(width) * 8 // width % 2 * 200).astype(np.uint8)  # of one colour, it would show nothing
    return np.broadcast_to(stripes[:, None], (height, width, 3)).copy()


# --- Metric scale


@pytest.mark.parametrize(
    ("camera", "depth"),
    [
        (LENS_500, 2.0),
        (CameraModel(640, 480, 250.0, 250.0, 320.0, 240.0), 1.0),  # Half the focal length: everything is half as far.
        (CameraModel(640, 480, 1000.0, 250.0, 320.0, 240.0), 2.0),  # Geometric mean 500.
        (CameraModel(1280, 960, 1000.0, 1000.0, 640.0, 480.0), 2.0),  # The same lens, more pixels.
        (CameraModel(320, 240, 250.0, 250.0, 160.0, 120.0), 2.0),
        (None, 2.0),
    ],
)
def test_depth_is_scaled_by_the_focal_length(camera, depth):
    height, width = (480, 640) if camera is None else (camera.height, camera.width)
    prediction = flat_estimator().predict(image(height, width), camera)
    assert prediction.depth.shape == (height, width)
    np.testing.assert_allclose(prediction.depth, depth, rtol=1e-5)


def test_without_a_camera_the_longer_side_spans_the_canonical_field_of_view():
    """16:9 at 1280 px: f = 500 * 1280 / 640 = 1000 px, of an image shown to the network at 736 x 416."""
    depth = flat_estimator().predict(image(720, 1280)).depth
    expected = 2.0 * 1000.0 * math.sqrt(736 / 1280 * 416 / 720) / 500.0
    np.testing.assert_allclose(depth, expected, rtol=1e-5)
    upright = flat_estimator().predict(image(1280, 720)).depth
    np.testing.assert_allclose(upright, expected, rtol=1e-5)


@given(factor=st.floats(0.3, 3.0))
@settings(deadline=None, max_examples=30)
def test_twice_the_focal_length_is_twice_the_depth(factor):
    estimator = flat_estimator()
    camera = CameraModel(640, 480, 500.0 * factor, 500.0 * factor, 320.0, 240.0)
    np.testing.assert_allclose(estimator.predict(image(), camera).depth, 2.0 * factor, rtol=1e-5)


@pytest.mark.parametrize(("canonical", "depth"), [(1e9, 5.0), (10.0, 5.0), (0.0, MIN_DEPTH), (-3.0, MIN_DEPTH)])
def test_depth_stays_within_the_network_range_for_this_lens(canonical, depth):
    half = CameraModel(640, 480, 250.0, 250.0, 320.0, 240.0)
    np.testing.assert_allclose(flat_estimator(depth=canonical).predict(image(), half).depth, depth, rtol=1e-6)


# --- Confidence


@pytest.mark.parametrize(
    ("log_error", "confidence"),
    [(math.log(math.log(1.25)), 1 - math.exp(-1)), (math.log(0.1), 0.8926258), (100.0, 0.0), (-100.0, 1.0)],
)
@pytest.mark.parametrize("size", [(480, 640), (240, 320)])
def test_confidence_is_the_probability_to_be_within_a_quarter(log_error, confidence, size):
    found = flat_estimator(log_error=log_error).predict(image(*size)).confidence
    assert found.shape == size and found.min() >= 0 and found.max() <= 1
    np.testing.assert_allclose(found, confidence, atol=1e-6)


def test_sigma_is_the_standard_deviation_of_laplaces_distribution():
    found = flat_estimator(log_error=math.log(0.1)).predict(image()).sigma
    np.testing.assert_allclose(found, np.std(np.random.default_rng(0).laplace(0, 0.1, 10**6)), rtol=0.01)


def test_sigma_is_left_out_where_nobody_knows_or_asks():
    assert flat_estimator(log_error=None).predict(image()).sigma is None
    out = Prediction(np.empty((480, 640), np.float32))
    assert flat_estimator().predict(image(), out=out).sigma is None


# --- Sizes


@given(height=st.integers(1, 8192), width=st.integers(1, 8192), rows=st.integers(1, 40), columns=st.integers(1, 40))
def test_the_network_gets_about_as_many_pixels_as_agreed(height, width, rows, columns):
    budget = (32 * rows, 32 * columns)
    h, w = network_size(height, width, budget)
    assert h % 32 == w % 32 == 0 and min(h, w) >= 32
    assert h * w <= 2.5 * budget[0] * budget[1]
    if min(h, w) >= 128:
        assert (w / h) / (width / height) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize(
    ("image_size", "budget", "expected"),
    [
        ((480, 640), (480, 640), (480, 640)),
        ((720, 1280), (480, 640), (416, 736)),
        ((1280, 720), (480, 640), (736, 416)),
        ((1080, 1920), (240, 320), (192, 384)),
        ((48, 64), (480, 640), (480, 640)),
        ((1, 8192), (480, 640), (32, 9600)),
    ],
)
def test_the_network_size_of_common_images(image_size, budget, expected):
    assert network_size(image_size[0], image_size[1], budget) == expected


def test_an_input_size_below_one_stride_is_refused():
    with pytest.raises(ValueError, match=r"input_size: found \(16, 16\), expected .* at least 32 x 32"):
        network_size(480, 640, (16, 16))


# --- Bad input


@pytest.mark.parametrize(
    "bad",
    [np.zeros((480, 640), np.uint8), np.zeros((480, 640, 4), np.uint8), np.zeros((0, 640, 3), np.uint8), image() / 2],
)
def test_an_image_of_another_kind_is_named(bad):
    with pytest.raises(ValueError, match=r"image: found \w+ of shape \(.*\), expected uint8 \(height, width, 3\) RGB"):
        flat_estimator().predict(bad)


def test_a_camera_of_another_size_is_named():
    with pytest.raises(ValueError, match="camera: found 640x480 for an image of 320x240 pixels.*CameraModel.resized"):
        flat_estimator().predict(image(240, 320), LENS_500)


@pytest.mark.parametrize("maps", [{"depth": math.nan}, {"depth": math.inf}, {"log_error": math.nan}])
def test_values_that_are_not_finite_are_an_error(maps):
    with pytest.raises(NotFiniteError, match="flat on cpu gave values that are not finite in fp32"):
        flat_estimator(**maps).predict(image())


@pytest.mark.parametrize("maps", [{"depth": math.nan}, {"depth": math.inf}, {"log_error": math.nan}])
def test_values_that_are_not_finite_in_half_precision_are_computed_again_in_single(sealed_checkpoint, maps):
    rgb = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    expected = DepthEstimator.load(sealed_checkpoint.path, "openvino", "cpu", "fp32", (64, 96)).predict(rgb)
    estimator = DepthEstimator(sealed_checkpoint, Flat(name="openvino", precision="bf16", **maps), (64, 96))
    for count in (1, 2):
        np.testing.assert_array_equal(estimator.predict(rgb).depth, expected.depth)
        assert estimator.retried == count and estimator.backend.precision == "bf16"


def test_a_checkpoint_that_is_missing_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="gone.safetensors: no such checkpoint"):
        DepthEstimator.load(tmp_path / "gone.safetensors")


# --- Real backends


@pytest.fixture(scope="module")
def estimator(sealed_checkpoint):
    return DepthEstimator.load(sealed_checkpoint.path, device="cpu", precision="fp32", input_size=(96, 128))


@pytest.fixture(scope="module")
def frame(real_frames):
    path = sorted((real_frames / "nyu_depth_v2_train" / "rgb").glob("*.jpg"))[10]
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB))


def test_loading_says_what_runs_and_why(estimator):
    assert estimator.choice.backend == estimator.backend.name == "openvino"
    assert "the fastest backend on a CPU" in estimator.choice.reason
    assert estimator.input_size == (96, 128)


@pytest.mark.parametrize("size", [(480, 640), (720, 1280), (96, 128), (61, 43)])
def test_any_image_size_gives_finite_depth_of_that_size(estimator, frame, size):
    rgb = cv2.resize(frame, size[::-1])
    camera = CameraModel.nyu().resized(size[1], size[0])
    prediction = estimator.predict(rgb, camera)
    for found in (prediction.depth, prediction.confidence):
        assert found.shape == size and found.dtype == np.float32 and np.isfinite(found).all()
    assert prediction.depth.min() > 0 and 0 <= prediction.confidence.min() <= prediction.confidence.max() <= 1
    assert all(seconds >= 0 for seconds in estimator.timings.values()) and estimator.timings["network"] > 0


def test_padded_rows_and_read_only_images_give_the_same(estimator, frame):
    expected = estimator.predict(frame)
    padded = np.zeros((480, 700, 3), np.uint8)
    padded[:, :640] = frame
    view = padded[:, :640]
    view.flags.writeable = False
    np.testing.assert_array_equal(estimator.predict(view).depth, expected.depth)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime", "torch"])
@pytest.mark.parametrize("size", [(96, 128), (480, 640)])
def test_predictions_are_the_callers_own(sealed_checkpoint, frame, backend, size):
    estimator = DepthEstimator.load(sealed_checkpoint.path, backend, "cpu", "fp32", input_size=(96, 128))
    first, second, again = (estimator.predict(cv2.resize(rgb, size[::-1])) for rgb in (frame, frame[::-1], frame))
    np.testing.assert_array_equal(first.depth, again.depth)
    np.testing.assert_array_equal(first.sigma, again.sigma)
    assert not np.array_equal(first.depth, second.depth) and not np.array_equal(first.sigma, second.sigma)


def test_a_prediction_goes_where_the_caller_says(estimator, frame):
    expected = estimator.predict(frame)
    out = Prediction(*np.full((2, 480, 640), np.nan, np.float32))
    found = estimator.predict(frame, out=out)
    assert found.depth is out.depth and found.sigma is out.sigma
    np.testing.assert_array_equal(out.depth, expected.depth)
    np.testing.assert_array_equal(out.sigma, expected.sigma)


@pytest.mark.parametrize(
    "array",
    [np.empty((480, 640)), np.empty((480, 639), np.float32), np.empty((640, 480), np.float32).T],
    ids=["type", "shape", "strides"],
)
def test_an_out_that_cannot_be_written_is_named(array):
    good = np.empty((480, 640), np.float32)
    for out in (Prediction(array), Prediction(good, array)):
        with pytest.raises(
            ValueError, match=r"out: found float\d\d of shape .* expected contiguous float32 \(480, 640"
        ):
            flat_estimator().predict(image(), out=out)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("size", [(240, 320), (480, 640)])
def test_no_map_is_allocated_from_frame_to_frame(sealed_checkpoint, frame, backend, size):
    estimator = DepthEstimator.load(sealed_checkpoint.path, backend, "cpu", input_size=(240, 320))
    rgb = cv2.resize(frame, size[::-1])
    camera = CameraModel.nyu().resized(size[1], size[0])
    out = Prediction(*np.empty((2, *size), np.float32))
    for _ in range(3):
        estimator.predict(rgb, camera, out)
    tracemalloc.start()
    try:
        for _ in range(10):
            estimator.predict(rgb, camera, out)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 240 * 320  # A quarter of the smallest map: the look at the picture's thumbnail needs some.


def test_falling_back_goes_on_with_the_same_depth(sealed_checkpoint, frame):
    estimator = DepthEstimator.load(sealed_checkpoint.path, "onnxruntime", "cpu", "fp32", input_size=(96, 128))
    expected = estimator.predict(frame)
    estimator.fall_back()
    assert estimator.backend.name == estimator.choice.backend == "openvino"
    np.testing.assert_allclose(estimator.predict(frame).depth, expected.depth, rtol=0.03)


@pytest.mark.skipif(bool(detect().gpu), reason="needs a machine without a GPU")
def test_a_device_that_is_not_here_is_an_error(sealed_checkpoint):
    with pytest.raises(BackendError, match="device=cuda.*nothing on this machine runs that; here is openvino on cpu"):
        DepthEstimator.load(sealed_checkpoint.path, device="cuda")
