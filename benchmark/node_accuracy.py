"""How wrong depth_node is on recordings with a depth sensor: every frame goes through it, with and without its lens.

A frame is sent until its depth has come, then the next one: unlike the demo, nothing is measured but the depth.
"""

import argparse
import itertools
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tqdm import tqdm

from benchmark.document import Part
from benchmark.tables import markdown
from demo.children import interrupt, loopback_environment, start, tail
from demo.measures import Errors
from mono_depth_ros import checkpoint
from mono_depth_ros.backends import machine
from mono_depth_ros.camera import Rectifier
from mono_depth_ros.demo.player import raw_camera_info
from mono_depth_ros.demo.ros_process import StopRequest, fail, spinning_node
from mono_depth_ros.demo.sources import parse_source
from mono_depth_ros.io import Frame, Source, SourceError
from mono_depth_ros.ros.messages import rgb_message
from mono_depth_ros.ros.qos import OUTPUT

FRAME_ID = "camera_optical_frame"

_ANSWER = 5.0  # seconds for the depth of a frame, after which it is sent again
_LONGEST = 90.0  # seconds for any depth at all: the node has to load its network first
_END = 10.0


class NodeError(RuntimeError):
    """depth_node gives no depth; the text says what to look at."""


@dataclass(frozen=True)
class Row:
    """One recording through the node: mean errors over its frames, and what the sensor knows.

    Attributes:
        known: share of the pixels that the sensor has a depth for.
        nearest, farthest: metres, of these.
    """

    recording: str
    camera: str
    with_lens: bool
    frames: int
    known: float
    nearest: float
    farthest: float
    errors: Errors


