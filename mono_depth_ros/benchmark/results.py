"""Everything one run of the benchmark found, as plain numbers that go to JSON and back."""

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from mono_depth_ros.backends.machine import Machine, parse_cpuinfo
from mono_depth_ros.benchmark.limits import Limit
from mono_depth_ros.benchmark.race import Timing

# Instruction sets that decide how fast a network runs.
INSTRUCTIONS = (
    "avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8",
    "asimd", "asimddp", "i8mm", "bf16",
)  # fmt: skip
# Besides the engines, which `Machine` names.
PACKAGES = ("numpy", "timm", "transformers")


@dataclass(frozen=True)
class Facts:
    """The machine, what runs on it, and which network.

    Attributes:
        cpu, gpu: their names; no GPU is the empty string.
        cores: that this process may use.
        memory: GiB.
        instructions: which of `INSTRUCTIONS` the CPU has.
        versions: of the engines and Python.
        load: processes that wanted a core in the minute before, on average; 0 is quiet.
        network: the checkpoint's name.
    """

    cpu: str
    gpu: str
    cores: int
    memory: float
    instructions: list[str]
    versions: list[str]
    load: float
    network: str


@dataclass(frozen=True)
class Duel:
    """A peer beside ours at its own input size, both in eager PyTorch and in OpenVINO, all in one race.

    Attributes:
        peer: its name.
        source: where it was published.
        parameters: millions.
        gigamacs: thousand millions of multiply-accumulates at its size.
        eager, engine, own_eager, own_engine: the timings; ours at the nearest size in multiples of 32.
    """

    peer: str
    source: str
    parameters: float
    gigamacs: float
    eager: Timing
    engine: Timing
    own_eager: Timing
    own_engine: Timing

    @property
    def same_engine(self) -> float:
        """The peer's time over ours, both in OpenVINO."""
        return self.engine.median / self.own_engine.median

    @property
    def as_run(self) -> float:
        """The peer's time in PyTorch as users run it, over ours in OpenVINO."""
        return self.eager.median / self.own_engine.median


@dataclass(frozen=True)
class Results:
    """One run.

    Attributes:
        facts: what it ran on.
        rounds: turns of each contender.
        timings: our network on each engine at each size.
        parameters, gigamacs: of our network at 480x640; 0 where PyTorch, which counts them, is missing.
        duels: with the peers; empty unless they were asked for.
        on_gpu: network alone and frame to cloud; empty without a GPU and PyTorch.
        limits: at 480x640, one a precision; empty without PyTorch.
        gigabytes: thousand million bytes a second that memory gave; 0 without PyTorch.
        node: what `mono_depth_ros.demo.node_benchmark` wrote; empty unless it was asked for.
    """

    facts: Facts
    rounds: int
    timings: list[Timing]
    parameters: float = 0.0
    gigamacs: float = 0.0
    duels: list[Duel] = field(default_factory=list)
    on_gpu: list[Timing] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    gigabytes: float = 0.0
    node: dict[str, Any] = field(default_factory=dict)

    def on(self, device: str, size: tuple[int, int]) -> list[Timing]:
        """Timings of our network on one device at one (height, width)."""
        return [t for t in self.timings if (t.device, t.height, t.width) == (device, *size)]

    def find(self, backend: str, device: str, precision: str, size: tuple[int, int]) -> Timing | None:
        """Our network's timing on one engine at one (height, width); None where it was not measured."""
        return next((t for t in self.on(device, size) if (t.backend, t.precision) == (backend, precision)), None)

    def times_eager(self, timing: Timing) -> float:
        """How many times as fast as eager PyTorch on the same device at the same size; NaN without that."""
        eager = self.find("eager", timing.device, "fp32", (timing.height, timing.width))
        return eager.median / timing.median if eager else math.nan

    def save(self, path: Path) -> None:
        """Write JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Results":
        """Read what `save` wrote. Raises OSError, and ValueError for a file of another kind."""
        try:
            found = json.loads(path.read_text())
            found["facts"] = Facts(**found["facts"])
            for name in ("timings", "on_gpu"):
                found[name] = [Timing(**timing) for timing in found[name]]
            found["duels"] = [duel(content) for content in found["duels"]]
            found["limits"] = [Limit(**limit) for limit in found["limits"]]
            return cls(**found)
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path}: not what this version's `mono-depth benchmark` saves ({error})") from error


def duel(content: dict[str, Any]) -> Duel:
    """A duel from its JSON."""
    timings = {name: Timing(**value) for name, value in content.items() if isinstance(value, dict)}
    return Duel(**{**content, **timings})


def fastest(timings: Sequence[Timing]) -> Timing | None:
    """The one with the least median; None of none."""
    return min(timings, key=lambda timing: timing.median, default=None)


def gather_facts(machine: Machine, network: str) -> Facts:
    """Facts of this machine at this moment; no path and no host's name is among them."""
    _, flags = parse_cpuinfo(read("/proc/cpuinfo"))
    installed = {distribution.name.lower() for distribution in metadata.distributions()}
    others = [f"{name} {metadata.version(name)}" for name in PACKAGES if name in installed]
    return Facts(
        cpu=machine.cpu,
        gpu=machine.gpu,
        cores=machine.cores,
        memory=machine.memory / 2**30,
        instructions=[name for name in INSTRUCTIONS if name in flags],
        versions=[f"Python {platform.python_version()}", *machine.versions, *others],
        load=os.getloadavg()[0],
        network=network,
    )


def read(path: str) -> str:
    """The file's text; empty on a system without it."""
    return Path(path).read_text() if Path(path).is_file() else ""
