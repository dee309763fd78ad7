"""What this machine has: processor, graphics card, and the backends that are installed."""

import ctypes
import os
import platform
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import cv2

# Packages a backend may come in, as `importlib.metadata` calls them.
PACKAGES = ("openvino", "onnxruntime", "onnxruntime-gpu", "torch")
# Without one of these, OpenVINO emulates bfloat16, which is slower than float32.
NATIVE_BF16 = {"avx512_bf16", "amx_bf16"}
# Without one of these, int8 products are summed in 16 bits, which overflow: slower than float32, and less exact.
NATIVE_INT8 = {"avx512_vnni", "avx_vnni", "amx_int8"}


@dataclass(frozen=True)
class Machine:
    """Facts that decide which backend is best.

    Attributes:
        cpu: its name.
        cores: that this process may use.
        memory: bytes of RAM.
        gpu: name of the first CUDA device; empty without one.
        gpu_capability: its compute capability, (major, minor).
        native_bf16: the CPU multiplies bfloat16 itself.
        native_int8: the CPU sums products of int8 in 32 bits itself.
        openvino: optimisation capabilities of OpenVINO's CPU device; empty where OpenVINO is missing.
        onnxruntime: its execution providers; empty where it is missing.
        torch: PyTorch is installed.
        versions: installed backends and their versions.
    """

    cpu: str = ""
    cores: int = 1
    memory: int = 0
    gpu: str = ""
    gpu_capability: tuple[int, int] = (0, 0)
    native_bf16: bool = False
    native_int8: bool = False
    openvino: tuple[str, ...] = ()
    onnxruntime: tuple[str, ...] = ()
    torch: bool = False
    versions: tuple[str, ...] = ()


def detect() -> Machine:
    """Look at this machine. Imports no backend but OpenVINO and ONNX Runtime, and those only where installed."""
    name, flags = parse_cpuinfo(_read("/proc/cpuinfo"))
    return Machine(
        cpu=name or platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpu=gpu_name(),
        gpu_capability=gpu_capability(),
        native_bf16=bool(flags & NATIVE_BF16),
        native_int8=bool(flags & NATIVE_INT8),
        openvino=_openvino_capabilities(),
        onnxruntime=_onnxruntime_providers(),
        torch=find_spec("torch") is not None,
        versions=(
            *(f"{name} {version}" for name in PACKAGES if (version := _version(name))),
            f"opencv {cv2.__version__}",
        ),
    )


def parse_cpuinfo(text: str) -> tuple[str, set[str]]:
    """Name and features of the first processor in the text of /proc/cpuinfo."""
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    first = {key.strip(): value.strip() for key, _, value in lines}
    return first.get("model name", ""), set(first.get("flags", first.get("Features", "")).split())


def gpu_name() -> str:
    """Name of the first CUDA device, from the driver alone; empty without one."""
    name = ctypes.create_string_buffer(256)
    driver = _cuda_driver()
    return name.value.decode() if driver and driver.cuDeviceGetName(name, len(name), 0) == 0 else ""


def gpu_capability() -> tuple[int, int]:
    """Compute capability (major, minor) of the first CUDA device, from the driver alone; (0, 0) without one."""
    driver, (major, minor) = _cuda_driver(), (ctypes.c_int(), ctypes.c_int())
    for value, attribute in ((major, 75), (minor, 76)):  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
        if not driver or driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, 0) != 0:
            return 0, 0
    return major.value, minor.value


def _cuda_driver() -> ctypes.CDLL | None:
    """The driver, ready; None where there is none, or no device."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    return driver if driver.cuInit(0) == 0 else None


def tensorrt_version() -> str:
    """Version of TensorRT's library; empty where it can't be loaded."""
    for major in (11, 10, 8):
        try:
            return f"TensorRT {ctypes.CDLL(f'libnvinfer.so.{major}').getInferLibVersion()}"
        except OSError:
            continue
    return ""


def _openvino_capabilities() -> tuple[str, ...]:
    if find_spec("openvino") is None:
        return ()
    from mono_depth_ros.backends.silent_openvino import openvino

    return tuple(openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def _onnxruntime_providers() -> tuple[str, ...]:
    if find_spec("onnxruntime") is None:
        return ()
    import onnxruntime

    return tuple(onnxruntime.get_available_providers())


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
