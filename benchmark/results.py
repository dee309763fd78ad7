"""Everything one run of the benchmark found, as plain numbers that go to JSON and back."""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmark.race import Timing
from mono_depth_ros.backends.machine import Machine

# Besides the backends' libraries, which `Machine` names.
PACKAGES = ("numpy", "timm", "transformers")


@dataclass(frozen=True)
class Facts:
    """The machine, what runs on it, and which network.

    Attributes:
        cpu, gpu: their names; no GPU is the empty string.
        cores: that this process may use.
        memory: GiB.
        native: the precisions below fp32 that the CPU computes in itself.
        versions: of the backends' libraries and Python.
        load: processes that wanted a core in the minute before, on average; 0 is quiet.
        network: the checkpoint's name.
    """

    cpu: str
    gpu: str
    cores: int
    memory: float
    native: list[str]
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
        eager, openvino, own_eager, own_openvino: the timings; ours at the nearest size in multiples of 32.
    """

    peer: str
    source: str
    parameters: float
    gigamacs: float
    eager: Timing
    openvino: Timing
    own_eager: Timing
    own_openvino: Timing

    @property
    def same_backend(self) -> float:
        """The peer's time over ours, both in OpenVINO."""
        return self.openvino.median / self.own_openvino.median

    @property
    def as_run(self) -> float:
        """The peer's time in PyTorch as users run it, over ours in OpenVINO."""
        return self.eager.median / self.own_openvino.median


@dataclass(frozen=True)
class Spread:
    """Median and 95th percentile."""

    p50: float
    p95: float


@dataclass(frozen=True)
class NodeRun:
    """One run of camera, node and watcher. Times in milliseconds.

    Attributes:
        seconds: measured, after the warm-up; the counts are of both.
        rate: frames a second that the camera published.
        image: size.
        backend: what ran, by the node's own description.
        sent: frames that the camera published; the four after it are the node's own counts.
        watched: messages that came to the watcher by topic: image, depth, points.
        age: from an image's stamp to the publication of its depth, by the middleware's time stamps.
        stages: of the node, in their order.
        rest: everything of a frame in the node but the network and the wait for it, reception and publication included.
        memory: MB of the node as the warm-up ended and in the end.
    """

    seconds: float
    rate: float
    image: str
    backend: Mapping[str, str]
    sent: int
    received: int
    published: int
    dropped: int
    failed: int
    watched: Mapping[str, int]
    age: Spread
    stages: Mapping[str, Spread]
    rest: Spread
    memory: Sequence[float]

    @property
    def lost(self) -> int:
        """Messages that were published and did not come: images to the node, and each topic to the watcher."""
        published = {"image": self.sent, "depth": self.published, "points": self.published}
        return self.sent - self.received + sum(published[topic] - came for topic, came in self.watched.items())

    @property
    def growth(self) -> float:
        """Share by which the node's memory grew after the warm-up."""
        before, after = self.memory
        return after / before - 1


@dataclass(frozen=True)
class Results:
    """One run; what was not asked for is empty.

    Attributes:
        facts: what it ran on.
        rounds: turns of each contender.
        timings: our network on each backend at each size.
        duels: with the peers.
        node: its run.
    """

    facts: Facts
    rounds: int
    timings: list[Timing] = field(default_factory=list)
    duels: list[Duel] = field(default_factory=list)
    node: NodeRun | None = None

    def times_eager(self, timing: Timing) -> float:
        """How many times as fast as eager PyTorch on the same device at the same size; NaN without that."""
        same = (timing.device, timing.height, timing.width)
        eager = (t for t in self.timings if t.backend == "eager" and (t.device, t.height, t.width) == same)
        return next((t.median / timing.median for t in eager), math.nan)

    def save(self, path: Path) -> None:
        """Write JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Results":
        """Read what `save` wrote. Raises OSError, and ValueError for a file of another kind."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            found["facts"] = Facts(**found["facts"])
            found["timings"] = [Timing(**timing) for timing in found["timings"]]
            found["duels"] = [duel(content) for content in found["duels"]]
            found["node"] = node_run(found["node"]) if found["node"] else None
            return cls(**found)
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path}: not what this version's `python -m benchmark` saves ({error})") from error


def duel(content: dict[str, Any]) -> Duel:
    """A duel from its JSON."""
    timings = {name: Timing(**value) for name, value in content.items() if isinstance(value, dict)}
    return Duel(**{**content, **timings})


def node_run(content: dict[str, Any]) -> NodeRun:
    """A run of the node from its JSON."""
    stages = {stage: Spread(**spread) for stage, spread in content["stages"].items()}
    return NodeRun(**{**content, "stages": stages, "age": Spread(**content["age"]), "rest": Spread(**content["rest"])})


def gather_facts(machine: Machine, network: str) -> Facts:
    """Facts of this machine at this moment; no path and no host's name is among them."""
    installed = {distribution.name.lower() for distribution in metadata.distributions()}
    others = [f"{name} {metadata.version(name)}" for name in PACKAGES if name in installed]
    native = {"bf16": machine.native_bf16, "int8": machine.native_int8}
    return Facts(
        cpu=machine.cpu,
        gpu=machine.gpu,
        cores=machine.cores,
        memory=machine.memory / 2**30,
        native=[precision for precision, is_native in native.items() if is_native],
        versions=[f"Python {platform.python_version()}", *machine.versions, *others],
        load=os.getloadavg()[0],
        network=network,
    )