class Eye:
    """Publishes images, with their camera_info or without, and waits for their depth."""

    def __init__(self, node: Node, stop: StopRequest) -> None:
        self._images = node.create_publisher(Image, "image", OUTPUT)
        self._infos = node.create_publisher(CameraInfo, "camera_info", OUTPUT)
        self._stamps = itertools.count(time.time_ns(), 1_000_000)
        self._came = threading.Condition()
        self._depth: Image | None = None
        self._stop = stop
        node.create_subscription(Image, "depth", self._receive, OUTPUT)

    def depth_of(self, frame: Frame, source: Source, with_lens: bool, is_alive: Callable[[], bool]) -> NDArray | None:
        """Depth (H, W) in metres as it was published; None after a signal. Raises NodeError."""
        deadline = time.monotonic() + _LONGEST
        while time.monotonic() < deadline and is_alive():
            if self._stop.is_set():
                return None
            stamp = next(self._stamps)
            header = Header(stamp=Time(sec=stamp // 10**9, nanosec=stamp % 10**9), frame_id=FRAME_ID)
            if with_lens:
                self._infos.publish(raw_camera_info(header, source.camera))
            self._images.publish(rgb_message(header, frame.rgb))
            # Until the first depth has come, nobody may be there to see it.
            if (depth := self._wait_for(stamp, _ANSWER if self._depth else 0.5)) is not None:
                return depth
        raise NodeError(f"no depth came of image {frame.name}")

    def _wait_for(self, stamp: int, seconds: float) -> NDArray | None:
        with self._came:
            if not self._came.wait_for(lambda: self._depth is not None and _stamp(self._depth) == stamp, seconds):
                return None
            assert self._depth
            return np.frombuffer(self._depth.data, np.float32).reshape(self._depth.height, self._depth.width)

    def _receive(self, depth: Image) -> None:
        with self._came:
            self._depth = depth
            self._came.notify_all()


def _stamp(message: Image) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def measure(
    folder: Path, with_lens: bool, most: int, environ: dict[str, str], log: Path, stop: StopRequest
) -> Row | None:
    """One recording through a node of its own; None after a signal. Raises NodeError, SourceError."""
    source = parse_source(str(folder))
    rectifier = Rectifier(source.camera)
    errors, known, ranges = [], [], []
    number = min(most or sys.maxsize, source.length or sys.maxsize)
    what = f"{folder.name}, {'with' if with_lens else 'without'} camera_info"
    with ExitStack() as children:
        ros_args = ["--ros-args", *([] if with_lens else ["-p", "camera_info_timeout:=0.0", "-p", "assume_lens:=63.3"])]
        process = start(children, environ, "mono_depth_ros.ros", ros_args, log)
        children.callback(interrupt, process, _END)
        try:
            with spinning_node("node_accuracy", []) as node:
                eye = Eye(node, stop)
                bar = tqdm(islice(source.frames(), number), total=number, unit=" frames", desc=what, mininterval=1)
                for index, frame in enumerate(bar):
                    depth = eye.depth_of(frame, source, with_lens, lambda: process.poll() is None)
                    if depth is None:
                        return None
                    if (truth := source.truth(index)) is None:
                        raise SourceError(f"{folder}: found no depth/, expected a recording with a depth sensor")
                    if with_lens:  # without one the node cannot rectify: its depth is that of the pixels as they came
                        truth = rectifier.rectify(truth, cv2.INTER_NEAREST)
                    seen = truth[truth > 0]
                    known.append(seen.size / truth.size)
                    ranges += [seen.min(), seen.max()] if seen.size else []
                    errors += [error] if (error := Errors.between(depth, truth)) else []
        except NodeError as error:
            raise NodeError(f"{what}: {error}; {tail(log)}") from error
    mean, camera = Errors.mean(errors), source.camera
    if mean is None:
        raise NodeError(f"{what}: no pixel has both a depth and a truth")
    lens = f"{camera.width}x{camera.height}, fx {camera.fx:.1f}" + (", distorted" if camera.is_distorted else "")
    share, nearest, farthest = float(np.mean(known)), float(min(ranges)), float(max(ranges))
    return Row(folder.name, lens, with_lens, len(known), share, nearest, farthest, mean)


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    pixels = "pixels with truth", "their range, m", "compared"
    header = ("recording", "camera", "camera_info", "frames", *pixels, "AbsRel", "RMSE, m", "delta1")
    lines = []
    for row in rows:
        e, lens = row.errors, "yes" if row.with_lens else "no"
        truth = f"{row.known:.1%}", f"{row.nearest:.2f}-{row.farthest:.2f}"
        figures = f"{e.compared:.1%}", f"{e.abs_rel:.3f}", f"{e.rmse:.3f}", f"{e.delta1:.3f}"
        lines.append((row.recording, row.camera, lens, str(row.frames), *truth, *figures))
    return markdown(header, lines, words=3)


def main(args: Sequence[str] | None = None) -> int:
    """Measure and print the table: 0, or 1 where something failed or a signal came."""
    options = _parser().parse_args(args)
    stop = StopRequest()
    rows: list[Row] = []
    try:
        part = Part(options.report, "sensors") if options.report else None
        with tempfile.TemporaryDirectory() as temporary:
            environ, log = loopback_environment(Path(temporary)), Path(temporary) / "depth_node.log"
            os.environ.update(environ)  # for our own node
            for folder, with_lens in itertools.product(options.folders, (True, False)):
                row = measure(folder, with_lens, options.frames, environ, log, stop)
                if row is None:
                    return fail("node_accuracy", "stopped")
                rows.append(row)
        here = machine.detect()
        text = f"{table(rows)}\n\nWeights: `{_weights()}`. On {here.cpu}, {here.cores} cores."
        print(f"\n{text}")
        if part:
            part.write(text)
    except (NodeError, SourceError, OSError, ValueError) as error:
        return fail("node_accuracy", error)
    return 0


def _weights() -> str:
    shipped = checkpoint.load()
    return f"{shipped.path.name} sha256 {shipped.sha256[:12]}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmark.node_accuracy", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="recordings: rgb/, depth/ and camera.yaml in each")
    parser.add_argument("--frames", type=int, default=0, help="only the first so many of each")
    parser.add_argument("--report", type=Path, help="Markdown document with <!-- sensors --> and <!-- /sensors -->")
    return parser


if __name__ == "__main__":
    sys.exit(main())
