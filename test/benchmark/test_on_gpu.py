"""What is timed on a GPU. There is none here: the same program runs on the CPU, and a backend says that it is one."""

import numpy as np
import pytest

from mono_depth_ros.backends import BackendError
from mono_depth_ros.benchmark import on_gpu
from mono_depth_ros.estimator import DepthEstimator

torch = pytest.importorskip("torch")
from mono_depth_ros.backends.torch_backend import FrameNetwork, TorchBackend, restore  # noqa: E402

RGB = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)


def backend_of(checkpoint):
    return TorchBackend(restore(checkpoint), checkpoint.info)


def test_a_whole_frame_ends_as_a_cloud_of_every_pixel(sealed_checkpoint):
    backend = backend_of(sealed_checkpoint)
    backend.device = "cuda"
    runner = on_gpu.FrameRunner(DepthEstimator(sealed_checkpoint, backend, (64, 96)))
    runner.prepare(64, 96)
    cloud = runner.infer(RGB).cloud
    assert cloud.shape == (64, 96) and np.isfinite(cloud["z"]).mean() > 0.5


def test_an_engine_without_whole_frames_is_not_timed_as_one(sealed_checkpoint):
    runner = on_gpu.FrameRunner(DepthEstimator(sealed_checkpoint, backend_of(sealed_checkpoint), (64, 96)))
    with pytest.raises(BackendError, match="torch on cpu does no whole frames"):
        runner.prepare(64, 96)


def test_the_network_alone_runs_again_on_the_image_that_it_has(sealed_checkpoint, monkeypatch):
    seen = []
    run = FrameNetwork.forward
    monkeypatch.setattr(FrameNetwork, "forward", lambda self, image: seen.append(image.clone()) or run(self, image))
    runner = on_gpu.AloneRunner(backend_of(sealed_checkpoint))
    runner.prepare(64, 96)
    assert len(seen) == 1
    runner.infer(RGB)
    runner.infer(RGB)
    assert len(seen) == 3 and all(torch.equal(image, seen[0]) for image in seen)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_it_says_so(sealed_checkpoint):
    with pytest.raises(BackendError, match="network alone on torch cuda fp16"):
        on_gpu.measure(sealed_checkpoint, (64, 96), 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_both_are_timed(sealed_checkpoint):
    alone, to_cloud = on_gpu.measure(sealed_checkpoint, (480, 640), 2)
    assert (alone.network, to_cloud.network) == (on_gpu.ALONE, on_gpu.TO_CLOUD)
    assert alone.median > 0 and to_cloud.median > 0
