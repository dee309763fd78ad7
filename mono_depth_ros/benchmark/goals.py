"""The goals that were set for speed, and whether a run reached them; each is a ratio or a figure of that one run."""

from collections.abc import Iterator
from dataclasses import dataclass

from mono_depth_ros.benchmark.on_gpu import ALONE, TO_CLOUD
from mono_depth_ros.benchmark.peers import DEPTH_ANYTHING, METER, Peer
from mono_depth_ros.benchmark.results import Duel, Results, fastest

FULL = (480, 640)
# The nearest to 240x320 in multiples of 32.
SMALL = (256, 320)
NODE_SECONDS = 300
NO_PEER = "not measured: --peers"
NO_NODE = "not measured: --node"
NO_GPU = "no GPU was at hand"


@dataclass(frozen=True)
class Goal:
    """One goal.

    Attributes:
        what: is measured.
        limit: the figure to reach.
        unit: of both figures.
        found: the figure of this run; None where it was not measured.
        note: what was compared, or why nothing was measured.
        is_ceiling: less is better.
    """

    what: str
    limit: float
    unit: str
    found: float | None
    note: str = ""
    is_ceiling: bool = False

    @property
    def verdict(self) -> str:
        """``reached``, ``missed`` or ``open``."""
        if self.found is None:
            return "open"
        reached = self.found <= self.limit if self.is_ceiling else self.found >= self.limit
        return "reached" if reached else "missed"


def goals(results: Results) -> list[Goal]:
    """All of them, measured or open."""
    return [*network(results), *against_peers(results), *node(results), *on_gpu(results)]


def network(results: Results) -> Iterator[Goal]:
    """Our network on the CPU."""
    eager = results.find("eager", "cpu", "fp32", FULL)
    best = fastest(results.on("cpu", FULL))
    ratio = eager.median / best.median if eager and best else None
    name = f"{best.engine} against {eager.engine}" if eager and best else "PyTorch is missing"
    yield Goal("network at 480x640, best engine against PyTorch, as users run it", 5, "x", ratio, name)

    best = fastest(results.on("cpu", SMALL))
    rate = best.rate if best else None
    name = f"{best.engine}; run at 256x320, since sides are multiples of 32" if best else "not measured"
    yield Goal("network at 240x320", 60, "frames/s", rate, name)

    single, int8 = (results.find("openvino", "cpu", precision, FULL) for precision in ("fp32", "int8"))
    ratio = single.median / int8.median if single and int8 else None
    name = "" if int8 else "no int8 form; `mono-depth quantize` makes it"
    yield Goal("int8 against fp32, both OpenVINO, at 480x640", 2.2, "x", ratio, name)


def against_peers(results: Results) -> Iterator[Goal]:
    """Ours on the best engine against two peers."""
    large, small = duel(results, DEPTH_ANYTHING), duel(results, METER)
    ratio = large.same_engine if large else None
    yield Goal(f"against {DEPTH_ANYTHING.name}, same engine", 8, "x", ratio, sizes(large))
    ratio = large.as_run if large else None
    yield Goal(f"against {DEPTH_ANYTHING.name} in PyTorch, as users run it", 20, "x", ratio, sizes(large))
    ratio = small.as_run if small else None
    yield Goal(f"against {METER.name} in PyTorch, as users run it", 2, "x", ratio, sizes(small))


def duel(results: Results, peer: Peer) -> Duel | None:
    """The one with this peer."""
    return next((duel for duel in results.duels if duel.peer == peer.name), None)


def sizes(duel: Duel | None) -> str:
    """Both input sizes, height by width, and our engine."""
    if duel is None:
        return NO_PEER
    peer, own = duel.eager, duel.own_engine
    return f"{peer.height}x{peer.width}, ours at {own.height}x{own.width} on {own.engine}"


def node(results: Results) -> Iterator[Goal]:
    """Those of the node's own run, which says what it should reach; a short one tells too little to judge."""
    found = results.node
    if not found:
        yield Goal("node at 640x480: all but the network, p50", 6, "ms", None, NO_NODE, True)
        return
    is_long = found["seconds"] >= NODE_SECONDS
    note = "" if is_long else f"ran for {found['seconds']:.0f} s, judged from {NODE_SECONDS} on"
    for goal in found["goals"]:
        yield Goal(f"node: {goal['what']}", goal["most"], "", goal["found"] if is_long else None, note, True)


def on_gpu(results: Results) -> Iterator[Goal]:
    """On one H100; a figure of another GPU would say nothing about these."""
    gpu = results.facts.gpu
    times = {timing.network: timing.median for timing in results.on_gpu} if "H100" in gpu else {}
    why = f"on {gpu}" if gpu else NO_GPU
    yield Goal("H100: network at 480x640 in fp16", 1.0, "ms", times.get(ALONE), why, True)
    yield Goal("H100: frame to cloud at 480x640 in fp16", 2.5, "ms", times.get(TO_CLOUD), why, True)
    why = "`python -m training throughput` measures it" if gpu else NO_GPU
    yield Goal("H100: training at 416x544, mixed precision", 600, "images/s", None, why)
