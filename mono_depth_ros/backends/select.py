"""Choose a backend: the best that works here, why it was taken, and the next one when it fails to start."""

import logging
from dataclasses import dataclass, replace

import numpy as np

from mono_depth_ros.backends import Backend, BackendError, Size
from mono_depth_ros.backends.machine import Machine, detect
from mono_depth_ros.checkpoint import Checkpoint

logger = logging.getLogger(__name__)

BACKENDS = ("auto", "torch", "openvino", "onnxruntime", "opencv")
DEVICES = ("auto", "cpu", "cuda", "tensorrt")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")

# Best first. TensorRT builds for minutes when it meets a size for the first time, so `auto` never takes it.
BEST_FIRST = (
    ("torch", "cuda", "a GPU is here, and CUDA graphs start at once"),
    ("onnxruntime", "cuda", "a GPU is here"),
    ("onnxruntime", "tensorrt", "it was asked for"),
    ("openvino", "cpu", "the fastest backend on a CPU"),
    ("onnxruntime", "cpu", "it runs on any CPU"),
    ("torch", "cpu", "it runs on any CPU"),
    ("opencv", "cpu", "it needs nothing more; `pip install openvino` is faster"),
)

# Older GPUs have no bfloat16, and cuDNN no convolutions in it for them.
CUDA_BF16 = (8, 0)


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
    """Precisions that this backend has on this machine, best first, and why each is where it is; empty without it."""
    fp32 = {"fp32": "exact"}
    if device != "cpu" and not machine.gpu:
        return {}
    if backend == "torch" and machine.torch:
        if device == "cpu":
            return fp32
        bf16 = {"bf16": "wider range than fp16"} if machine.gpu_capability >= CUDA_BF16 else {}
        return {"fp16": "half precision is twice as fast"} | bf16 | fp32
    if backend == "onnxruntime" and device == "tensorrt" and "TensorrtExecutionProvider" in machine.onnxruntime:
        return {"fp16": "half precision is twice as fast"} | fp32
    if backend == "onnxruntime" and device == "cuda" and "CUDAExecutionProvider" in machine.onnxruntime:
        return fp32
    if backend == "onnxruntime" and device == "cpu" and machine.onnxruntime:
        return fp32 | ({"int8": "the checkpoint has an int8 form"} if has_int8 else {})
    if backend == "opencv":
        return fp32
    if backend == "openvino" and machine.openvino:
        return _openvino_precisions(machine, has_int8)
    return {}


def _openvino_precisions(machine: Machine, has_int8: bool) -> dict[str, str]:
    """What the CPU does itself comes before fp32, what it has to emulate after."""
    native, emulated = {}, {}
    if "BF16" in machine.openvino:
        if machine.native_bf16:
            native["bf16"] = "the CPU has native bf16"
        else:
            emulated["bf16"] = "the CPU has no native bf16: slower than fp32"
    if has_int8:
        if machine.native_int8:
            native["int8"] = "the CPU has native int8, and the checkpoint an int8 form"
        else:
            emulated["int8"] = "the CPU has no native int8: slower and less exact than fp32"
    if "FP16" in machine.openvino:
        emulated["fp16"] = "half precision, where the CPU has it"
    return native | {"fp32": "exact"} | emulated


def available(machine: Machine, has_int8: bool) -> list[Choice]:
    """Every backend of this machine in every precision, best first."""
    return [
        Choice(backend, device, precision, f"{reason}; {why}")
        for backend, device, reason in BEST_FIRST
        for precision, why in precisions(backend, device, machine, has_int8).items()
    ]


def candidates(
    machine: Machine, has_int8: bool, backend: str = "auto", device: str = "auto", precision: str = "auto"
) -> list[Choice]:
    """Every backend here that meets the request, best first, each in its best precision.

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
    best: dict[tuple[str, str], Choice] = {}
    for choice in available(machine, has_int8):
        right_device = device == choice.device or (device == "auto" and choice.device != "tensorrt")
        if right_device and backend in ("auto", choice.backend) and precision in ("auto", choice.precision):
            best.setdefault((choice.backend, choice.device), choice)
    return list(best.values())


def wider(backend: Backend) -> Choice:
    """The same way to run the network, in single precision; without TensorRT, which would build for minutes."""
    device = "cuda" if backend.device == "tensorrt" else backend.device
    return Choice(backend.name, device, "fp32", f"{backend.precision} gave values that are not finite")


def create(checkpoint: Checkpoint, choice: Choice, threads: int = 0) -> Backend:
    """Start one backend. Raises `BackendError`, `CheckpointError`."""
    try:
        if choice.backend == "torch":
            from mono_depth_ros.backends.torch_backend import TorchBackend, restore

            return TorchBackend(restore(checkpoint), checkpoint.info, choice.device, choice.precision, threads)
        onnx = (checkpoint.int8() if choice.precision == "int8" else None) or checkpoint.onnx()
        if choice.backend == "openvino":
            from mono_depth_ros.backends.openvino_backend import OpenVinoBackend

            return OpenVinoBackend(onnx, choice.precision, threads)
        if choice.backend == "opencv":
            from mono_depth_ros.backends.opencv_backend import OpenCvBackend

            return OpenCvBackend(onnx, threads)
        from mono_depth_ros.backends.onnxruntime_backend import OnnxRuntimeBackend

        return OnnxRuntimeBackend(onnx, choice.device, choice.precision, threads)
    except (ImportError, OSError) as error:  # The latter where a shared library is missing or broken.
        raise BackendError(f"{choice.backend} can't be imported: {error}") from error


def start(
    checkpoint: Checkpoint,
    size: Size,
    backend: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    machine: Machine | None = None,
) -> tuple[Backend, Choice]:
    """Start the best backend that meets the request and works, ready for images of ``size`` (height, width).

    A backend that fails to start is left with a warning, which the choice's reason repeats, and the next one is tried.

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
            started = create(checkpoint, choice, threads)
            started.infer(np.zeros((*size, 3), np.uint8), size)
        except BackendError as error:
            logger.warning("%s", error)
            failures.append(str(error))
            continue
        choice = replace(choice, reason="; ".join([choice.reason, *failures]))
        logger.info("running on %s", choice)
        return started, choice
    if failures:
        raise BackendError(f"{request}: each backend failed to start: {'; '.join(failures)}")
    here = "; ".join(str(choice) for choice in candidates(machine, has_int8))
    note = (
        "" if has_int8 or precision != "int8" else "; the checkpoint has no int8 form, `mono-depth quantize` makes it"
    )
    raise BackendError(f"{request}: nothing on this machine runs that; here is {here}{note}")
