"""The benchmark's tables, for the screen and for the document."""

import math
from collections.abc import Sequence

from benchmark.race import Timing
from benchmark.results import Duel, NodeRun, Results
from mono_depth_ros.tables import markdown


def printed(results: Results) -> str:
    """All that a run has, for the screen."""
    found = [backend_table(results)] if results.timings else []
    found += [duel_table(results.duels)] if results.duels else []
    found += [node_sentence(results.node), node_table(results.node)] if results.node else []
    return "\n\n".join(found)


def size(timing: Timing) -> str:
    """Of the network's input, height by width."""
    return f"{timing.height}x{timing.width}"


def backend_table(results: Results) -> str:
    """Backend x precision x size."""
    header = ("input", "backend", "median, ms", "p95, ms", "frames/s", "memory, MiB", "x eager")
    rows = []
    for t in results.timings:
        ratio = results.times_eager(t)
        numbers = (f"{t.median:.1f}", f"{t.p95:.1f}", f"{t.rate:.1f}", f"{t.memory:.0f}")
        rows.append((size(t), t.label, *numbers, "-" if math.isnan(ratio) else f"{ratio:.2f}"))
    return markdown(header, rows, words=2)


def duel_table(duels: Sequence[Duel]) -> str:
    """What each peer costs, and how long it and ours take."""
    openvino = duels[0].openvino.label
    theirs = ("network", "input", "parameters, M", "GMACs", "torch eager, ms", f"{openvino}, ms")
    ours = ("ours at", "torch eager, ms", f"{openvino}, ms")
    header = (*theirs, *ours, "x same backend", "x as users run it")
    rows = []
    for d in duels:
        costs = f"{d.parameters:.2f}", f"{d.gigamacs:.2f}", f"{d.eager.median:.1f}", f"{d.openvino.median:.1f}"
        beside = size(d.own_eager), f"{d.own_eager.median:.1f}", f"{d.own_openvino.median:.1f}"
        ratios = f"{d.same_backend:.2f}", f"{d.as_run:.2f}"
        rows.append((f"{d.peer} ({d.source})", size(d.eager), *costs, *beside, *ratios))
    return markdown(header, rows, words=2)


def node_sentence(run: NodeRun) -> str:
    """What the node's processes did."""
    came = ", ".join(f"{count} {name}" for name, count in run.watched.items())
    return (
        f"Three processes over DDS for {run.seconds:.0f} s after a warm-up: a camera that sends {run.image} at "
        f"{run.rate:g} Hz, the node, and a watcher of image, depth and cloud. {run.sent} frames were sent, "
        f"{run.received} came to the node, {run.dropped} of them gave way to newer ones, {run.published} were "
        f"published. The watcher got {came}; {run.lost} messages were lost. The node's memory grew by "
        f"{run.growth:.1%}. Everything but the network takes {run.rest.p50:.2f} ms (p50)."
    )


def node_table(run: NodeRun) -> str:
    """Where the node's time goes."""
    stages = {**run.stages, "age at publish": run.age}
    rows = [(name, f"{spread.p50:.2f}", f"{spread.p95:.2f}") for name, spread in stages.items()]
    return markdown(("stage", "p50, ms", "p95, ms"), rows)
