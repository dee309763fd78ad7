"""What a soak writes down as it goes, a line of JSON each, so that one that is interrupted leaves its record."""

import json
import threading
import time
from pathlib import Path
from typing import Any, TextIO

START, END = "start", "end"
EVENT, SAMPLE, REPORT, DEPTHS = "event", "sample", "report", "depths"
CALM, STEADY = "calm", "steady"  # stretches in the reference state: after each round, and in the end
ANCHORS = "anchors"  # in a report: how many corrected the last frame
BARE = "bare"  # a sample of the node with nothing configured, before each of them

Line = dict[str, Any]


class Record:
    """Lines with their kind and the seconds since the start; thread-safe."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._lock = file, threading.Lock()
        self._start = time.monotonic()

    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._start

    def write(self, kind: str, **facts: Any) -> None:
        """Add a line."""
        line = json.dumps({"kind": kind, "t": round(self.seconds(), 3), **facts})
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()


def read(path: Path) -> list[Line]:
    """All lines; a last one that is not whole is left out."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def of_kind(lines: list[Line], kind: str) -> list[Line]:
    """The lines of one kind, in order."""
    return [line for line in lines if line["kind"] == kind]
