"""A race: a process for each contender, and turns, so that what else the machine does meets all of them alike."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import psutil
from tqdm import trange

from mono_depth_ros.backends import BackendError, Size

# One turn: a frame that brings the contender's weights back into the caches, then frames for this long.
TURN_SECONDS = 0.1
LONGEST_WAIT = 300.0


class Runner(Protocol):
    """What is timed; every `Backend` is one."""

    def infer(self, rgb: np.ndarray, size: Size) -> Any:
        """Run once on (h, w, 3) uint8; size is (h, w)."""


@dataclass(frozen=True)
class Entry:
    """One network on one backend at one size.

    Attributes:
        network: its name.
        backend, device, precision: as in `Backend`; the backend ``eager`` is PyTorch as users run it.
        height, width: of the network's input.
    """

    network: str
    backend: str
    device: str
    precision: str
    height: int
    width: int


class Contender(Entry, ABC):
    """What makes an entry run; frozen and small, since it travels to its process."""

    @abstractmethod
    def start(self) -> Runner:
        """Make what is timed, in the contender's own process. Raises RuntimeError."""


@dataclass(frozen=True)
class Timing(Entry):
    """What was measured of an entry: milliseconds a frame, and the most memory after a turn, resident, in MiB."""

    median: float
    p95: float
    memory: float

    @property
    def label(self) -> str:
        """Backend, device and precision, in tables."""
        return "torch eager" if self.backend == "eager" else f"{self.backend} {self.device} {self.precision}"

    @property
    def rate(self) -> float:
        """Frames a second."""
        return 1e3 / self.median


def race(contenders: Sequence[Contender], rounds: int, title: str) -> list[Timing]:
    """Time them, one after the other in each round; ``title`` stands before the bar of progress.

    Raises `BackendError` when a contender fails.
    """
    seconds: dict[Contender, list[float]] = {contender: [] for contender in contenders}
    memory = dict.fromkeys(contenders, 0.0)
    with workers(contenders) as running:
        for _ in trange(rounds, desc=title, unit=" rounds"):
            for contender, connection in running.items():
                connection.send("your turn")
                times, resident = answer(contender, connection)
                seconds[contender] += times
                memory[contender] = max(memory[contender], resident / 2**20)
    return [timing(c, 1e3 * np.array(seconds[c]), memory[c]) for c in contenders]


def timing(contender: Contender, milliseconds: np.ndarray, memory: float) -> Timing:
    """Median and 95th percentile of a contender's frames."""
    c, (median, p95) = contender, np.percentile(milliseconds, (50, 95))
    return Timing(c.network, c.backend, c.device, c.precision, c.height, c.width, float(median), float(p95), memory)


@contextmanager
def workers(contenders: Sequence[Contender]) -> Iterator[dict[Contender, Connection]]:
    """A process for each contender, ready for its turns; all are ended on leaving. Raises `BackendError`."""
    context = get_context("spawn")
    running: dict[Contender, Connection] = {}
    processes = []
    try:
        for contender in contenders:
            running[contender], far_end = context.Pipe()
            process = context.Process(target=work, args=(far_end, contender), daemon=True)
            process.start()
            far_end.close()
            processes.append(process)
        for contender, connection in running.items():
            answer(contender, connection)
        yield running
    finally:
        for process in processes:
            process.terminate()
            process.join(10)


def answer(contender: Contender, connection: Connection) -> Any:
    """What the worker sends next. Raises `BackendError` when it has failed."""
    name = f"{contender.network} on {contender.backend} {contender.device} {contender.precision}"
    try:
        if not connection.poll(LONGEST_WAIT):
            raise BackendError(f"{name}: no answer within {LONGEST_WAIT:.0f} s")
        found = connection.recv()
    except (EOFError, OSError) as error:
        raise BackendError(f"{name}: its process has died; is there enough memory?") from error
    if isinstance(found, str):
        raise BackendError(f"{name}: {found}")
    return found


def work(connection: Connection, contender: Contender) -> None:
    """One worker: sends True when ready, and after each turn its times and memory; or why it failed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers.
    size = (contender.height, contender.width)
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    try:
        runner = contender.start()
        runner.infer(rgb, size)
        connection.send(True)
        while connection.recv():
            connection.send((turn(runner, rgb), psutil.Process().memory_info().rss))
    except (RuntimeError, ImportError) as error:
        connection.send(str(error))


def turn(runner: Runner, rgb: np.ndarray) -> list[float]:
    """Seconds of each frame of one turn."""
    size = rgb.shape[:2]
    runner.infer(rgb, size)
    times: list[float] = []
    while sum(times) < TURN_SECONDS:
        started = perf_counter()
        runner.infer(rgb, size)
        times.append(perf_counter() - started)
    return times
