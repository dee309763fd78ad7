"""The watcher process: subscribes to the camera and to all that the node publishes, records, shows and measures."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
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
from mono_depth_ros.demo.recording import DEPTH, DEPTH_INFO, IMAGE, INFO, POINTS, Assembler, FrameSet, Message, Recorder
from mono_depth_ros.demo.report import BAG, Report
from mono_depth_ros.demo.ros_process import StopRequest, fail, spinning_node
from mono_depth_ros.demo.sources import SourceError, parse_source

SENT, MEASUREMENTS = "sent.csv", "measurements.json"

_CAMERA = {IMAGE: Image, INFO: CameraInfo}
_OUTPUTS = {DEPTH: Image, DEPTH_INFO: CameraInfo, POINTS: PointCloud2, "/depth/color": Image}
_QOS = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
_NODE_TIMEOUT = 90.0  # seconds for the node to load its network
_MATCHING = 0.5  # seconds in which the node learns of its subscribers as they learn of it
_QUIET = 1.5  # seconds without a message after which the stream is over; diagnostics come every second
_LONGEST_END = 15.0
_FARTHEST = 6.0  # metres, of the live view

Consumer = Callable[[FrameSet], None]


class NodeError(RuntimeError):
    """The node cannot do its work; the text is its own."""


class Watcher:
    """Takes in every message: measures it, and hands the sets that belong together to its consumers."""

    def __init__(self, node: Node, consumers: Sequence[Consumer]) -> None:
        self.measurements = Measurements({topic: [] for topic in _OUTPUTS})
        self.frame_ids: set[str] = set()
        self.images = 0
        self.last_message = time.monotonic()
        self.latest: FrameSet | None = None
        self._node, self._consumers = node, consumers
        self._assembler = Assembler()
        self._problem = ""
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
        """Raise NodeError if the node says that it cannot work."""
        if self._problem:
            raise NodeError(self._problem)

    def _subscribe(self, topic: str, kind: type) -> Subscription:
        def received(data: bytes, info: dict) -> None:
            self._received(topic, Message(data, info["source_timestamp"]))

        return self._node.create_subscription(kind, topic, received, _QOS, raw=True)  # type: ignore[arg-type]

    def _received(self, topic: str, message: Message) -> None:
        self.last_message = time.monotonic()
        if topic in _OUTPUTS:
            arrival = Arrival(message.stamp, message.frame_id, message.published)
            self.measurements.outputs[topic].append(arrival)
        elif topic == IMAGE:
            self.images += 1
            self.frame_ids.add(message.frame_id)
        if topic != "/depth/color" and (complete := self._assembler.add(topic, message)):
            self.latest = complete
            for consume in self._consumers:
                consume(complete)

    def _diagnosed(self, report: DiagnosticArray) -> None:
        for status in report.status:
            if status.name.endswith(": node") and status.level == DiagnosticStatus.ERROR:
                self._problem = status.message
            if status.name.endswith(": image"):
                values = {pair.key: pair.value for pair in status.values}
                self.measurements.node_counts = {key: int(v) for key, v in values.items() if v.isdigit()}


def main(args: Sequence[str] | None = None) -> int:
    """Watch until SIGINT or SIGTERM, then write the report: 0, or 1 where there was nothing to watch."""
    options = _parser().parse_args(args)
    stop = StopRequest()
    try:
        _watch(options, stop)
    except (SourceError, NodeError, TimeoutError) as error:
        return fail("watcher", error)
    return 0


def _watch(options: argparse.Namespace, stop: StopRequest) -> None:
    truth = Truth(parse_source(options.source))
    recorder = Recorder(options.output / BAG)
    consumers: list[Consumer] = [recorder.write]
    if options.view:
        from mono_depth_ros.demo import viewer  # rerun-sdk is an extra

        if viewer.open_viewer(_FARTHEST):
            consumers.append(partial(viewer.show, farthest=_FARTHEST))
        else:
            print("Rerun could not open a window here; going on without it", file=sys.stderr)

    with spinning_node("watcher", []) as node:
        watcher = Watcher(node, consumers)
        watcher.join(stop)
        live = _show_progress(watcher, recorder, truth, options, stop)
    recorder.close()

    sent = read_sent(options.output / SENT)
    summary = watcher.measurements.summary(sent, watcher.frame_ids, DEPTH)
    errors, frames = Errors.mean(live), len(live)
    if recorder.count:
        print(f"Looking at {recorder.count} recorded frames", flush=True)
        try:
            errors, frames = Report(options.output, truth, sent).make(), recorder.count
        except OSError as error:
            recorder.problem = str(error)
    summary |= {
        "errors": asdict(errors) if errors else None,
        "frames_compared": frames,
        "frames_recorded": recorder.count,
        "recording_problem": recorder.problem,
    }
    (options.output / MEASUREMENTS).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _show_progress(
    watcher: Watcher, recorder: Recorder, truth: Truth, options: argparse.Namespace, stop: StopRequest
) -> list[Errors]:
    """Say how it goes until the stream is over; the errors of a frame a second."""
    live: list[Errors] = []
    complained = ""
    with tqdm(total=options.frames or None, unit=" frames", desc="Watching", mininterval=0.5) as bar:
        ends = None
        while ends is None or (time.monotonic() < ends and time.monotonic() - watcher.last_message < _QUIET):
            if ends is None and stop.wait(1.0):
                ends = time.monotonic() + _LONGEST_END
                watcher.last_message = time.monotonic()
            elif ends is not None:
                time.sleep(0.1)
            watcher.check()
            bar.update(watcher.images - bar.n)
            live += _live_error(watcher, truth, options.output / SENT) if ends is None else []
            depth = len(watcher.measurements.outputs[DEPTH])
            bar.set_postfix_str(f"{depth} depth images" + (f", AbsRel {live[-1].abs_rel:.3f}" if live else ""))
            if recorder.problem != complained:
                complained = recorder.problem
                bar.write(f"Recording has stopped: {complained}")
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
