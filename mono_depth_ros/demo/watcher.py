"""The watcher process: subscribes to the camera and to all that the node publishes, records, shows and measures."""

import argparse
import json
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tqdm import tqdm

from mono_depth_ros.demo.measures import Arrival, Errors, Measurements, Truth, read_sent
from mono_depth_ros.demo.message import Message
from mono_depth_ros.demo.recording import DEPTH, DEPTH_INFO, IMAGE, INFO, POINTS, Assembler, FrameSet, Recorder
from mono_depth_ros.demo.report import BAG, Report
from mono_depth_ros.demo.ros_process import StopRequest, fail, spinning_node
from mono_depth_ros.demo.sources import parse_source
from mono_depth_ros.io import SourceError
from mono_depth_ros.ros.statistics import DROPPED, FAILED, LOST, PUBLISHED, RECEIVED, REJECTED

SENT, MEASUREMENTS = "sent.csv", "measurements.json"

COLOR = "/depth/color"

_CAMERA = {IMAGE: Image, INFO: CameraInfo}
_OUTPUTS = {DEPTH: Image, DEPTH_INFO: CameraInfo, POINTS: PointCloud2, COLOR: Image}
_COUNTS = (RECEIVED, PUBLISHED, DROPPED, REJECTED, FAILED, LOST)
_QOS = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
_NODE_TIMEOUT = 90.0  # seconds for the node to load its network
_MATCHING = 0.5  # seconds in which the node learns of its subscribers as they learn of it
_QUIET = 1.0  # seconds without a message after which the stream is over
_LONGEST_END = 15.0
_MOST_WAITING = 8  # sets, for the consumers
_FARTHEST = 6.0  # metres, of the live view

Consumer = Callable[[FrameSet], None]


class NodeError(RuntimeError):
    """The node cannot do its work; the text is its own."""


class Watcher:
    """Takes in every message: measures it, and hands the sets that belong together to the consumers.

    They work in a thread of their own, so that a slow disk or screen costs sets that they see, and no message.
    """

    def __init__(self, node: Node, consumers: Sequence[Consumer]) -> None:
        self.measurements = Measurements({topic: [] for topic in _OUTPUTS})
        self.images = 0
        self.latest: FrameSet | None = None
        self._last_message = self._last_report = 0.0
        self._node, self._consumers = node, consumers
        self._assembler = Assembler()
        self._problem: Exception | None = None
        self._sets: queue.Queue[FrameSet | None] = queue.Queue(_MOST_WAITING)
        self._consumer = threading.Thread(target=self._consume)
        self._consumer.start()
        node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnosed, 10)
        self._outputs = [self._subscribe(topic, kind) for topic, kind in _OUTPUTS.items()]

    def join(self, stop: StopRequest) -> None:
        """Wait for the node, then subscribe to the camera, which waits for that. Raises NodeError, TimeoutError."""
        deadline = time.monotonic() + _NODE_TIMEOUT
        while not all(subscription.get_publisher_count() for subscription in self._outputs):
            self.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"found no publisher of {', '.join(_OUTPUTS)} in {_NODE_TIMEOUT:.0f} s")
            if stop.wait(0.1):
                return
        stop.wait(_MATCHING)
        for topic, kind in _CAMERA.items():
            self._subscribe(topic, kind)

    def check(self) -> None:
        """Raise NodeError if the node says that it cannot work, or what a consumer has raised."""
        if self._problem:
            raise self._problem

    def drain(self) -> None:
        """Wait until the last messages are here, now that the camera has stopped, and the node's count of them."""
        end = time.monotonic() + _LONGEST_END
        self._last_message = time.monotonic()
        while time.monotonic() < end:
            settled = self._last_message + _QUIET
            if time.monotonic() > settled and self._last_report > self._last_message:
                break
            time.sleep(0.1)
        self.check()

    def close(self) -> None:
        """Let the consumers finish."""
        self._sets.put(None)
        self._consumer.join()

    def _subscribe(self, topic: str, kind: type) -> Subscription:
        def received(data: bytes, info: dict) -> None:
            self._received(topic, Message(data, info["source_timestamp"]))

        return self._node.create_subscription(kind, topic, received, _QOS, raw=True)  # type: ignore[arg-type]

    def _received(self, topic: str, message: Message) -> None:
        self._last_message = time.monotonic()
        if topic in _OUTPUTS:
            arrival = Arrival(message.stamp, message.frame_id, message.published)
            self.measurements.outputs[topic].append(arrival)
        elif topic == IMAGE:
            self.images += 1
            self.measurements.frame_ids.add(message.frame_id)
        if topic != COLOR and (complete := self._assembler.add(topic, message)):
            self.latest = complete
            with suppress(queue.Full):
                self._sets.put_nowait(complete)

    def _consume(self) -> None:
        for frame_set in iter(self._sets.get, None):
            try:
                for consume in self._consumers:
                    consume(frame_set)
            except Exception as error:  # raised again by check, in the main thread
                self._problem = error

    def _diagnosed(self, report: DiagnosticArray) -> None:
        self._last_report = time.monotonic()
        for status in report.status:
            if status.name.endswith(": node") and status.level == DiagnosticStatus.ERROR:
                self._problem = NodeError(status.message)
            if status.name.endswith(": image"):
                values = {pair.key: pair.value for pair in status.values}
                self.measurements.node_counts = {name: int(values[name]) for name in _COUNTS}


