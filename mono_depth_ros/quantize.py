"""Quantise a checkpoint to int8 after training, on calibration frames, and judge it on frames it was not given."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from mono_depth_ros import checkpoint as checkpoints
from mono_depth_ros.backends import Backend
from mono_depth_ros.backends.openvino_backend import OpenVinoBackend
from mono_depth_ros.camera import CameraModel
from mono_depth_ros.checkpoint import Checkpoint
from mono_depth_ros.errors import MonoDepthError
from mono_depth_ros.estimator import DepthEstimator, network_size

FEWEST_FRAMES = 20
# By which int8 may be worse than fp32, and by which its depth may differ where there is no truth to compare with.
TOLERANCE = {"RMSE": 0.03, "depth": 0.06}


class AccuracyError(MonoDepthError, ValueError):
    """The int8 form is too far from single precision."""


@dataclass(frozen=True)
class CalibrationFrame:
    """A frame at the network's size: rgb (h, w, 3) uint8, its camera, and metres (h, w), 0 unknown, or None."""

    rgb: np.ndarray
    camera: CameraModel
    truth: np.ndarray | None

    @classmethod
    def shrunk(
        cls, rgb: np.ndarray, camera: CameraModel, truth: np.ndarray | None, input_size: tuple[int, int]
    ) -> "CalibrationFrame":
        """A frame of any size, brought to the network's."""
        height, width = network_size(rgb.shape[0], rgb.shape[1], input_size)
        if truth is not None:
            truth = cv2.resize(truth, (width, height), interpolation=cv2.INTER_NEAREST)
        rgb = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        return cls(rgb, camera.resized(width, height), truth)


@dataclass(frozen=True)
class Judgement:
    """How much worse int8 is than fp32 on frames it was not calibrated on.

    Attributes:
        change: a share; negative where int8 is better by chance.
        of: what changed: ``RMSE`` or, where the frames have no true depth, ``depth``.
        frames: how many it was judged on.
    """

    change: float
    of: str
    frames: int

    def __str__(self) -> str:
        return f"{self.of} {100 * self.change:+.2f} % in int8, over {self.frames} frames that it was not calibrated on"


def quantize(
    checkpoint: Checkpoint, frames: Sequence[CalibrationFrame], output: str | PathLike[str]
) -> tuple[Checkpoint, Judgement]:
    """Write the checkpoint anew, with an int8 form.

    Args:
        checkpoint: has the single-precision form.
        frames: of the kind of scenes the robot works in, in the order they were taken. Where they have true depth,
            int8 is judged by its RMSE, else by how far it is from fp32.
        output: ``.safetensors`` file to write; it may be the checkpoint itself.

    Raises:
        AccuracyError: int8 is worse by more than `TOLERANCE`; nothing is written.
        ValueError: too few frames.
    """
    if len(frames) < FEWEST_FRAMES:
        raise ValueError(f"found {len(frames)} calibration frames, expected at least {FEWEST_FRAMES}, better 200")
    # Every other tenth judges: frames that are neighbours often show the same room.
    judges = [index * 10 // len(frames) % 2 == 1 for index in range(len(frames))]
    content = int8_graph(checkpoint, [f for f, is_judge in zip(frames, judges, strict=True) if not is_judge])
    int8 = OpenVinoBackend(content, "int8")
    judgement = judge(checkpoint, int8, [f for f, is_judge in zip(frames, judges, strict=True) if is_judge])
    if not judgement.change <= (most := TOLERANCE[judgement.of]):  # NaN is no agreement
        raise AccuracyError(
            f"{judgement}, expected at most {100 * most:g} %; nothing was written. Calibrate on more varied frames"
        )
    saved = checkpoints.save(
        output, checkpoint.info, checkpoint.weights(), checkpoint.onnx().read_bytes(), int8=content
    )
    return saved, judgement


def int8_graph(checkpoint: Checkpoint, frames: Sequence[CalibrationFrame]) -> bytes:
    """The ONNX graph in int8: one scale a channel for weights, the range seen in the frames for activations.

    The depth head's last convolution stays as it is: eight bits would leave a few dozen different depths in a frame,
    which RMSE hardly notices and a point cloud shows as steps.
    """
    with tempfile.TemporaryDirectory() as folder:
        folded, quantized = Path(folder) / "folded.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(checkpoint.onnx(), folded, skip_symbolic_shape=True)
        quantize_static(
            folded,
            quantized,
            CalibrationReader(iter(frames)),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_exclude=last_nodes(onnx.load(folded).graph),
        )
        return quantized.read_bytes()


def last_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes from ``depth`` back to its last convolution."""
    producers = {output: node for node in graph.node for output in node.output}
    nodes = [producers["depth"]]
    while nodes[-1].op_type != "Conv":
        nodes.append(next(producers[name] for name in nodes[-1].input if name in producers))
    return [node.name for node in nodes]


class CalibrationReader(CalibrationDataReader):
    """Hands frames to the calibration one by one."""

    def __init__(self, frames: Iterator[CalibrationFrame]) -> None:
        self._frames = frames

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next input of the graph; None at the end."""
        frame = next(self._frames, None)
        return None if frame is None else {"image": frame.rgb[None]}


def judge(checkpoint: Checkpoint, int8: Backend, frames: Sequence[CalibrationFrame]) -> Judgement:
    """Compare int8 with fp32 on frames: by RMSE where all have true depth, else by their relative difference."""
    exact = DepthEstimator(checkpoint, OpenVinoBackend(checkpoint.onnx()))
    coarse = DepthEstimator(checkpoint, int8)
    rows = []
    for frame in frames:
        expected = exact.predict(frame.rgb, frame.camera).depth
        found = coarse.predict(frame.rgb, frame.camera).depth
        different = float(np.mean(np.abs(found - expected) / expected))
        errors = (0.0, 0.0) if frame.truth is None else (rmse(expected, frame.truth), rmse(found, frame.truth))
        rows.append((different, *errors))
    different, before, after = np.mean(rows, axis=0)
    if before == 0 or any(frame.truth is None for frame in frames):
        return Judgement(float(different), "depth", len(frames))
    return Judgement(float(after / before - 1), "RMSE", len(frames))


def rmse(depth: np.ndarray, truth: np.ndarray) -> float:
    """Root of the mean squared error in metres, where the truth is known (above 0); 0 where it is nowhere."""
    known = truth > 0
    return float(np.sqrt(np.mean((depth[known] - truth[known]) ** 2))) if known.any() else 0.0
