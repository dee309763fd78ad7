"""The benchmark's tables in Markdown, for the screen and for the document."""

import math
from collections.abc import Iterable, Sequence

from mono_depth_ros.benchmark.goals import FULL, Goal, goals
from mono_depth_ros.benchmark.results import Duel, Results

NONE = "-"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A table; the first ``words`` columns are words, the others numbers."""
    rule = ["---"] * words + ["--:"] * (len(header) - words)
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *rows))


def printed(results: Results) -> str:
    """All that a run has, for the screen."""
    found = [engine_table(results)]
    found += [duel_table(results.duels)] if results.duels else []
    found += [node_table(results)] if results.node else []
    found += [limit_table(results)] if results.limits else []
    return "\n\n".join([*found, goal_table(goals(results))])


def engine_table(results: Results) -> str:
    """Engine x precision x size."""
    header = ("input", "engine", "median, ms", "p95, ms", "frames/s", "peak memory, MiB", "x eager")
    rows = []
    for t in results.timings:
        ratio = results.times_eager(t)
        numbers = (f"{t.median:.1f}", f"{t.p95:.1f}", f"{t.rate:.1f}", f"{t.memory:.0f}")
        rows.append((f"{t.height}x{t.width}", t.engine, *numbers, NONE if math.isnan(ratio) else f"{ratio:.2f}"))
    return markdown(header, rows, words=2)


def duel_table(duels: Sequence[Duel]) -> str:
    """What each peer costs, and how long it and ours take."""
    engine = duels[0].engine.engine
    theirs = ("network", "input", "parameters, M", "GMACs", "torch eager, ms", f"{engine}, ms")
    ours = ("ours at", "torch eager, ms", f"{engine}, ms")
    header = (*theirs, *ours, "x same engine", "x as users run it")
    rows = []
    for d in duels:
        own = d.own_engine
        ratios = f"{d.same_engine:.2f}", f"{d.as_run:.2f}"
        costs = f"{d.parameters:.2f}", f"{d.gigamacs:.2f}", f"{d.eager.median:.1f}", f"{d.engine.median:.1f}"
        beside = f"{own.height}x{own.width}", f"{d.own_eager.median:.1f}", f"{own.median:.1f}"
        rows.append((f"{d.peer} ({d.source})", f"{d.eager.height}x{d.eager.width}", *costs, *beside, *ratios))
    return markdown(header, rows, words=2)


def goal_table(judged: Sequence[Goal]) -> str:
    """What was to be reached and what was."""
    rows = []
    for goal in judged:
        sign = "at most" if goal.is_ceiling else "at least"
        found = NONE if goal.found is None else quantity(goal.found, goal.unit)
        rows.append((goal.what, f"{sign} {quantity(goal.limit, goal.unit)}", found, goal.verdict, goal.note))
    return markdown(("what", "goal", "found", "verdict", "of what, or why not"), rows, words=5)


def quantity(number: float, unit: str) -> str:
    """The number and its unit."""
    return digits(number) + (unit if unit in ("x", "") else f" {unit}")


def digits(number: float) -> str:
    """Three digits at least, and no exponent."""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


def limit_table(results: Results) -> str:
    """The least time at 480x640 in each precision, and what OpenVINO takes."""
    header = ("precision", "product, GFLOP/s", "operations, ms", "bytes, ms", "roofline, ms", "measured, ms", "share")
    rows = []
    for limit in results.limits:
        found = results.find("openvino", "cpu", limit.precision, FULL)
        measured = (f"{found.median:.1f}", f"{limit.roofline / found.median:.0%}") if found else (NONE, NONE)
        least = f"{limit.operations:.1f}", f"{limit.bytes:.1f}", f"{limit.roofline:.1f}"
        rows.append((limit.precision, f"{limit.gigaflops:.0f}", *least, *measured))
    return markdown(header, rows)


def node_table(results: Results) -> str:
    """Where the node's time goes."""
    stages = {**results.node["stages_ms"], "age at publish": results.node["age_at_publish_ms"]}
    rows = [(name, f"{spread['p50']:.2f}", f"{spread['p95']:.2f}") for name, spread in stages.items()]
    return markdown(("stage", "p50, ms", "p95, ms"), rows)