def main(args: Sequence[str] | None = None) -> int:
    """Watch until SIGINT or SIGTERM, then write the report: 0, or 1 where there was nothing to watch."""
    options = _parser().parse_args(args)
    stop = StopRequest()
    try:
        _watch(options, stop)
    except (SourceError, NodeError, OSError) as error:
        return fail("watcher", error)
    return 0


def _watch(options: argparse.Namespace, stop: StopRequest) -> None:
    truth = Truth(parse_source(options.source))
    recorder = Recorder(options.output / BAG)
    consumers = [recorder.write, *(_viewers() if options.view else ())]
    with spinning_node("watcher", []) as node:
        watcher = Watcher(node, consumers)
        try:
            watcher.join(stop)
            live = _show_progress(watcher, recorder, truth, options, stop)
        finally:
            watcher.close()
    recorder.close()
    sent = read_sent(options.output / SENT)
    errors, frames = Errors.mean(live), len(live)
    if recorder.count:
        print(f"Looking at {recorder.count} recorded frames", flush=True)
        try:
            errors, frames = Report(options.output, recorder.count, truth, sent).make(), recorder.count
        except OSError as error:
            recorder.problem = str(error)
    summary = watcher.measurements.summary(sent, DEPTH) | {
        "errors": asdict(errors) if errors else None,
        "frames_compared": frames,
        "frames_recorded": recorder.count,
        "recording_problem": recorder.problem,
    }
    (options.output / MEASUREMENTS).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _viewers() -> list[Consumer]:
    """The live view, where there is a screen for it."""
    from mono_depth_ros.demo import viewer  # rerun-sdk is an extra

    if viewer.open_viewer(_FARTHEST):
        return [partial(viewer.show, farthest=_FARTHEST)]
    print("Rerun could not open a window here; going on without it", file=sys.stderr)
    return []


def _show_progress(
    watcher: Watcher, recorder: Recorder, truth: Truth, options: argparse.Namespace, stop: StopRequest
) -> list[Errors]:
    """Say how it goes until the stream is over; the errors of a frame a second."""
    live: list[Errors] = []
    complained = ""
    pause = 0.5 if sys.stderr.isatty() else 5.0
    with tqdm(total=options.frames or None, unit=" frames", desc="Watching", mininterval=pause) as bar:
        while not stop.wait(1.0):
            watcher.check()
            if recorder.problem != complained:
                complained = recorder.problem
                bar.write(f"Recording has stopped: {complained}")
            live += _live_error(watcher, truth, options.output / SENT)
            error = f", AbsRel {live[-1].abs_rel:.3f}" if live else ""
            bar.set_postfix_str(f"{len(watcher.measurements.outputs[DEPTH])} depth images{error}", refresh=False)
            bar.update(watcher.images - bar.n)
        watcher.drain()
        bar.update(watcher.images - bar.n)
    return live


def _live_error(watcher: Watcher, truth: Truth, sent: Path) -> list[Errors]:
    latest, watcher.latest = watcher.latest, None
    known = truth.of(read_sent(sent).get(latest.stamp)) if latest else None
    error = Errors.between(latest.depth(), known) if latest and known is not None else None
    return [error] if error else []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="watcher", description=__doc__)
    parser.add_argument("--source", required=True, help="what the camera process publishes, for its truth")
    parser.add_argument("--output", required=True, type=Path, help="folder for all that is written")
    parser.add_argument("--frames", type=int, default=0, help="how many frames the camera will publish; 0: unknown")
    parser.add_argument("--view", action="store_true", help="show everything live in Rerun")
    return parser


if __name__ == "__main__":
    sys.exit(main())
