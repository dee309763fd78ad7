"""Runs of the benchmark made by hand, so that every ratio is known."""

from benchmark.race import Timing
from benchmark.results import Duel, Facts, NodeRun, Results, Spread

FACTS = Facts("a CPU", "", 2, 24.0, ["int8"], ["Python 3.11.7", "openvino 2026.4.1"], 0.1, "weights")
NODE = NodeRun(
    seconds=300,
    rate=30,
    image="640x480",
    backend={"backend": "openvino"},
    sent=9300,
    received=9300,
    published=9290,
    dropped=10,
    failed=0,
    watched={"image": 9300, "depth": 9290, "points": 9290},
    age=Spread(20.0, 24.0),
    stages={"decode": Spread(0.5, 0.7), "network": Spread(14.0, 15.0)},
    rest=Spread(4.5, 5.0),
    memory=[400.0, 402.0],
)


def timing(way: str, size: tuple[int, int], median: float, network: str = "mono_depth_ros") -> Timing:
    """``way`` is "backend device precision"."""
    return Timing(network, *way.split(), *size, median, 1.5 * median, 100.0)


def duel(peer: str, eager: float, openvino: float, own_eager: float, own_openvino: float) -> Duel:
    """Times in milliseconds."""
    peers, ours = (518, 686), (512, 672)
    return Duel(
        peer,
        "somebody 2024",
        24.8,
        83.7,
        timing("eager cpu fp32", peers, eager, peer),
        timing("openvino cpu bf16", peers, openvino, peer),
        timing("eager cpu fp32", ours, own_eager),
        timing("openvino cpu bf16", ours, own_openvino),
    )


def run(**changes) -> Results:
    """Two sizes, three backends and int8; 480x640 takes four times as long as 256x320."""
    times = {"eager cpu fp32": 55, "openvino cpu fp32": 25, "openvino cpu bf16": 15, "openvino cpu int8": 12.5}
    timings = [timing(way, (256, 320), ms) for way, ms in times.items()]
    timings += [timing(way, (480, 640), 4 * ms) for way, ms in times.items()]
    return Results(FACTS, 20, timings, **changes)
