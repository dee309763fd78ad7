"""One run of depth_node and a camera, processes of their own, while this one watches and records."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Empty
from subprocess import Popen
from typing import Any

from tqdm import tqdm

from demo.children import interrupt, loopback_environment, ros_arguments, start, tail
from demo.measures import read_sent, summary
from demo.recording import FrameSet, Recorder
from demo.watcher import Watcher
from mono_depth_ros.demo.ros_process import StopRequest, spinning_node

SENT, BAG, LOGS = "sent.csv", "bag", ("depth_node.log", "camera.log")

_START, _SETTLING, _END = 90.0, 15.0, 15.0  # seconds
_MATCHING = 0.5  # seconds in which the node learns of its subscribers as they learn of it

Consumer = Callable[[FrameSet], Any]


class DemoError(RuntimeError):
    """The demo failed; the text says what to look at."""


class Session:
    """The processes from their start to their end; `children` kills what is still there then.

    Args:
        output: folder for the bag and the logs.
        node, camera: the processes' parameters.
        show: consumers of what is recorded, as it comes.
    """

    def __init__(
        self,
        output: Path,
        node: dict[str, Any],
        camera: dict[str, Any],
        show: Sequence[Consumer],
        stop: StopRequest,
        children: ExitStack,
    ) -> None:
        self._output, self._stop, self._frames = output, stop, camera["frames"]
        environ = loopback_environment(output)
        os.environ.update(environ)  # for the watcher, which lives in this process
        camera = camera | {"wait_for": 2, "sent": output / SENT}
        logs = [output / log for log in LOGS]
        self._node = start(children, environ, "mono_depth_ros.ros", ros_arguments(node), logs[0])
        self._camera = start(children, environ, "mono_depth_ros.demo.camera", ros_arguments(camera), logs[1])
        self._recorder = Recorder(output / BAG)
        self._consumers = [self._recorder.write, *show]

    def run(self) -> dict[str, Any]:
        """Watch until the camera ends, then end the node: figures by name. Raises DemoError, OSError."""
        with spinning_node("watcher", []) as ros:
            watcher = Watcher(ros)
            self._wait(watcher, lambda: watcher.is_joined() or self._stop.is_set(), _START, "depth_node to publish")
            self._stop.wait(_MATCHING)
            watcher.watch_camera()
            self._watch(watcher)
            self._end(self._camera, "camera")
            self._wait(watcher, lambda: watcher.is_settled() or not watcher.images, _SETTLING, "its last report")
            self._end(self._node, "depth_node")
        while not watcher.sets.empty():
            self._consume(watcher.sets.get())
        self._recorder.close()
        return summary(watcher.outputs, watcher.frame_ids, read_sent(self._output / SENT)) | {
            "node_counts": watcher.node_counts,
            "frames_recorded": self._recorder.count,
            "recording_problem": self._recorder.problem,
        }

    def _watch(self, watcher: Watcher) -> None:
        """Record and show until the camera has ended, or a signal comes."""
        pause = 0.5 if sys.stderr.isatty() else 5.0
        with tqdm(total=self._frames or None, unit=" frames", desc="Watching", mininterval=pause) as bar:
            while self._camera.poll() is None and not self._stop.is_set():
                self._check_node(watcher)
                with suppress(Empty):
                    self._consume(watcher.sets.get(timeout=0.1))
                bar.update(watcher.images - bar.n)
            bar.update(watcher.images - bar.n)

    def _consume(self, frame_set: FrameSet) -> None:
        for consume in self._consumers:
            consume(frame_set)

    def _wait(self, watcher: Watcher, condition: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            self._check_node(watcher)
            if time.monotonic() > deadline:
                raise DemoError(f"waited {seconds:.0f} s in vain for {what}; {tail(self._output / LOGS[0])}")
            time.sleep(0.05)

    def _check_node(self, watcher: Watcher) -> None:
        """Raise DemoError if the node has ended, or says that it cannot work."""
        if self._node.poll() is not None:
            self._end(self._node, "depth_node")
            raise DemoError(f"depth_node ended before its time; {tail(self._output / LOGS[0])}")
        if watcher.problem:
            raise DemoError(watcher.problem)

    def _end(self, child: Popen, name: str) -> None:
        """End a process in good order. Raises DemoError if it ends, or has ended, in another way."""
        if code := interrupt(child, _END):
            how = f"was killed by signal {-code}, or hung" if code < 0 else f"ended with exit code {code}"
            raise DemoError(f"{name} {how}; {tail(self._output / f'{name}.log')}")
