"""The node with an engine that does the whole frame on its device: the same messages, and the CPU when it fails.

There is no GPU here. A backend of PyTorch on the CPU that says it is one stands in: the program is the GPU's own, its
copies and its captured graph are not.
"""

import numpy as np
import pytest
from builtin_interfaces.msg import Time

from mono_depth_ros.estimator import DepthEstimator
from mono_depth_ros.ros import outputs as topics
from mono_depth_ros.ros.engine import Engine
from test.ros.harness import depth_of, make_image, make_info
from test.ros.test_pipeline import ALL, Bench

torch = pytest.importorskip("torch")
from mono_depth_ros.backends import torch_frame  # noqa: E402
from mono_depth_ros.backends.torch_backend import TorchBackend, restore  # noqa: E402

SIZE = {"width": 160, "height": 96}


class Real(Bench):
    """A pipeline with a real engine on PyTorch, whose input is as large as the images."""

    def __init__(self, is_gpu, **values):
        super().__init__(input_size=(96, 160), backend="torch", device="cpu", scan_frame="camera_link", **values)
        self.engine = Engine(self.settings, self.problems)
        if is_gpu:
            checkpoint = self.engine._estimator.checkpoint
            backend = TorchBackend(restore(checkpoint), checkpoint.info)
            backend.device = "cuda"
            self.engine._estimator.backend = backend
        self.pipeline._engine = self.engine

    def frame(self, second=1, **camera):
        self.process(make_image(Time(sec=second), **SIZE), make_info(**SIZE, **camera))


def gates(distortion):
    """Limits of depth and confidence that cut through what the weights make of the frame."""
    bench = Real(False)
    bench.frame(focal=90.0, d=distortion)
    depth, confidence = (np.sort(depth_of(bench.last(t)), axis=None) for t in (topics.DEPTH, topics.CONFIDENCE))
    nearest, farthest = np.nanquantile(depth, (0.1, 0.9)).tolist()
    middle = confidence[len(confidence) // 4 : 3 * len(confidence) // 4]
    gap = np.diff(middle).argmax()  # where rounding decides for no pixel
    return {"min_confidence": float(middle[gap : gap + 2].mean()), "min_depth": nearest, "max_depth": farthest}


SETTINGS = [
    lambda _: {},
    lambda _: {"points_dense": True, "points_stride": 3, "max_slant": 60.0},
    lambda distortion: {"points_confidence": True, **gates(distortion)},
]


@pytest.mark.parametrize("values_for", SETTINGS, ids=["default", "dense", "gates"])
@pytest.mark.parametrize("distortion", [(), (0.3, 0.0, 0.0, 0.0, 0.0)])
def test_every_message_is_the_cpus(values_for, distortion):
    values = values_for(distortion)
    cpu, gpu = Real(False, **values), Real(True, **values)
    for bench in (cpu, gpu):
        bench.frame(focal=90.0, d=distortion)
    assert set(gpu.published[0]) == ALL
    for topic in ALL - {topics.CONFIDENCE, topics.POINTS, topics.SCAN}:
        assert gpu.last(topic) == cpu.last(topic), topic
    confidence = [np.frombuffer(b.last(topics.CONFIDENCE).data, np.float32) for b in (cpu, gpu)]
    np.testing.assert_allclose(confidence[0], confidence[1], atol=1e-6)
    np.testing.assert_array_equal(gpu.last(topics.SCAN).ranges, cpu.last(topics.SCAN).ranges)
    clouds = [b.last(topics.POINTS) for b in (cpu, gpu)]
    assert clouds[0].fields == clouds[1].fields and clouds[0].is_dense == clouds[1].is_dense
    assert (clouds[0].height, clouds[0].width) == (clouds[1].height, clouds[1].width)
    points = [np.frombuffer(c.data, np.float32).reshape(-1, c.point_step // 4) for c in clouds]
    np.testing.assert_array_equal(points[1][:, :3], points[0][:, :3])
    np.testing.assert_array_equal(points[1][:, 3].view(np.uint32), points[0][:, 3].view(np.uint32))
    assert 0 < np.isfinite(points[1][:, 2]).sum() <= points[1].shape[0]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), torch.AcceleratorError("device lost")])
def test_a_device_that_fails_in_mid_stream_costs_no_frame(error, monkeypatch):
    def fail(*_):
        raise error

    bench = Real(True)
    bench.frame(1)
    expected = depth_of(bench.last(topics.DEPTH))
    with monkeypatch.context() as patch:
        patch.setattr(torch_frame.WholeFrame, "forward", fail)
        bench.frame(2)
    bench.frame(3)
    assert [messages[topics.DEPTH].header.stamp.sec for messages in bench.published] == [1, 2, 3]
    assert bench.engine.description()["device"] == "cpu"
    for messages in bench.published:
        np.testing.assert_allclose(depth_of(messages[topics.DEPTH]), expected, rtol=0.05)
        assert set(messages) == ALL
    assert len(bench.lines) == 1 and str(error) in bench.lines[0] and "running on the CPU" in bench.lines[0]


def test_its_time_is_the_networks():
    bench = Real(True)
    bench.frame()
    medians = {name: p50 for name, (p50, _) in bench.statistics.percentiles().items()}
    assert medians["network"] > 0 and medians["resize"] == medians["scale"] == 0


def test_the_cpu_makes_no_depth_and_no_cloud_beside_the_devices(monkeypatch):
    monkeypatch.setattr("mono_depth_ros.ros.composer.CloudBuilder", None)
    monkeypatch.setattr(DepthEstimator, "predict", None)
    bench = Real(True)
    bench.frame()
    assert topics.POINTS in bench.published[0]
