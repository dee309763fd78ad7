"""The node's estimator leaves an accelerator that fails in mid-stream and says so."""

from dataclasses import replace

import numpy as np
import pytest

from mono_depth_ros import checkpoint
from mono_depth_ros.backends import BackendError, NotFiniteError
from mono_depth_ros.camera import CameraModel
from mono_depth_ros.checkpoint import CheckpointError
from mono_depth_ros.estimator import DepthEstimator
from mono_depth_ros.prediction import Prediction
from mono_depth_ros.ros.estimator import NodeEstimator
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.ros.problems import Problems


class Gpu:
    """A backend that works for one frame and then has no memory left."""

    name, device, precision = "torch", "cuda", "fp16"

    def __init__(self, backend):
        self._backend, self._calls = backend, 0

    def infer(self, rgb, size):
        self._calls += 1
        if self._calls > 1:
            raise BackendError("torch on cuda in fp16 failed: CUDA out of memory")
        return self._backend.infer(rgb, size)


@pytest.fixture
def lines():
    return []


@pytest.fixture
def estimator(lines):
    return NodeEstimator(Settings(device="cpu", precision="fp32"), Problems(lines.append, lines.append))


def memory(height=240, width=320):
    return Prediction(*np.empty((2, height, width), np.float32))


def picture(height=240, width=320):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)


def test_a_gpu_that_fails_is_left_for_the_cpu_from_that_frame_on(estimator, lines, monkeypatch):
    image = picture()
    expected = estimator.predict(image, None, memory())
    monkeypatch.setattr(estimator._estimator, "backend", Gpu(estimator._estimator.backend))
    assert estimator.description()["device"] == "cuda"
    for _ in range(3):
        prediction = estimator.predict(image, None, memory())
        assert np.allclose(prediction.depth, expected.depth, rtol=0.05)
    assert estimator.description()["device"] == "cpu"
    assert len(lines) == 1
    assert "CUDA out of memory" in lines[0] and "running on the CPU" in lines[0]


def test_a_cpu_that_fails_has_nothing_to_fall_back_to(estimator, lines, monkeypatch):
    def fail(*_):
        raise BackendError("openvino on cpu in fp32 failed: no")

    monkeypatch.setattr(DepthEstimator, "estimate", fail)
    with pytest.raises(BackendError, match="openvino on cpu"):
        estimator.predict(picture(), None, memory())
    assert not lines


def test_a_network_without_metres_is_refused_unless_a_sensor_gives_it_some(sealed_checkpoint, tmp_path):
    info = replace(sealed_checkpoint.info, output_kind="disparity", focal_length=None)
    path = tmp_path / "relative.safetensors"
    checkpoint.save(path, info, sealed_checkpoint.weights(), sealed_checkpoint.onnx().read_bytes())
    settings = Settings(checkpoint=str(path), device="cpu")
    with pytest.raises(CheckpointError, match=r"relative\.safetensors: its output is disparity, .* or a sensor"):
        NodeEstimator(settings, Problems(print, print))
    NodeEstimator(settings.changed({"anchor_scan": True}), Problems(print, print))


class Overflowing:
    """A backend whose values are not finite."""

    def __init__(self, name, device, precision):
        self.name, self.device, self.precision = name, device, precision

    def infer(self, rgb, size):
        return np.full(size, np.inf, np.float32), None


def test_values_that_are_not_finite_move_nothing_to_the_cpu(estimator, lines, monkeypatch):
    monkeypatch.setattr(estimator._estimator, "backend", Overflowing("torch", "cuda", "fp32"))
    with pytest.raises(NotFiniteError, match="torch on cuda gave values that are not finite in fp32"):
        estimator.predict(picture(), None, memory())
    assert estimator.description()["device"] == "cuda" and not lines


def test_a_frame_that_is_computed_again_in_single_precision_is_told(estimator, lines, monkeypatch):
    expected = estimator.predict(picture(), None, memory())
    monkeypatch.setattr(estimator._estimator, "backend", Overflowing("openvino", "cpu", "int8"))
    np.testing.assert_array_equal(estimator.predict(picture(), None, memory()).depth, expected.depth)
    assert len(lines) == 1 and "values in int8 were not finite; this frame was computed again in fp32" in lines[0]


def test_it_says_what_runs_and_why(estimator):
    said = estimator.description()
    assert (said["backend"], said["device"], said["precision"]) == ("openvino", "cpu", "fp32")
    assert said["chosen because"] == "the fastest backend on a CPU; exact"


def test_the_farthest_depth_grows_with_the_focal_length(estimator):
    """The network was taught up to 10 m for NYU's lens; for one of half the focal length that is 5 m."""
    nyu = CameraModel.nyu()
    wide = CameraModel(640, 480, nyu.fx / 2, nyu.fy / 2, nyu.cx, nyu.cy)
    assert estimator.farthest((480, 640), nyu) == pytest.approx(9.5, rel=0.05)
    assert estimator.farthest((480, 640), None) == pytest.approx(9.5, rel=0.05)
    assert estimator.farthest((480, 640), wide) == pytest.approx(estimator.farthest((480, 640), nyu) / 2, rel=1e-6)
    found = estimator.predict(picture(480, 640), wide, memory(480, 640))
    assert found.depth.max() <= estimator.farthest((480, 640), wide) / 0.94


def test_the_input_size_is_the_networks_budget(lines):
    small = NodeEstimator(Settings(device="cpu", input_size=(96, 128)), Problems(lines.append, lines.append))
    assert small.description()["input size"] == "128x96"
    assert small.predict(picture(), None, memory()).depth.max() > 0
