"""The document of a run: what was measured on what, how, and what it amounts to."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from mono_depth_ros.benchmark import plots, tables
from mono_depth_ros.benchmark.goals import FULL, goals
from mono_depth_ros.benchmark.limits import PRODUCT
from mono_depth_ros.benchmark.race import TURN_SECONDS
from mono_depth_ros.benchmark.results import Results, fastest


def picture(report: Path, name: str) -> Path:
    """Where a picture of the report goes."""
    return report.parent / "images" / f"{report.stem}_{name}.png"


def write(results: Results, report: Path) -> None:
    """Write the document, its pictures under ``images``, and the numbers as JSON beside it.

    The node's picture is the one that its run has left there.
    """
    picture(report, "cost").parent.mkdir(parents=True, exist_ok=True)
    results.save(report.with_suffix(".json"))
    plots.plot_cost(picture(report, "cost"), results.timings)
    if results.duels:
        plots.plot_duels(picture(report, "peers"), results.duels)
    report.write_text("\n\n".join(sections(results, report)) + "\n")


def sections(results: Results, report: Path) -> Iterator[str]:
    """The document's paragraphs."""
    yield "# Performance"
    yield introduction(results, report)
    yield "## Goals\n\n" + tables.goal_table(goals(results))
    yield "## The network on each engine\n\n" + network(results, report)
    if results.duels:
        yield "## Beside other networks\n\n" + peers(results, report)
    if results.node:
        yield "## The node\n\n" + node(results, report)
    if results.limits:
        yield "## How far it could go\n\n" + limits(results)
    yield "## On a GPU\n\n" + gpu(results)


def paragraph(text: str) -> str:
    """Text in lines of the documents' length."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def introduction(results: Results, report: Path) -> str:
    """The command, the machine, and how it measures."""
    f = results.facts
    options = ["--peers"] if results.duels else []
    options += [f"--node {results.node['seconds']:g}"] if results.node else []
    file = report.name if report.is_absolute() else report.as_posix()
    command = " ".join(("mono-depth benchmark", *options, f"--rounds {results.rounds} --report {file}"))
    written = (
        f"Written by `{command}`, and overwritten by its next run; the numbers are in "
        f"[{report.stem}.json]({report.stem}.json) too. `make bench` prints the tables of the machine at hand."
    )
    method = (
        "Every ratio is of two medians of one race. A race gives each contender a process of its own, with as many "
        f"threads as its engine likes to have. They take turns in {results.rounds} rounds, one running and the others "
        f"waiting: a frame that is not counted, then frames for {TURN_SECONDS:g} s, one at least. A frame is 8-bit RGB "
        "of the network's size, in memory; the time runs until its depth is in memory. *torch eager* is PyTorch as "
        "users run it: evaluation mode, no gradients, single precision. Peak memory is that of the whole process, "
        "libraries included. Sizes are height x width."
    )
    rows = (
        ("CPU", f"{f.cpu}, {f.cores} cores; {', '.join(f.instructions)}"),
        ("memory", f"{f.memory:.0f} GiB"),
        ("GPU", f.gpu or "none"),
        ("software", ", ".join(f.versions)),
        ("weights", f"`{f.network}`" + (f", {results.parameters:.2f} M parameters" if results.parameters else "")),
        ("load before", f"{f.load:.2f} processes"),
    )
    return "\n\n".join((paragraph(written), tables.markdown(("", ""), rows, words=2), paragraph(method)))


def network(results: Results, report: Path) -> str:
    """The table of engines, the plot, and how cost grows."""
    image = f"![Cost against pixels](images/{picture(report, 'cost').name})"
    return "\n\n".join((tables.engine_table(results), image, growth(results)))


def growth(results: Results) -> str:
    """How the fastest engine's time grows from the smallest size to the largest."""
    best = fastest(results.on("cpu", FULL)) or results.timings[0]
    mine = [t for t in results.timings if t.engine == best.engine]
    low, high = (f(mine, key=lambda t: t.height * t.width) for f in (min, max))
    pixels = high.height * high.width / (low.height * low.width)
    return paragraph(
        f"From {low.height}x{low.width} to {high.height}x{high.width} there are {pixels:.0f} times the pixels; "
        f"{best.engine} takes {high.median / low.median:.0f} times as long."
    )


def peers(results: Results, report: Path) -> str:
    """The table of peers, their plot, and what it means."""
    image = f"![Ours beside the peers](images/{picture(report, 'peers').name})"
    meaning = (
        "The peers are built after their papers (`mono_depth_ros/benchmark/peers`), with random weights: this compares "
        "time, not accuracy. Each runs at its own input size, and ours at the nearest in multiples of 32; each in "
        "eager PyTorch and in the best engine here for a network without an int8 form. METER gives a quarter and FCRN "
        "half of its input's height and width; ours gives all of it. *x same engine* and *x as users run it* are the "
        "peer's time there over ours in OpenVINO."
    )
    return "\n\n".join((tables.duel_table(results.duels), image, paragraph(meaning)))


def node(results: Results, report: Path) -> str:
    """What the processes did, and where the time went."""
    n = results.node
    came = ", ".join(f"{count} {name}" for name, count in n["received_by_watcher"].items())
    happened = (
        f"Three processes over DDS for {n['seconds']:.0f} s after a warm-up: a camera that sends {n['image']} at "
        f"{n['rate']:g} Hz, the node, and a watcher of image, depth and cloud. {n['sent']} frames were sent, "
        f"{n['received_by_node']} came to the node, {n['dropped']} of them gave way to newer ones, {n['published']} "
        f"were published. The watcher got {came}; {n['lost']} messages were lost. The node's memory grew by "
        f"{n['memory_growth']:.1%}. Everything but the network takes {n['not_network_p50_ms']:.2f} ms (p50)."
    )
    image = f"![Where the node's time goes](images/{picture(report, 'node').name})"
    return "\n\n".join((paragraph(happened), tables.node_table(results), image))


def limits(results: Results) -> str:
    """What the machine allows, and how much of it is used."""
    allowed = (
        f"At {FULL[0]}x{FULL[1]} the network takes {results.gigamacs:.2f} GMACs, nearly all in convolutions. This "
        f"machine's limits, measured in the same run with OpenVINO: the product of two {PRODUCT}x{PRODUCT} matrices in "
        f"each precision that the CPU has instructions for, and {results.gigabytes:.1f} GB/s from and to memory. They "
        "leave the convolutions at least the times below: were operations all there is; were bytes all there is (maps "
        "and weights once in and once out); and with each layer held up by the slower of the two (the roofline model). "
        "*Share* is that least time of what OpenVINO takes."
    )
    remarks = (
        "Maps that stay in the caches are faster than memory: where they fit, *bytes* is an estimate and no bound. No "
        "engine comes near the product's rate in depthwise and narrow convolutions, which fill few of the processor's "
        "lanes."
    )
    return "\n\n".join((paragraph(allowed), tables.limit_table(results), paragraph(remarks)))


def gpu(results: Results) -> str:
    """What is open."""
    here = f"This run had {results.facts.gpu}" if results.facts.gpu else "No GPU was at hand"
    return f"{here}: what is open in the goals above stays open until it is measured on that card."
