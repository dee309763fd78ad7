"""The document of a run: what was measured on what, how, and what it amounts to."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from benchmark import plots, tables
from benchmark.race import TURN_SECONDS
from benchmark.results import Results


def write(results: Results, report: Path) -> None:
    """Write the document, its pictures under ``images``, and the numbers as JSON beside it."""
    picture(report, "cost").parent.mkdir(parents=True, exist_ok=True)
    results.save(report.with_suffix(".json"))
    if results.timings:
        plots.plot_cost(picture(report, "cost"), results.timings)
    if results.duels:
        plots.plot_duels(picture(report, "peers"), results.duels)
    if results.node:
        plots.plot_stages(picture(report, "node"), results.node.stages)
    report.write_text("\n\n".join(sections(results, report)) + "\n", encoding="utf-8")


def picture(report: Path, name: str) -> Path:
    """Where a picture of the report goes."""
    return report.parent / "images" / f"{report.stem}_{name}.png"


def sections(results: Results, report: Path) -> Iterator[str]:
    """The document's paragraphs."""
    yield "# Performance"
    yield introduction(results, report)
    if results.timings:
        yield "## The network on each backend\n\n" + tables.backend_table(results)
        yield f"![Cost against pixels](images/{picture(report, 'cost').name})"
    if results.duels:
        yield "## Beside other networks\n\n" + peers(results, report)
    if results.node:
        yield "## The node\n\n" + paragraph(tables.node_sentence(results.node))
        yield tables.node_table(results.node)
        yield f"![Where the node's time goes](images/{picture(report, 'node').name})"


def paragraph(text: str) -> str:
    """Text in lines of the documents' length."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def introduction(results: Results, report: Path) -> str:
    """The command, the machine, and how it measures."""
    f = results.facts
    given = {"backends": results.timings, "peers": results.duels, "node": results.node}
    parts = " ".join(part for part, found in given.items() if found)
    seconds = f" --seconds {results.node.seconds:g}" if results.node else ""
    file = report.name if report.is_absolute() else report.as_posix()
    written = (
        f"Written by `python -m benchmark {parts} --rounds {results.rounds}{seconds} --report {file}`, and overwritten "
        f"by its next run; the numbers are in [{report.stem}.json]({report.stem}.json) too. `make bench` prints the "
        "tables of the machine at hand."
    )
    method = (
        "Every ratio is of two medians of one race. A race gives each contender a process of its own, with as many "
        f"threads as its backend likes to have. They take turns in {results.rounds} rounds, one running and the others "
        f"waiting: a frame that is not counted, then frames for {TURN_SECONDS:g} s, one at least. A frame is 8-bit RGB "
        "of the network's size, in memory; the time runs until its depth is in memory. *torch eager* is PyTorch as "
        "users run it: evaluation mode, no gradients, single precision. Memory is that of the whole process after a "
        "turn, libraries included. Sizes are height x width."
    )
    rows = (
        ("CPU", f"{f.cpu}, {f.cores} cores; below fp32 it computes {' and '.join(f.native) or 'nothing'} itself"),
        ("memory", f"{f.memory:.0f} GiB"),
        ("GPU", f.gpu or "none"),
        ("software", ", ".join(f.versions)),
        ("weights", f"`{f.network}`"),
        ("load before", f"{f.load:.2f} processes"),
    )
    return "\n\n".join((paragraph(written), tables.markdown(("", ""), rows, words=2), paragraph(method)))


def peers(results: Results, report: Path) -> str:
    """The table of peers, their plot, and what it means."""
    image = f"![Ours beside the peers](images/{picture(report, 'peers').name})"
    meaning = (
        "The peers are built after their papers (`training/baselines`), with random weights: this compares time, not "
        "accuracy. Each runs at its own input size, and ours at the nearest in multiples of 32; each in eager PyTorch "
        "and in OpenVINO's best precision here for a network without an int8 form. What METER (a quarter) and FCRN "
        "(half) give of their input's height and width is brought to all of it. *x same backend* and *x as users run "
        "it* are the peer's time there over ours in OpenVINO."
    )
    return "\n\n".join((tables.duel_table(results.duels), image, paragraph(meaning)))
