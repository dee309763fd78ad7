"""The benchmark's pictures: cost against pixels for each backend, ours beside the peers, and the node's time."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmark.race import Timing
from benchmark.results import Duel, Spread
from benchmark.tables import size


def plot_cost(path: Path, timings: Sequence[Timing]) -> None:
    """How the time of a frame grows with the number of pixels, one line a backend."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for label in dict.fromkeys(t.label for t in timings):
        mine = [t for t in timings if t.label == label]
        axes.loglog([t.height * t.width for t in mine], [t.median for t in mine], marker="o", label=label)
    sizes = sorted({(t.height * t.width, size(t)) for t in timings})
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
    openvino = duels[0].openvino.label
    bars = {
        "the peer, torch eager": ("tab:orange", 0.45, [d.eager.median for d in duels]),
        f"the peer, {openvino}": ("tab:orange", 1.0, [d.openvino.median for d in duels]),
        "ours, torch eager": ("tab:blue", 0.45, [d.own_eager.median for d in duels]),
        f"ours, {openvino}": ("tab:blue", 1.0, [d.own_openvino.median for d in duels]),
    }
    for place, (label, (colour, alpha, heights)) in enumerate(bars.items()):
        rows = [index + 0.2 * (place - 1.5) for index in range(len(duels))]
        drawn = axes.barh(rows, heights, 0.18, color=colour, alpha=alpha, label=label)
        axes.bar_label(drawn, [f"{height:.3g}" for height in heights], padding=3, fontsize=8)
    names = [f"{d.peer}\n{size(d.eager)}" for d in duels]
    axes.set_yticks(range(len(duels)), names, fontsize=9)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.1)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="median milliseconds a frame")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)


def plot_stages(path: Path, stages: Mapping[str, Spread]) -> None:
    """Where the time of a frame goes in the node: the stages' medians, one after the other."""
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    axes = figure.subplots()
    left = 0.0
    for stage, spread in stages.items():
        axes.barh(0, spread.p50, left=left, label=f"{stage} {spread.p50:.2f}")
        left += spread.p50
    axes.set(yticks=[], xlabel="milliseconds of a frame in the node: the stages' medians")
    figure.legend(loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    figure.savefig(path, dpi=130)
