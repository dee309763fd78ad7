"""OpenVINO: the fastest backend on a CPU, and all that a CPU robot installs."""

from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from mono_depth_ros.backends import SIZES_KEPT, BackendError, Maps, Size, resize
from mono_depth_ros.backends.silent_openvino import openvino

# An int8 graph says itself which of its operations are int8; the few others stay float32.
HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}


class OpenVinoBackend:
    """Runs an ONNX graph on the CPU.

    Args:
        onnx: the graph, or its file; see `mono_depth_ros.export.to_onnx`. For ``int8`` the quantised one.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``.
        threads: 0 leaves OpenVINO's choice.

    Raises `BackendError`.
    """

    name = "openvino"
    device = "cpu"

    def __init__(self, onnx: Path | bytes, precision: str = "fp32", threads: int = 0) -> None:
        self.precision = precision
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": HINTS[precision]}
        if threads:
            options["INFERENCE_NUM_THREADS"] = str(threads)
        core = openvino.Core()
        try:
            model = core.read_model(onnx)
        except RuntimeError as error:
            raise self._error(error) from error
        self._request = lru_cache(SIZES_KEPT)(partial(compile_request, core, model, options))

    def infer(self, rgb: np.ndarray, size: Size) -> Maps:
        """See `Backend.infer`."""
        try:
            return self._request(size)(rgb)
        except (RuntimeError, ValueError) as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> BackendError:
        return BackendError(f"openvino on cpu in {self.precision} failed: {error}")


def compile_request(core: openvino.Core, model: openvino.Model, options: dict[str, str], size: Size) -> "Request":
    """The graph at one fixed size: faster than a graph of free size, and its arrays can be laid out now."""
    model.reshape([1, *size, 3])
    return Request(core.compile_model(model, "CPU", options))


class Request:
    """A compiled graph with its own input and output arrays, written and read in place."""

    def __init__(self, compiled: openvino.CompiledModel) -> None:
        self._request = compiled.create_infer_request()
        self._image = np.empty(compiled.input(0).shape, np.uint8)
        self._maps = [np.empty(output.shape, np.float32) for output in compiled.outputs]
        self._request.set_input_tensor(openvino.Tensor(self._image, shared_memory=True))
        for index, array in enumerate(self._maps):
            self._request.set_output_tensor(index, openvino.Tensor(array, shared_memory=True))

    def __call__(self, rgb: np.ndarray) -> Maps:
        """Maps (h, w) float32 of an image (H, W, 3) uint8."""
        resize(rgb, self._image[0])
        self._request.infer(share_outputs=True)  # Without it, every output is copied.
        return self._maps[0][0], self._maps[1][0] if len(self._maps) > 1 else None
