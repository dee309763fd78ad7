"""Choose an engine: the best that works here, why it was taken, and the next one when it fails to start."""

import logging
from dataclasses import dataclass

from mono_depth_ros.backends import Backend, BackendError
from mono_depth_ros.backends.machine import Machine, detect
from mono_depth_ros.checkpoint import Checkpoint

logger = logging.getLogger(__name__)

BACKENDS = ("auto", "torch", "openvino", "onnxruntime")
DEVICES = ("auto", "cpu", "cuda", "tensorrt")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")

# Best first. TensorRT builds its engine for minutes when it meets a size for the first time, so `auto` never takes it.
ENGINES = (
    ("torch", "cuda", "a GPU is here, and CUDA graphs start at once"),
    ("onnxruntime", "cuda", "a GPU is here"),
    ("onnxruntime", "tensorrt", "it was asked for"),
    ("openvino", "cpu", "the fastest engine on a CPU"),
    ("onnxruntime", "cpu", "it runs on any CPU"),
    ("torch", "cpu", "it runs on any CPU"),
)


@dataclass(frozen=True)
class Choice:
    """One way to run the network here, and why this one."""

    backend: str
    device: str
    precision: str
    reason: str

    def __str__(self) -> str:
        return f"{self.backend} on {self.device} in {self.precision} ({self.reason})"


def precisions(backend: str, device: str, machine: Machine, has_int8: bool) -> dict[str, str]:
    """Precisions that this engine has on this machine, best first, and why each is where it is; empty without it."""
    int8 = {"int8": "the checkpoint has an int8 form"} if has_int8 else {}
    fp32 = {"fp32": "exact"}
    if device != "cpu" and not machine.gpu:
        return {}
    if backend == "torch" and machine.torch:
        half = {"fp16": "half precision is twice as fast", "bf16": "wider range than fp16"}
        return half | fp32 if device == "cuda" else fp32
    if backend == "onnxruntime" and device == "tensorrt" and "TensorrtExecutionProvider" in machine.onnxruntime:
        return {"fp16": "half precision is twice as fast"} | fp32
    if backend == "onnxruntime" and device == "cuda" and "CUDAExecutionProvider" in machine.onnxruntime:
        return fp32
    if backend == "onnxruntime" and device == "cpu" and machine.onnxruntime:
        return fp32 | int8
    if backend == "openvino" and machine.openvino:
        fp16 = {"fp16": "the CPU has it"} if "FP16" in machine.openvino else {}
        if machine.native_bf16 and "BF16" in machine.openvino:
            return {"bf16": "the CPU has native bf16"} | int8 | fp32 | fp16
        return int8 | fp32 | fp16 | {"bf16": "emulated, slow"}
    return {}


def candidates(
    machine: Machine, has_int8: bool, backend: str = "auto", device: str = "auto", precision: str = "auto"
) -> list[Choice]:
    """Every engine here that meets the request, best first, each in its best precision.

    Raises:
        ValueError: a name that is none of `BACKENDS`, `DEVICES`, `PRECISIONS`.
    """
    for name, value, valid in (
        ("backend", backend, BACKENDS),
        ("device", device, DEVICES),
        ("precision", precision, PRECISIONS),
    ):
        if value not in valid:
            raise ValueError(f"{name}: found {value!r}, expected one of {', '.join(valid)}")
    found = []
    for engine, place, reason in ENGINES:
        wanted = backend in ("auto", engine) and (device == place or (device == "auto" and place != "tensorrt"))
        available = precisions(engine, place, machine, has_int8) if wanted else {}
        best = next(iter(available), "") if precision == "auto" else precision
        if best in available:
            found.append(Choice(engine, place, best, f"{reason}; {available[best]}"))
    return found


def create(checkpoint: Checkpoint, choice: Choice, threads: int = 0) -> Backend:
    """Start one engine. Raises `BackendError`, `CheckpointError`."""
    try:
        if choice.backend == "torch":
            from mono_depth_ros.backends.torch_backend import TorchBackend, restore

            return TorchBackend(restore(checkpoint), checkpoint.info, choice.device, choice.precision, threads)
        onnx = (checkpoint.int8() if choice.precision == "int8" else None) or checkpoint.onnx()
        if choice.backend == "openvino":
            from mono_depth_ros.backends.openvino_backend import OpenVinoBackend

            return OpenVinoBackend(onnx, choice.precision, threads)
        from mono_depth_ros.backends.onnxruntime_backend import OnnxRuntimeBackend

        return OnnxRuntimeBackend(onnx, choice.device, choice.precision, threads)
    except ImportError as error:
        raise BackendError(f"{choice.backend} can't be imported: {error}") from error


def start(
    checkpoint: Checkpoint,
    size: tuple[int, int],
    backend: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    machine: Machine | None = None,
) -> tuple[Backend, Choice]:
    """Start the best engine that meets the request and works, ready for images of ``size`` (height, width).

    An engine that fails to start is left with a warning, and the next one is tried.

    Raises:
        BackendError: none is here, or each one failed.
        ValueError: see `candidates`.
    """
    machine = machine or detect()
    request = f"backend={backend} device={device} precision={precision}"
    has_int8 = bool(checkpoint.info.int8_sha256)
    failures = []
    for choice in candidates(machine, has_int8, backend, device, precision):
        try:
            engine = create(checkpoint, choice, threads)
            engine.prepare(*size)
        except BackendError as error:
            logger.warning("%s", error)
            failures.append(str(error))
            continue
        logger.info("running on %s", choice)
        return engine, choice
    if failures:
        raise BackendError(f"{request}: each engine failed to start: {'; '.join(failures)}")
    here = "; ".join(str(choice) for choice in candidates(machine, has_int8)) or "no engine; install openvino"
    note = (
        "" if has_int8 or precision != "int8" else "; the checkpoint has no int8 form, `mono-depth quantize` makes it"
    )
    raise BackendError(f"{request}: nothing on this machine runs that; here is {here}{note}")
