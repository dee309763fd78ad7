"""Run the network: one small protocol, one file an engine."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from mono_depth_ros.camera import CameraModel, Rectifier
from mono_depth_ros.pointcloud import MAX_SLANT

# A camera changes its size seldom; two sizes kept ready serve a node that switches between two modes.
SIZES_KEPT = 2

Output = tuple[np.ndarray, np.ndarray | None]
FrameOutput = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


class BackendError(RuntimeError):
    """An engine that can't start or that failed on a frame; names the engine, the device and its own message."""


class Backend(Protocol):
    """One engine that runs one network on one device.

    Attributes:
        name: ``openvino``, ``onnxruntime`` or ``torch``.
        device: ``cpu``, ``cuda`` or ``tensorrt``.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``.
    """

    name: str
    device: str
    precision: str

    def prepare(self, height: int, width: int) -> None:
        """Make ready for images of this size (multiples of 32), so that the first frame is as fast as the next.

        Raises `BackendError`.
        """

    def infer(self, rgb: np.ndarray) -> Output:
        """Run the network.

        Args:
            rgb: (h, w, 3) uint8, h and w multiples of 32.

        Returns:
            depth (h, w) float32, metres in the canonical camera; log_error (h, w) float32, the logarithm of the
            Laplace scale of ln(depth)'s error, or None where the network has no such output. Both arrays belong to
            the backend and hold until its next call.

        Raises `BackendError`.
        """


@dataclass(frozen=True)
class FrameOptions:
    """What is wanted of a frame beside its depth; the defaults leave depth as the network gave it.

    Attributes:
        confidence: give it.
        nearest, farthest: metres; depth that is less is -Inf, more +Inf (REP-117).
        min_confidence: depth of less is NaN.
        rectifier: what made the image; where it had no source, depth is NaN and confidence 0.
        cloud: give a cloud of that depth.
        stride, dense, max_slant, confidence_field: of the cloud, see `mono_depth_ros.pointcloud.CloudBuilder`.
    """

    confidence: bool = True
    nearest: float = 0.0
    farthest: float = math.inf
    min_confidence: float = 0.0
    rectifier: Rectifier | None = None
    cloud: bool = False
    stride: int = 1
    dense: bool = False
    max_slant: float = MAX_SLANT
    confidence_field: bool = False


@dataclass(frozen=True)
class FramePlan:
    """How a device gets from an image to depth, confidence and cloud; equal plans share what was prepared for one.

    Attributes:
        image_size, network_size: (height, width).
        interpolation: OpenCV's, from the one to the other; the way back is linear.
        scale: metres per metre of the network's depth.
        min_depth, max_depth: metres that depth is held between.
        right_within: confidence is the probability that depth is within this factor of the truth.
        camera: of the cloud, a pinhole; None gives no cloud.
        options: what is wanted.
    """

    image_size: tuple[int, int]
    network_size: tuple[int, int]
    interpolation: int
    scale: float
    min_depth: float
    max_depth: float
    right_within: float
    camera: CameraModel | None
    options: FrameOptions


@runtime_checkable
class FrameBackend(Backend, Protocol):
    """An engine that can do the whole frame on its device: one copy of the image up, one of all that is wanted down."""

    def frame(self, rgb: np.ndarray, plan: FramePlan) -> FrameOutput:
        """Run the network and all that comes before and after it.

        Args:
            rgb: (H, W, 3) uint8, of ``plan.image_size``.
            plan: see `FramePlan`.

        Returns:
            depth (H, W) float32, metres; confidence (H, W) float32 or None; the cloud as `CloudBuilder.build` gives it,
            or None. They belong to the backend and hold until its next call.

        Raises:
            BackendError: the device failed, or the network gave values that are not finite.
            ValueError: ``min_confidence`` without a network that predicts its error; a plan that means nothing.
        """
