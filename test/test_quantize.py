"""Quantising to int8: what the gate lets through, what it stops, and that depth keeps its fine steps."""

from pathlib import Path

import numpy as np
import pytest

from mono_depth_ros import CameraModel, DepthEstimator, checkpoint
from mono_depth_ros.backends.machine import detect
from mono_depth_ros.io import parse_source

pytest.importorskip("onnx")
from mono_depth_ros.quantize import AccuracyError, CalibrationFrame, quantize, rmse  # noqa: E402

SIZE = (96, 128)


@pytest.fixture(scope="module")
def small(sealed_checkpoint, tmp_path_factory):
    """The random checkpoint, for frames of 96 x 128."""
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    info = sealed_checkpoint.info
    info = checkpoint.CheckpointInfo(info.architecture, SIZE, 103.8, 10.0, info.mean, info.std)
    return checkpoint.save(path, info, sealed_checkpoint.weights(), sealed_checkpoint.onnx().read_bytes())


@pytest.fixture(scope="module")
def frames(real_frames):
    """Forty frames of an office, with the Kinect's depth."""
    source = parse_source(str(real_frames / "tum_fr1_rpy"))
    return [
        CalibrationFrame.shrunk(frame.rgb, source.camera, source.truth(index), SIZE)
        for index, frame in zip(range(40), source.frames(), strict=False)
    ]


def test_a_frame_is_brought_to_the_size_of_the_network_with_its_camera_and_depth():
    truth = np.full((480, 640), 2.5, np.float32)
    frame = CalibrationFrame.shrunk(np.zeros((480, 640, 3), np.uint8), CameraModel.nyu(), truth, SIZE)
    assert frame.rgb.shape == (96, 128, 3) and frame.truth is not None and frame.truth.shape == SIZE
    assert frame.camera.fx == pytest.approx(518.8579 / 5) and (frame.truth == 2.5).all()


def test_rmse_leaves_out_what_is_unknown():
    assert rmse(np.array([1.0, 2.0, 9.0]), np.array([1.0, 5.0, 0.0])) == pytest.approx(np.sqrt(9 / 2))
    assert rmse(np.array([1.0]), np.array([0.0])) == 0


@pytest.mark.skipif(not detect().native_int8, reason="the CPU has no native int8, which is less exact")
def test_int8_passes_the_gate_and_keeps_fine_steps(small, frames, tmp_path):
    saved, judgement = quantize(small, frames, tmp_path / "int8.safetensors")
    assert judgement.of == "RMSE" and judgement.frames == 20 and judgement.change < 0.03
    assert saved.onnx().read_bytes() == small.onnx().read_bytes()
    assert Path(saved.int8() or "").stat().st_size < 0.65 * saved.onnx().stat().st_size

    exact = DepthEstimator.load(saved.path, "openvino", "cpu", "fp32").predict(frames[0].rgb)
    for engine in ("openvino", "onnxruntime"):
        depth = DepthEstimator.load(saved.path, engine, "cpu", "int8").predict(frames[0].rgb).depth
        assert 0 < np.mean(np.abs(depth - exact.depth) / exact.depth) < 0.06
        assert np.unique(depth).size > 5000  # Eight bits for depth itself would leave at most 256.


def test_the_gate_stops_what_was_calibrated_on_the_dark(frames, tmp_path):
    """On the weights that ship: random ones hardly look at the image."""
    dark = np.zeros((*SIZE, 3), np.uint8)
    black = [CalibrationFrame(dark, frames[0].camera, None)] * 4
    seen = [CalibrationFrame(frame.rgb, frame.camera, None) for frame in frames[:4]]
    output = tmp_path / "bad.safetensors"
    with pytest.raises(
        AccuracyError, match=r"depth \+.* % in int8, over 20 frames .* at most 6 %; nothing was written"
    ):
        quantize(checkpoint.load(), (black + seen) * 5, output)
    assert not output.exists()


def test_too_few_frames_are_counted(small, frames, tmp_path):
    with pytest.raises(ValueError, match="found 19 calibration frames, expected at least 20"):
        quantize(small, frames[:19], Path(tmp_path / "few.safetensors"))
