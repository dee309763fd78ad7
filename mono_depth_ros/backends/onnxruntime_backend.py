"""ONNX Runtime: the CPU, CUDA, and TensorRT with its engines cached."""

import hashlib
import re
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from mono_depth_ros.backends import SIZES_KEPT, BackendError, Maps, Size, resize
from mono_depth_ros.backends.machine import gpu_name, tensorrt_version

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
# Building a TensorRT engine takes minutes, so it is kept between runs.
CACHE = Path.home() / ".cache" / "mono_depth_ros" / "tensorrt"


def built_for(onnx: Path | bytes) -> str:
    """What a TensorRT engine is good for: this GPU, this version of TensorRT, these weights.

    ONNX Runtime looks at the graph's names alone, and would run another checkpoint's engine in silence.
    """
    graph = onnx if isinstance(onnx, bytes) else onnx.read_bytes()
    return f"{gpu_name()}-{tensorrt_version()}-{hashlib.sha256(graph).hexdigest()[:16]}"


def tensorrt_options(cache: Path, built_for: str, precision: str, size: Size) -> dict[str, Any]:
    """TensorRT's options for one (height, width), its engine kept in a folder of its own.

    Args:
        cache: folder of all engines.
        built_for: see `built_for`.
        precision: ``fp32`` or ``fp16``.
        size: (height, width) in pixels.
    """
    height, width = size
    name = re.sub(r"[^\w.]+", "-", f"{built_for}-{precision}-{height}x{width}")
    shape = f"image:1x{height}x{width}x3"
    return {
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(cache / name),
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(cache / name),
        "trt_fp16_enable": precision == "fp16",
        "trt_profile_min_shapes": shape,
        "trt_profile_opt_shapes": shape,
        "trt_profile_max_shapes": shape,
    }


def providers_of(onnx: Path | bytes, device: str, precision: str, size: Size) -> list[tuple[str, dict[str, Any]]]:
    """ONNX Runtime's providers and their options for one (height, width); each does what the one before can't."""
    if device == "cpu":
        return [(PROVIDERS["cpu"], {})]
    cuda = (PROVIDERS["cuda"], {"use_tf32": False})  # TensorFloat-32 would make single precision as coarse as half.
    if device == "cuda":
        return [cuda]
    options = tensorrt_options(CACHE, built_for(onnx), precision, size)
    # ONNX Runtime makes the last folder of a path only.
    Path(options["trt_engine_cache_path"]).mkdir(parents=True, exist_ok=True)
    return [(PROVIDERS["tensorrt"], options), cuda]


class OnnxRuntimeBackend:
    """Runs an ONNX graph.

    Args:
        onnx: the graph, or its file; see `mono_depth_ros.export.to_onnx`. For ``int8`` the quantised one.
        device: ``cpu``, ``cuda`` or ``tensorrt``.
        precision: ``fp32``; ``int8`` on the CPU; ``fp16`` with TensorRT.
        threads: of the CPU; 0 leaves ONNX Runtime's choice.
    """

    name = "onnxruntime"

    def __init__(self, onnx: Path | bytes, device: str = "cpu", precision: str = "fp32", threads: int = 0) -> None:
        self.device, self.precision = device, precision
        self._request = lru_cache(SIZES_KEPT)(partial(open_request, onnx, device, precision, threads))

    def infer(self, rgb: np.ndarray, size: Size) -> Maps:
        """See `Backend.infer`."""
        try:
            return self._request(size)(rgb)
        except Exception as error:  # ONNX Runtime's errors have no base class of their own.
            raise BackendError(f"onnxruntime on {self.device} in {self.precision} failed: {error}") from error


def open_request(onnx: Path | bytes, device: str, precision: str, threads: int, size: Size) -> "Request":
    """A session for one size: its memory is planned once, and TensorRT builds one engine for it."""
    height, width = size
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_free_dimension_override_by_name("height", height)
    options.add_free_dimension_override_by_name("width", width)
    providers = providers_of(onnx, device, precision, size)
    session = onnxruntime.InferenceSession(onnx, options, providers=providers)
    if (found := session.get_providers()[0]) != PROVIDERS[device]:
        raise RuntimeError(f"ONNX Runtime took {found}, expected {PROVIDERS[device]}: are its libraries installed?")
    return Request(session, device != "cpu", height, width)


class Request:
    """A session with its own input and output arrays on the host; ONNX Runtime moves them to its device and back."""

    def __init__(self, session: onnxruntime.InferenceSession, is_device: bool, height: int, width: int) -> None:
        self._session, self._is_device = session, is_device
        self._binding = session.io_binding()
        self._image = np.zeros((1, height, width, 3), np.uint8)
        self._bind_image()
        # The graph does not say how large its maps are: one run does.
        self._maps = [np.empty_like(m) for m in session.run(None, {"image": self._image})]
        for output, array in zip(session.get_outputs(), self._maps, strict=True):
            self._binding.bind_output(output.name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

    def __call__(self, rgb: np.ndarray) -> Maps:
        """Maps (h, w) float32 of an image (H, W, 3) uint8."""
        resize(rgb, self._image[0])
        if self._is_device:
            self._bind_image()
        self._session.run_with_iobinding(self._binding)
        return self._maps[0][0], self._maps[1][0] if len(self._maps) > 1 else None

    def _bind_image(self) -> None:
        """Binding is what copies an image to a device; running does not. On a CPU the array itself is bound."""
        self._binding.bind_input("image", "cpu", 0, np.uint8, self._image.shape, self._image.ctypes.data)
        self._binding.synchronize_inputs()
