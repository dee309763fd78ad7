"""`python -m test.soak`: run the soak, say its verdicts, and leave its record and its picture."""

import argparse
import json
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmark.document import Part
from mono_depth_ros.backends import machine
from mono_depth_ros.demo.ros_process import StopRequest, fail
from mono_depth_ros.tables import markdown
from test.soak import picture
from test.soak.events import CAMERA_LOG, CONSUMER_LOG, FRAMES, LENS, SENSORS, SENT
from test.soak.record import END, EVENT, START, Line, Record, of_kind, read
from test.soak.run import NODE_LOG, SoakError, run
from test.soak.verdicts import Verdict, judge

RECORD, RESULT, PICTURE = "record.jsonl", "soak.json", "soak.png"
_OURS = (RECORD, RESULT, PICTURE, NODE_LOG, CAMERA_LOG, CONSUMER_LOG, FRAMES, LENS, SENSORS, SENT)
_SAID = {True: "kept", False: "BROKEN", None: "not judged"}


def main(args: Sequence[str] | None = None) -> int:
    """Soak the node: 0 where every promise was kept, 1 where one was broken or the soak could not begin."""
    options = _parser().parse_args(args)
    stop, folder = StopRequest(), options.output
    try:
        part = Part(options.report, "soak") if options.report else None
        folder.mkdir(parents=True, exist_ok=True)
        for name in _OURS:
            (folder / name).unlink(missing_ok=True)
        (folder / SENT).touch()
        with open(folder / RECORD, "w", encoding="utf-8") as file:
            run(folder, 60 * options.minutes, options.seed, Record(file), stop)
    except (SoakError, OSError, ValueError) as error:
        return fail("soak", error)
    for name in (FRAMES, LENS, SENSORS):
        (folder / name).unlink()
    lines = read(folder / RECORD)
    sent = [int(line) for line in (folder / SENT).read_text(encoding="utf-8").split()]
    verdicts = judge(lines, sent)
    picture.draw(lines, folder / PICTURE)
    result = {"what": described(lines), "verdicts": [asdict(verdict) for verdict in verdicts]}
    (folder / RESULT).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(
        f"{described(lines)}\n\n{table(verdicts)}\n\nLook at {folder / PICTURE}, {folder / RECORD}, {folder / NODE_LOG}"
    )
    if part:
        images = options.report.parent / "images"
        images.mkdir(exist_ok=True)
        shutil.copyfile(folder / PICTURE, images / PICTURE)
        part.write(f"{described(lines)}\n\n{table(verdicts)}\n\n![The soak over time](images/{PICTURE})")
    return int(any(verdict.kept is False for verdict in verdicts))


def described(lines: list[Line]) -> str:
    """What was done to the node, and where."""
    begun = of_kind(lines, START)[0]
    last = (of_kind(lines, END) or lines)[-1]["t"]
    here = machine.detect()
    kinds = Counter(event["event"] for event in of_kind(lines, EVENT))
    listed = ", ".join(f"{number} x {kind}" for kind, number in sorted(kinds.items()))
    return (
        f"{last / 60:.1f} minutes of the {begun['seconds'] / 60:.1f} that were asked for, seed {begun['seed']}, on "
        f"{here.cpu} with {here.cores} cores. Events: {listed}."
    )


def table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts in Markdown."""
    rows = [(verdict.promise, verdict.found, _SAID[verdict.kept]) for verdict in verdicts]
    return markdown(("promise", "found", ""), rows, words=3)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="of what happens when")
    parser.add_argument("--output", type=Path, default=Path("soak_output"), help="folder for record, picture and logs")
    parser.add_argument("--report", type=Path, help="Markdown document with the marks <!-- soak --> and <!-- /soak -->")
    return parser


if __name__ == "__main__":
    sys.exit(main())
