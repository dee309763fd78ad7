"""Runs of the benchmark made by hand, so that every ratio is known."""

from mono_depth_ros.benchmark.limits import Limit
from mono_depth_ros.benchmark.race import Timing
from mono_depth_ros.benchmark.results import Duel, Facts, Results
from mono_depth_ros.demo.node_figures import Figures, Spread

FACTS = Facts("a CPU", "", 2, 24.0, ["avx2"], ["Python 3.11.7", "openvino 2026.4.1"], 0.1, "weights")


def timing(engine: str, size: tuple[int, int], median: float, network: str = "mono_depth_ros") -> Timing:
    """``engine`` is "backend device precision"."""
    return Timing(network, *engine.split(), *size, median, 1.5 * median, 100.0)


def duel(peer: str, eager: float, engine: float, own_eager: float, own_engine: float) -> Duel:
    """Times in milliseconds."""
    peers, ours = (518, 686), (512, 672)
    return Duel(
        peer,
        "somebody 2024",
        24.8,
        83.7,
        timing("eager cpu fp32", peers, eager, peer),
        timing("openvino cpu bf16", peers, engine, peer),
        timing("eager cpu fp32", ours, own_eager),
        timing("openvino cpu bf16", ours, own_engine),
    )


def node(seconds: float = 300, lost: int = 0) -> dict:
    """What the node's benchmark writes."""
    return Figures(
        seconds=seconds,
        rate=30,
        image="640x480",
        engine={"backend": "openvino"},
        sent=9300,
        received=9300 - lost,
        published=9300,
        dropped=0,
        failed=0,
        watched={"image": 9300, "depth": 9300, "points": 9300},
        age=Spread(20.0, 24.0),
        stages={"decode": Spread(0.5, 0.7), "network": Spread(14.0, 15.0)},
        rest=Spread(4.5, 5.0),
        memory=(400.0, 402.0),
    ).content()


def run(**changes) -> Results:
    """Two sizes, three engines and int8; 480x640 takes four times as long as 256x320."""
    times = {"eager cpu fp32": 55, "openvino cpu fp32": 25, "openvino cpu bf16": 15, "openvino cpu int8": 12.5}
    timings = [timing(engine, (256, 320), ms) for engine, ms in times.items()]
    timings += [timing(engine, (480, 640), 4 * ms) for engine, ms in times.items()]
    limits = [Limit("bf16", 700.0, 16.0, 12.0, 20.0), Limit("int8", 1400.0, 8.0, 6.0, 10.0)]
    given = {"parameters": 4.82, "gigamacs": 5.73, "limits": limits, "gigabytes": 20.0, **changes}
    return Results(FACTS, 20, timings, **given)
