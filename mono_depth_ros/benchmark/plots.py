"""The benchmark's pictures: cost against pixels for each engine, and ours beside the peers."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from mono_depth_ros.benchmark.race import Timing
from mono_depth_ros.benchmark.results import Duel
from mono_depth_ros.benchmark.tables import digits


def plot_cost(path: Path, timings: Sequence[Timing]) -> None:
    """How the time of a frame grows with the number of pixels, one line an engine."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for engine in dict.fromkeys(t.engine for t in timings):
        mine = [t for t in timings if t.engine == engine]
        axes.loglog([t.height * t.width for t in mine], [t.median for t in mine], marker="o", label=engine)
    sizes = sorted({(t.height * t.width, f"{t.height}x{t.width}") for t in timings})
    axes.set_xticks([pixels for pixels, _ in sizes], [label for _, label in sizes], rotation=30)
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="network input, height x width", ylabel="median milliseconds a frame")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)


def plot_duels(path: Path, duels: Sequence[Duel]) -> None:
    """Four bars a peer: it and ours, in eager PyTorch and in OpenVINO, at its input size."""
    figure = Figure(figsize=(8, 0.5 + 1.2 * len(duels)), layout="constrained")
    axes = figure.subplots()
    engine = duels[0].engine.engine
    bars = {
        "the peer, torch eager": ("tab:orange", 0.45, [d.eager.median for d in duels]),
        f"the peer, {engine}": ("tab:orange", 1.0, [d.engine.median for d in duels]),
        "ours, torch eager": ("tab:blue", 0.45, [d.own_eager.median for d in duels]),
        f"ours, {engine}": ("tab:blue", 1.0, [d.own_engine.median for d in duels]),
    }
    for place, (label, (colour, alpha, heights)) in enumerate(bars.items()):
        rows = [index + 0.2 * (place - 1.5) for index in range(len(duels))]
        drawn = axes.barh(rows, heights, 0.18, color=colour, alpha=alpha, label=label)
        axes.bar_label(drawn, [digits(height) for height in heights], padding=3, fontsize=8)
    names = [f"{d.peer}\n{d.eager.height}x{d.eager.width}" for d in duels]
    axes.set_yticks(range(len(duels)), names, fontsize=9)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.1)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="median milliseconds a frame")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)
