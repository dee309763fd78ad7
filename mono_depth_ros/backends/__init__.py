"""Run the network: one small protocol, one file a backend."""

from typing import Protocol

import cv2
import numpy as np

from mono_depth_ros.errors import MonoDepthError

# A camera changes its size seldom; two sizes kept ready serve a node that switches between two modes.
SIZES_KEPT = 2

Size = tuple[int, ...]  # (height, width)
Maps = tuple[np.ndarray, np.ndarray | None]


class BackendError(MonoDepthError, RuntimeError):
    """A backend that cannot start or that failed on a frame; names the backend, the device and its own message."""


class NotFiniteError(BackendError):
    """A frame of which the network made something that is not finite; the backend itself works."""


class Backend(Protocol):
    """What runs one network on one device.

    Attributes:
        name: ``openvino``, ``onnxruntime``, ``opencv`` or ``torch``.
        device: ``cpu``, ``cuda`` or ``tensorrt``.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``.
    """

    name: str
    device: str
    precision: str

    def infer(self, rgb: np.ndarray, size: Size) -> Maps:
        """Resize an image and run the network on it. The first image of its size may take seconds.

        Args:
            rgb: (H, W, 3) uint8, of any size.
            size: (height, width) that the network sees it at, multiples of 32.

        Returns:
            depth (h, w) float32 of that size, metres in the canonical camera; log_error (h, w) float32, the logarithm
            of the Laplace scale of ln(depth)'s error, or None where the network has no such output. Both arrays belong
            to the backend and hold until its next call; the caller may write into them.

        Raises `BackendError`.
        """


def resize(rgb: np.ndarray, out: np.ndarray) -> None:
    """Fill ``out`` (h, w, 3) uint8 with an image of another size. Raises ValueError for one of another kind."""
    resized = cv2.resize(rgb, out.shape[1::-1], dst=out, interpolation=interpolation(rgb.shape[:2], out.shape[:2]))
    if resized.shape != out.shape or resized.dtype != out.dtype:  # Then OpenCV made an array of its own.
        raise ValueError(f"image: found {rgb.dtype} of shape {rgb.shape}, expected uint8 (height, width, 3)")


def interpolation(old: Size, new: Size) -> int:
    """OpenCV's interpolation from one (height, width) to another: the mean over an area where no side grows."""
    return cv2.INTER_AREA if new[0] <= old[0] and new[1] <= old[1] else cv2.INTER_LINEAR
