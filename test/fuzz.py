"""`python -m test.fuzz`: thousands of cases of every property marked `fuzz`, dozens of signals, and a table of them."""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from benchmark.document import Part
from mono_depth_ros.tables import markdown
from test.conftest import REPOSITORY

PROPERTIES = ["-m", "fuzz", "--hypothesis-profile=thousands", "--hypothesis-show-statistics"]
SIGNALS = ["test/ros/test_node_signals.py", "-k", "at_any_moment_of_its_start"]
TRIALS = 60


def main() -> int:
    """Run and print the table: 0 where all passed."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--report", type=Path, help="Markdown document with the marks <!-- fuzz --> and <!-- /fuzz -->")
    report = parser.parse_args().report
    part = Part(report, "fuzz") if report else None
    started = time.monotonic()
    properties, signals = pytest(PROPERTIES), pytest(SIGNALS, SIGNAL_TRIALS=str(TRIALS))
    rows = [(name.split("::")[1].removeprefix("test_").replace("_", " "), f"{passing}", f"{failing}")
            for name, (passing, failing) in cases(properties).items()]  # fmt: skip
    good, bad = outcomes(signals)
    rows.append(("SIGINT and SIGTERM, up to three at any moment of the start: exit code 0", f"{good}", f"{bad}"))
    text = f"{markdown(('property', 'cases', 'failures'), rows)}\n\nIn {(time.monotonic() - started) / 60:.1f} minutes."
    print(f"\n{text}")
    failures = outcomes(properties)[1] + bad
    if part and not failures:
        part.write(text)
    return int(failures > 0)


def pytest(arguments: list[str], **environ: str) -> str:
    """What pytest says, which is shown as it comes."""
    command = [sys.executable, "-m", "pytest", "-v", *arguments]
    process = subprocess.Popen(command, cwd=REPOSITORY, env=os.environ | environ, stdout=subprocess.PIPE, text=True)
    said = []
    for line in process.stdout or ():
        said.append(line)
        print(line, end="", flush=True)
    if process.wait() > 1:  # neither all passed nor some failed
        raise SystemExit(f"pytest ended with exit code {process.returncode}")
    return "".join(said)


def cases(said: str) -> dict[str, tuple[int, int]]:
    """Passing and failing cases of each test, by Hypothesis's statistics."""
    found: dict[str, tuple[int, int]] = {}
    for part in re.split(r"\n(?=test/\S+::\w+:\n)", said)[1:]:
        numbers = re.findall(r"(\d+) passing(?: examples)?, (\d+) failing", part)
        found[part.split(":\n")[0]] = sum(int(p) for p, _ in numbers), sum(int(f) for _, f in numbers)
    return found


def outcomes(said: str) -> tuple[int, int]:
    """Tests that passed and tests that did not, by pytest's last line."""
    last = said.rstrip().splitlines()[-1]
    numbers = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|errors?)", last)}
    return numbers.pop("passed", 0), sum(numbers.values())


if __name__ == "__main__":
    sys.exit(main())
