"""OpenCV's own networks: slower than the others, and there on every robot, for the node needs OpenCV anyway."""

from functools import lru_cache, partial
from pathlib import Path
from tempfile import NamedTemporaryFile

import cv2
import numpy as np

from mono_depth_ros.backends import SIZES_KEPT, BackendError, Maps, Size, resize
from mono_depth_ros.backends.plain_onnx import plain

# From 4.7 on, OpenCV's convolutions are wrong on maps of a single row or column, which the network has at stride 32.
SMALLEST_SIDE = 64


class OpenCvBackend:
    """Runs an ONNX graph on the CPU in float32.

    Args:
        onnx: the graph's file; see `mono_depth_ros.export.to_onnx`.
        threads: of all that OpenCV does in this process; 0 leaves its choice.
    """

    name = "opencv"
    device = "cpu"
    precision = "fp32"

    def __init__(self, onnx: Path, threads: int = 0) -> None:
        if threads:
            cv2.setNumThreads(threads)
        self._network = lru_cache(SIZES_KEPT)(partial(Network, onnx))

    def infer(self, rgb: np.ndarray, size: Size) -> Maps:
        """See `Backend.infer`."""
        try:
            return self._network(size)(rgb)
        except (cv2.error, ValueError, OSError) as error:
            raise BackendError(f"opencv on cpu in fp32 failed: {error}") from error


class Network:
    """The graph at one (height, width), with its own input array. Raises ValueError, cv2.error, OSError."""

    def __init__(self, onnx: Path, size: Size) -> None:
        height, width = size
        if min(size) < SMALLEST_SIDE:
            raise ValueError(f"found {height}x{width} pixels, expected sides of at least {SMALLEST_SIDE}")
        # OpenCV 5.0 has a second engine, which fails at a sum with a single pixel, and is taken for graphs in memory.
        engine = [cv2.dnn.ENGINE_CLASSIC] if hasattr(cv2.dnn, "ENGINE_CLASSIC") else []
        with NamedTemporaryFile(suffix=".onnx") as file:
            file.write(plain(onnx.read_bytes(), (height, width)))
            file.flush()
            self._network = cv2.dnn.readNetFromONNX(file.name, *engine)
        self._outputs = sorted(self._network.getUnconnectedOutLayersNames())  # depth before log_error
        self._image = np.empty((1, height, width, 3), np.uint8)

    def __call__(self, rgb: np.ndarray) -> Maps:
        """Maps (h, w) float32 of an image (H, W, 3) uint8."""
        resize(rgb, self._image[0])
        self._network.setInput(self._image.astype(np.float32))
        maps = self._network.forward(self._outputs)
        return maps[0][0], maps[1][0] if len(maps) > 1 else None
