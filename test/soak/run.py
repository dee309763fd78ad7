"""One soak from the first process to the last line of its record."""

import os
import random
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import Popen

import psutil
from tqdm import tqdm

from demo.children import interrupt, loopback_environment, start, tail
from mono_depth_ros.demo.ros_process import StopRequest, spinning_node
from test.soak import process
from test.soak.camera import render_frames
from test.soak.driver import Driver
from test.soak.events import FRAMES, Events, UnexpectedAnswer
from test.soak.record import BARE, CALM, END, EVENT, SAMPLE, START, STEADY, Record
from test.soak.sensors import PARAMETERS
from test.soak.verdicts import WARM_UP

NODE_LOG = "depth_node.log"

_ROUND = 60.0  # seconds
_FEWEST_ROUNDS = 3
_DISTURBED = 0.75  # share of a round
_STEADY = 1 / 6  # share of the whole
_SAMPLES = 30  # a round
_PAUSES = 24  # of the longest, a round
_SHORTEST_PAUSE = 0.1  # seconds; between any two events of the warm-up, so that it meets what is to come
# How often each kind comes before all begin anew.
_DECK = {"subscriber": 4, "legal value": 2, "illegal value": 2, "lens": 2, "impossible": 1, "pause": 1, "reload": 1}
_DECK |= {"sensor": 6, "consumer": 1, "camera killed": 1}
# glibc keeps what is freed for later, more or less by chance. Told to give it back, it lets us measure what is held.
_MALLOC = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
_MALLOC |= {"NUMPY_MADVISE_HUGEPAGE": "0"}  # and whether an array gets pages of 2 MB is chance as well
_LONGEST_START, _LONGEST_END = 60.0, 10.0  # seconds


class SoakError(RuntimeError):
    """The soak cannot begin; the text says what to look at."""


def run(folder: Path, seconds: float, seed: int, record: Record, stop: StopRequest) -> None:
    """Soak the node for so long, or until `stop` or its death; all processes end in order. Raises SoakError."""
    record.write(START, seconds=seconds, seed=seed)
    render_frames(folder / FRAMES)
    environ = loopback_environment(folder)
    os.environ.update(environ)  # for the driver, which lives in this process
    choose = random.Random(seed)
    with ExitStack() as children:
        given = [part for name, value in PARAMETERS.items() for part in ("-p", f"{name}:={value}")]
        node = start(children, environ | _MALLOC, "mono_depth_ros.ros", ["--ros-args", *given], folder / NODE_LOG)
        children.callback(interrupt, node, _LONGEST_END)
        _wait_until_active(node, folder / NODE_LOG, stop)
        made = process.shared_memory_of(node.pid)
        with spinning_node("soak", []) as ros:
            driver = Driver(ros, record)
            events = Events(driver, choose, children, environ, folder)
            _Rounds(node, driver, events, record, stop, choose).last(seconds)
            code = interrupt(node, _LONGEST_END)
            events.close()
    left = process.left_in_shared_memory(made)  # now that all who had it mapped are gone
    log = (folder / NODE_LOG).read_text(encoding="utf-8", errors="replace")
    held = sorted(left & events.held_by_killed)
    record.write(END, exit_code=code, left=sorted(left), held_by_killed=held, traceback="Traceback" in log)


def _wait_until_active(node: Popen, log: Path, stop: StopRequest) -> None:
    deadline = time.monotonic() + _LONGEST_START
    while "active: waiting for images" not in log.read_text(encoding="utf-8", errors="replace"):
        if node.poll() is not None or time.monotonic() > deadline or stop.wait(0.1):
            raise SoakError(f"depth_node did not start; {tail(log)}")


class _Rounds:
    """Rounds of disturbance and calm, and samples all the while."""

    def __init__(
        self, node: Popen, driver: Driver, events: Events, record: Record, stop: StopRequest, choose: random.Random
    ) -> None:
        self._node, self._driver, self._events = node, driver, events
        self._record, self._stop, self._choose = record, stop, choose
        self._deck: list[str] = []

    def last(self, seconds: float) -> None:
        """Go on for so long after the warm-up, unless a signal comes or the node dies; then the node is at rest."""
        disturbed = (1 - _STEADY) * seconds
        length, over = min(_ROUND, disturbed / _FEWEST_ROUNDS), threading.Event()
        watchers = [
            threading.Thread(target=self._sample, args=(length / _SAMPLES, over)),
            threading.Thread(target=self._show, args=(seconds, over)),
        ]
        for watcher in watchers:
            watcher.start()
        try:
            self._attempt("warm-up", self._events.warm_up)
            began = self._record.seconds()
            while self._goes_on() and (now := self._record.seconds()) < began + disturbed:
                longest_pause = length / _PAUSES if now > began + WARM_UP * disturbed else _SHORTEST_PAUSE
                self._disturb(now + _DISTURBED * length, longest_pause)
                self._calm(CALM, (1 - _DISTURBED) * length)
            self._calm(STEADY, _STEADY * seconds)
            if self._node.poll() is None:
                self._attempt("rest", self._rest)
        finally:
            over.set()
            for watcher in watchers:
                watcher.join()

    def _goes_on(self) -> bool:
        return self._node.poll() is None and not self._stop.is_set()

    def _disturb(self, until: float, pause: float) -> None:
        """Events with random pauses between them, up to `pause` seconds."""
        while self._goes_on() and self._record.seconds() < until:
            self._deck = self._deck or self._choose.sample(
                list(_DECK), sum(_DECK.values()), counts=list(_DECK.values())
            )
            kind = self._deck.pop()
            self._attempt(kind, self._events.kinds[kind])
            self._stop.wait(self._choose.uniform(_SHORTEST_PAUSE, pause))

    def _calm(self, kind: str, seconds: float) -> None:
        """The reference state, undisturbed; a stretch that a signal cuts short is not counted."""
        if not self._goes_on():
            return
        self._attempt("reset", lambda: self._events.reset(self._record_bare))
        since = self._record.seconds()
        self._stop.wait(seconds)
        self._driver.record_depths()
        if self._goes_on():
            self._record.write(kind, since=round(since, 3))

    def _record_bare(self) -> None:
        self._record.write(BARE, **process.held(self._node.pid))

    def _rest(self) -> str:
        self._driver.change_state("deactivate")
        self._driver.expect_report(lambda report: report["state"] == "inactive", "the node inactive")
        self._driver.record_depths()
        return "deactivated"

    def _attempt(self, kind: str, event: Callable[[], str]) -> None:
        """Let an event happen, and write down what was done, or what went wrong."""
        try:
            what, is_right = event(), True
        except (UnexpectedAnswer, TimeoutError, psutil.NoSuchProcess) as error:
            what, is_right = str(error), False
        self._record.write(EVENT, event=kind, what=what, ok=is_right)

    def _sample(self, period: float, over: threading.Event) -> None:
        with suppress(psutil.NoSuchProcess):
            while not over.wait(period):
                self._record.write(SAMPLE, **process.held(self._node.pid))

    def _show(self, seconds: float, over: threading.Event) -> None:
        pause = 0.5 if sys.stderr.isatty() else 10.0
        with tqdm(total=round(seconds), unit=" s", desc="Soaking", mininterval=pause) as bar:
            while not over.wait(1.0):
                bar.set_postfix_str(self._driver.summary(), refresh=False)
                bar.update(min(1, bar.total - bar.n))
