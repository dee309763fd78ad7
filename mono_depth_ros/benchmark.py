"""How long a frame takes on each backend of this machine, at several sizes of the network's input: one table."""

from collections.abc import Sequence
from time import perf_counter

import numpy as np

from mono_depth_ros.backends import Backend, BackendError, select
from mono_depth_ros.backends.machine import Machine
from mono_depth_ros.checkpoint import Checkpoint
from mono_depth_ros.estimator import network_size
from mono_depth_ros.tables import markdown

# Sides of the input over those that the checkpoint was trained for.
SCALES = (0.25, 0.5, 0.75, 1.0)


def measure(checkpoint: Checkpoint, machine: Machine, seconds: float) -> str:
    """Time every backend and precision here; a backend that fails is a row that says why.

    One runs after the other in this process. TensorRT is left out: it would build for minutes.

    Args:
        checkpoint: of the network.
        machine: this one.
        seconds: for each backend at each size; one frame at least.

    Returns:
        a table in Markdown: milliseconds a frame (median), by backend and (height x width).
    """
    native, multiple = checkpoint.info.input_size, checkpoint.info.multiple
    sizes = [input_size(native, scale, multiple) for scale in SCALES] if multiple else [native]
    rows = []
    for choice in select.available(machine, bool(checkpoint.info.int8_sha256)):
        if choice.device != "tensorrt":
            name = f"{choice.backend} {choice.device} {choice.precision}"
            try:
                backend = select.create(checkpoint, choice)
                rows.append((name, *(f"{milliseconds(backend, size, seconds):.1f}" for size in sizes)))
            except BackendError as error:
                rows.append((f"{name}: {error}", *("-" for _ in sizes)))
    return markdown(("milliseconds a frame", *(f"{height}x{width}" for height, width in sizes)), rows)


def input_size(native: Sequence[int], scale: float, multiple: int) -> tuple[int, int]:
    """The nearest (height, width) that the network takes."""
    height, width = (max(round(side * scale), multiple) for side in native)
    return network_size(height, width, (height, width), multiple)


def milliseconds(backend: Backend, size: tuple[int, int], seconds: float) -> float:
    """Median time from an 8-bit RGB frame of the network's size to its depth. Raises `BackendError`."""
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    backend.infer(rgb, size)
    times: list[float] = []
    while sum(times) < seconds or not times:
        started = perf_counter()
        backend.infer(rgb, size)
        times.append(perf_counter() - started)
    return 1e3 * float(np.median(times))
