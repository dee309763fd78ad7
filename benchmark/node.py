"""The node under measurement: a camera process, depth_node and a watcher of its outputs over real DDS, on the loopback.

The camera repeats a second of frames that it has made beforehand, so that it takes nothing from the processors but what
any driver takes to publish. The watcher is this process. What the stages took is what the node says on /diagnostics.
"""

import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen
from typing import Any

import numpy as np
import psutil
from tqdm import tqdm

from benchmark.node_watcher import Watcher
from benchmark.results import NodeRun, Spread
from demo.children import interrupt, loopback_environment, ros_arguments, start, tail
from mono_depth_ros.demo.ros_process import spinning_node
from mono_depth_ros.ros.statistics import AGE, DROPPED, FAILED, OVERHEAD, PUBLISHED, RECEIVED, REJECTED

RATE = 30  # frames a second
WARM_UP = 10.0  # seconds; at 30 Hz, the node's figures are of the last 10

_START = 90.0  # seconds, to load the network and to render the frames
_LONGEST_END, _FAREWELL = 15.0, 10.0  # seconds
_LOGS = ("depth_node.log", "camera.log")


class RunError(RuntimeError):
    """The run failed; the text says why."""


def measure(checkpoint: Path, seconds: float, rate: int = RATE) -> NodeRun:
    """Run the three processes for so long after the warm-up. Raises RunError."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as children:
        folder = Path(name)
        environ = loopback_environment(folder)
        os.environ.update(environ)
        frames = round((WARM_UP + seconds) * rate)
        play = {"loop": rate, "rate": rate, "frames": frames, "wait_for": 2}
        logs = [folder / name for name in _LOGS]
        node = start(children, environ, "mono_depth_ros.ros", ros_arguments({"checkpoint": checkpoint}), logs[0])
        camera = start(children, environ, "mono_depth_ros.demo.camera", ros_arguments(play), logs[1])
        run = Run(node, camera, logs)
        children.callback(run.end)  # before they are killed: what SIGKILL ends leaves its shared memory behind
        with spinning_node("benchmark", []) as ros:
            run.watch(Watcher(ros), frames)
        return run.figures(seconds, rate, frames)


class Run:
    """The processes of a run, from their start to the figures."""

    def __init__(self, node: Popen, camera: Popen, logs: Sequence[Path]) -> None:
        self._node, self._camera, self._logs = node, camera, logs
        self._watcher: Watcher
        self._warm = 0.0  # by time.monotonic
        self._memory: list[float] = []  # MB, each second from then on

    def watch(self, watcher: Watcher, frames: int) -> None:
        """Wait for the node, then for the camera's last frame, and for what comes of it. Raises RunError."""
        self._watcher = watcher
        self._wait(watcher.join, _START, "the node to learn of its subscribers")
        self._wait(lambda: watcher.counts["image"], _START, "the camera's first image")
        self._warm = time.monotonic() + WARM_UP
        node = psutil.Process(self._node.pid)
        with tqdm(total=frames, unit=" frames", desc="the node", mininterval=1.0) as bar:
            while self._camera.poll() is None:
                time.sleep(1.0)
                self._check()
                if time.monotonic() > self._warm:
                    self._memory.append(node.memory_info().rss / 1e6)
                bar.update(watcher.counts["image"] - bar.n)
        self._check()
        self._wait(watcher.is_settled, _LONGEST_END, "the last messages")

    def figures(self, seconds: float, rate: float, sent: int) -> NodeRun:
        """What was measured. Raises RunError where nothing came."""
        watcher = self._watcher
        warm_stamp = watcher.ages[0][0] + WARM_UP * 1e9 if watcher.ages else 0
        ages = [age / 1e6 for stamp, age in watcher.ages if stamp >= warm_stamp]
        reports = [areas["latency"] for time_, areas in watcher.reports if time_ > self._warm]
        if not (ages and reports and self._memory):
            raise RunError(f"no depth came out of it; counts: {dict(watcher.values('image'))}")
        stages = spreads(reports)
        counts = watcher.values("image")
        tenth = max(1, len(self._memory) // 10)
        return NodeRun(
            seconds=seconds,
            rate=rate,
            image=watcher.values("camera_info")["camera"].split(",")[0],
            backend=watcher.values("backend"),
            sent=sent,
            received=int(counts[RECEIVED]),
            published=int(counts[PUBLISHED]),
            dropped=int(counts[DROPPED]),
            failed=int(counts[FAILED]) + int(counts[REJECTED]),
            watched=watcher.counts,
            age=Spread(*np.percentile(ages, (50, 95)).tolist()),
            rest=stages.pop(OVERHEAD),
            stages={name: spread for name, spread in stages.items() if name != AGE},
            memory=[float(np.median(self._memory[:tenth])), float(np.median(self._memory[-tenth:]))],
        )

    def end(self) -> None:
        """Interrupt what still runs, and give it time to take its shared memory back."""
        for child in (self._camera, self._node):
            interrupt(child, _FAREWELL)

    def _wait(self, condition: Callable[[], Any], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            time.sleep(0.1)
            self._check()
            if time.monotonic() > deadline:
                raise RunError(f"waited {seconds:.0f} s in vain for {what}")

    def _check(self) -> None:
        """Raise RunError if the node cannot work, or a process has died."""
        if self._watcher.problem:
            raise RunError(self._watcher.problem)
        for child, log in zip((self._node, self._camera), self._logs, strict=True):
            if child.poll() not in ((None,) if child is self._node else (None, 0)):
                raise RunError(f"a process ended before its time; {tail(log)}")


def spreads(reports: Sequence[Mapping[str, str]]) -> dict[str, Spread]:
    """Medians over the reports of the node's p50s and p95s ("decode p50 (ms)": "1.23"), by name, in their order."""
    values: dict[str, list[tuple[float, float]]] = {}
    for report in reports:
        for key, p50 in report.items():
            if found := re.fullmatch(r"(.+) p50 \(ms\)", key):
                values.setdefault(found[1], []).append((float(p50), float(report[f"{found[1]} p95 (ms)"])))
    return {name: Spread(*np.median(pairs, axis=0).tolist()) for name, pairs in values.items()}
