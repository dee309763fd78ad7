"""Run the network: one small protocol, one file an engine."""

from typing import Protocol

import numpy as np

# A camera changes its size seldom; two sizes kept ready serve a node that switches between two modes.
SIZES_KEPT = 2

Output = tuple[np.ndarray, np.ndarray | None]


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
