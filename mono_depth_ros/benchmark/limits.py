"""What this machine can do at most, measured, and the least time that leaves the network (the roofline model).

Roofline: a layer takes at least its operations over the highest rate of operations, and at least its bytes over the
highest rate of bytes (Williams et al., 2009).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import openvino
from openvino import opset8 as ops

from mono_depth_ros.backends.openvino_backend import HINTS
from mono_depth_ros.benchmark.race import Contender, Runner, Timing, race

# A product of square matrices: large enough to keep every unit busy, small enough to stay in the last cache.
PRODUCT = 1024
# Values of a sum that no cache holds: 64 MiB are read, and as many written.
SUM = (4096, 4096)
BYTES = {"fp32": 4, "bf16": 2, "int8": 1}


@dataclass(frozen=True)
class Limit:
    """The least a network can take in one precision.

    Attributes:
        precision: of weights and maps.
        gigaflops: thousand million operations a second of a large product; a multiply-accumulate is two.
        operations: milliseconds, were operations all there is.
        bytes: milliseconds, were bytes from and to memory all there is.
        roofline: milliseconds, each layer held up by whichever of the two is slower.
    """

    precision: str
    gigaflops: float
    operations: float
    bytes: float
    roofline: float


@dataclass(frozen=True)
class Ceiling(Contender):
    """A graph of one operation in OpenVINO: ``product`` or ``sum``, by ``network``."""

    def start(self) -> Runner:
        """See `Contender.start`."""
        size = (self.height, self.width)
        model = total(size) if self.network == "sum" else product(size, self.precision == "int8")
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": HINTS[self.precision]}
        return Graph(openvino.Core().compile_model(model, "CPU", options))


class Graph:
    """A compiled graph that runs on its own numbers, whatever the frame."""

    def __init__(self, compiled: openvino.CompiledModel) -> None:
        self._request = compiled.create_infer_request()

    def prepare(self, height: int, width: int) -> None:
        """Set the numbers."""
        self._request.set_input_tensor(openvino.Tensor(np.full((height, width), 0.5, np.float32)))

    def infer(self, rgb: np.ndarray) -> Any:
        """Run."""
        self._request.infer(share_outputs=True)


def product(size: tuple[int, int], is_int8: bool) -> openvino.Model:
    """A matrix times a constant one; ``is_int8`` brackets both in the quantisation that OpenVINO makes int8 of."""
    matrix = ops.parameter(size, np.float32)
    constant = ops.constant(np.random.default_rng(0).uniform(-1, 1, size).astype(np.float32))
    factors = (quantised(matrix, 0, 255), quantised(constant, -128, 127)) if is_int8 else (matrix, constant)
    return openvino.Model([ops.matmul(*factors, False, False)], [matrix], "product")


def quantised(values: Any, lowest: int, highest: int) -> Any:
    """Values rounded to hundredths, in 256 steps."""
    ends = [ops.constant(np.float32(end / 100)) for end in (lowest, highest)]
    return ops.fake_quantize(values, *ends, *ends, 256)


def total(size: tuple[int, int]) -> openvino.Model:
    """Values plus one: as little arithmetic as there can be for what is moved."""
    values = ops.parameter(size, np.float32)
    return openvino.Model([ops.add(values, ops.constant(np.float32(1)))], [values], "sum")


def measure(precisions: Sequence[str], rounds: int) -> list[Timing]:
    """Time the product in each precision (fp32, bf16, int8) and the sum. Raises `BackendError`."""
    products = [Ceiling("product", "openvino", "cpu", p, PRODUCT, PRODUCT) for p in precisions]
    return race([*products, Ceiling("sum", "openvino", "cpu", "fp32", *SUM)], rounds, "limits")


def gigaflops(timing: Timing) -> float:
    """Thousand million operations a second of a timed product; a multiply-accumulate is two."""
    return 2 * timing.height**2 * timing.width / timing.median / 1e6


def gigabytes(timings: Sequence[Timing]) -> float:
    """Thousand million bytes a second that the sum among these read and wrote."""
    (found,) = (t for t in timings if t.network == "sum")
    return 2 * BYTES["fp32"] * found.height * found.width / found.median / 1e6


def limits(timings: Sequence[Timing], layers: Sequence[tuple[int, int]]) -> list[Limit]:
    """One for each precision whose product was timed.

    Args:
        timings: of `measure`.
        layers: multiply-accumulates, and values read and written, of each layer.
    """
    rate = gigabytes(timings)
    found = []
    for timed in timings:
        if timed.network == "product":
            flops = gigaflops(timed)
            operations = [2 * macs / flops / 1e6 for macs, _ in layers]
            moved = [values * BYTES[timed.precision] / rate / 1e6 for _, values in layers]
            roofline = sum(map(max, operations, moved))
            found.append(Limit(timed.precision, flops, sum(operations), sum(moved), roofline))
    return found
