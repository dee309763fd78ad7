"""Whole runs of commands, each a process of its own."""

import subprocess
import sys

import pytest

from test.conftest import REPOSITORY

psutil = pytest.importorskip("psutil")

TIMEOUT = 240  # seconds, for a machine that has other work


def start(module: str, *arguments: object) -> subprocess.Popen:
    """Run a module with these arguments, as from a checkout."""
    command = [sys.executable, "-u", "-m", module, *map(str, arguments)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(run: subprocess.Popen) -> tuple[int, str, str]:
    """Exit code, stdout, stderr; what hangs is killed together with its children."""
    try:
        out, err = run.communicate(timeout=TIMEOUT)
        return run.returncode, out, err
    finally:
        if run.poll() is None:
            for child in [*psutil.Process(run.pid).children(recursive=True), run]:
                child.kill()
