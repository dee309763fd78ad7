"""The picture of a soak: memory, threads, open files and rate over time, with the events marked."""

from itertools import pairwise
from pathlib import Path

from matplotlib.figure import Figure

from mono_depth_ros.ros.statistics import PUBLISHED, RECEIVED
from test.soak.record import CALM, EVENT, REPORT, SAMPLE, STEADY, Line, of_kind


def draw(lines: list[Line], path: Path) -> None:
    """Write the picture of a record."""
    figure = Figure(figsize=(11, 9), layout="constrained")
    memory, counts, rate, events = figure.subplots(4, 1, sharex=True, height_ratios=(3, 2, 2, 2))
    samples, reports = of_kind(lines, SAMPLE), of_kind(lines, REPORT)
    minutes = [sample["t"] / 60 for sample in samples]
    for name, label in (("rss", "resident"), ("pss", "its share (PSS)"), ("private", "its own")):
        memory.plot(minutes, [sample[name] for sample in samples], label=label, linewidth=0.9)
    memory.set_ylabel("memory, MiB")
    for name, label in (("threads", "threads"), ("files", "open files")):
        counts.plot(minutes, [sample[name] for sample in samples], label=label, linewidth=0.9)
    for name, label in ((RECEIVED, "received"), (PUBLISHED, "published")):
        rates = [(b[name] - a[name]) / max((b["stamp"] - a["stamp"]) / 1e9, 1e-9) for a, b in pairwise(reports)]
        rate.plot([report["t"] / 60 for report in reports[1:]], rates, label=label, linewidth=0.9)
    rate.set_ylabel("frames a second")
    happened = of_kind(lines, EVENT)
    kinds = sorted({event["event"] for event in happened})
    for event in happened:
        colour = "tab:blue" if event["ok"] else "tab:red"
        events.plot(event["t"] / 60, kinds.index(event["event"]), "|", color=colour, markersize=8)
    events.set_yticks(range(len(kinds)), kinds)
    events.set_xlabel("minutes")
    for axes in (memory, counts, rate):
        axes.set_ylim(bottom=0)
        axes.legend(loc="lower right", ncols=3, fontsize="small")
    for axes in (memory, counts, rate, events):
        for calm in [*of_kind(lines, CALM), *of_kind(lines, STEADY)]:
            axes.axvspan(calm["since"] / 60, calm["t"] / 60, color="0.92", linewidth=0)
    memory.set_title("depth_node in the soak; grey: calm, in the reference state", fontsize="medium")
    figure.savefig(path, dpi=110)
