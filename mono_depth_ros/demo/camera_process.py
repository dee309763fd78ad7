"""The camera process: publishes a source's frames as image and camera_info, as a driver does."""

import csv
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import cycle, islice

from builtin_interfaces.msg import Time
from rcl_interfaces.msg import IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.demo.ros_process import StopRequest, fail, spinning_node
from mono_depth_ros.demo.sources import CLIP, KINDS, parse_source
from mono_depth_ros.io import Frame, Source, SourceError
from mono_depth_ros.ros.messages import camera_info_message, rgb_message
from mono_depth_ros.ros.qos import OUTPUT, OVERRIDABLE

SENT_COLUMNS = ("frame", "stamp_ns", "published_ns")

_SUBSCRIBER_TIMEOUT = 90.0  # seconds
_MATCHING = 0.5  # seconds in which the subscribers learn of the publisher as it learns of them
_LONGEST_GAP = 1.0  # seconds: a longer pause in a recording is cut to this
_AHEAD_BYTES = 300 << 20
_FAREWELL = 0.5  # seconds for the last messages to leave


@dataclass(frozen=True)
class Settings:
    """The process's parameters."""

    source: str
    frame_id: str
    frames: int
    loop: int
    rate: int
    wait_for: int
    ahead: int
    sent: str


def main(args: Sequence[str] | None = None) -> int:
    """Publish until the source ends, or SIGINT or SIGTERM: 0, or 1 where there is no source or nobody to see it."""
    stop = StopRequest()
    with spinning_node("camera", sys.argv if args is None else args) as node:
        try:
            settings = _declare(node)
            source = parse_source(settings.source)
            if source.remark:
                node.get_logger().warning(f"{settings.source}: {source.remark}")
            _play(node, source, settings, stop)
        except (ParameterException, SourceError, OSError) as error:
            return fail("camera", error)
    return 0


def _declare(node: Node) -> Settings:
    def text(name: str, default: str, description: str) -> str:
        return node.declare_parameter(name, default, ParameterDescriptor(description=description, read_only=True)).value

    def number(name: str, default: int, description: str) -> int:
        span = [IntegerRange(from_value=0, to_value=1_000_000, step=1)]
        descriptor = ParameterDescriptor(description=description, read_only=True, integer_range=span)
        return node.declare_parameter(name, default, descriptor).value

    return Settings(
        source=text("source", CLIP, f"Where the frames come from: {KINDS}."),
        frame_id=text("frame_id", "camera_optical_frame", "frame_id of the messages: an optical frame."),
        frames=number("frames", 0, "Publish so many frames; 0: until the source ends."),
        loop=number("loop", 0, "Repeat the first so many frames for ever, made before the first goes out; 0: do not."),
        rate=number("rate", 0, "Frames a second; 0: as the source says."),
        wait_for=number("wait_for", 1, "Publish the first frame when image has so many subscribers."),
        ahead=number("ahead", 10, "Have so many frames ready before the first one goes out; not with a webcam."),
        sent=text("sent", "", "CSV file that says when each frame was published; empty: none."),
    )


def _play(node: Node, source: Source, settings: Settings, stop: StopRequest) -> None:
    image = node.create_publisher(Image, "image", OUTPUT, qos_overriding_options=OVERRIDABLE)
    info = node.create_publisher(CameraInfo, "camera_info", OUTPUT, qos_overriding_options=OVERRIDABLE)
    endless = looped(source.frames(), settings.loop) if settings.loop else source.frames()
    frames: Iterator[Frame] = islice(endless, settings.frames or None)
    room = _AHEAD_BYTES // (3 * source.camera.width * source.camera.height)
    ready = nullcontext(frames) if source.is_live else ahead(frames, max(1, min(settings.ahead, room)), stop)
    with ready as frames, open(settings.sent or os.devnull, "w", newline="", encoding="utf-8") as sent:
        log = csv.writer(sent)
        log.writerow(SENT_COLUMNS)
        _wait_for_subscribers(image, settings.wait_for, stop)
        for index, frame in enumerate(paced(frames, source, stop, settings.rate)):
            now = time.time_ns()
            stamp = now if frame.stamp is None else frame.stamp
            header = Header(stamp=Time(sec=stamp // 10**9, nanosec=stamp % 10**9), frame_id=settings.frame_id)
            info.publish(raw_camera_info(header, source.camera))
            image.publish(rgb_message(header, frame.rgb))
            log.writerow((index, stamp, now))
            sent.flush()
    stop.wait(_FAREWELL)


def raw_camera_info(header: Header, camera: CameraModel) -> CameraInfo:
    """camera_info of an image as the lens gives it: with its distortion, and R and P where the calibration has them."""
    message = camera_info_message(header, camera)
    if camera.rotation:
        message.r = list(camera.rotation)
    if camera.projection:
        fx, fy, cx, cy = camera.projection
        message.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def looped(frames: Iterator[Frame], number: int) -> Iterator[Frame]:
    """The first frames again and again, out of memory: nothing is rendered or decoded while they play."""
    return cycle([Frame(frame.rgb, None) for frame in islice(frames, number)])  # a stamp must not come twice


def paced(frames: Iterator[Frame], source: Source, stop: StopRequest, rate: int = 0) -> Iterator[Frame]:
    """Frames at the time they are due: at `rate` a second, else by their stamps if any, else at the source's rate."""
    due = previous = None
    for frame in frames:
        if due is None:
            due = time.monotonic()
        elif not source.is_live:
            gap = 1 / (rate or source.rate)
            if not rate and frame.stamp is not None and previous is not None:
                gap = min(max((frame.stamp - previous) / 1e9, 0.0), _LONGEST_GAP)
            due = max(due + gap, time.monotonic() - gap)  # after a delay, catch up by one frame, not by all
            stop.wait(max(due - time.monotonic(), 0))
        if stop.is_set():
            return
        previous = frame.stamp
        yield frame


@contextmanager
def ahead(frames: Iterator[Frame], number: int, stop: StopRequest) -> Iterator[Iterator[Frame]]:
    """The same frames, fetched from now on by a thread that is up to `number` of them ahead, also of the first.

    The thread ends with the block: one that is inside OpenCV when Python ends would take the process down.
    """
    fetched: queue.Queue[Frame | Exception | None] = queue.Queue(number)
    ready, left = threading.Event(), threading.Event()

    def is_over() -> bool:
        return stop.is_set() or left.is_set()

    def put(item: Frame | Exception | None) -> None:
        while not is_over():
            try:
                return fetched.put(item, timeout=0.1)
            except queue.Full:
                ready.set()

    def fetch() -> None:
        try:
            for frame in frames:
                put(frame)
                if is_over():
                    return
            put(None)
        except Exception as error:  # raised again where the frames are used
            put(error)
        finally:
            ready.set()

    def taken() -> Iterator[Frame]:
        while not (ready.wait(0.1) or stop.is_set()):
            pass
        while not stop.is_set():
            try:
                item = fetched.get(timeout=0.1)
            except queue.Empty:
                continue
            if isinstance(item, Exception):
                raise item
            if item is None:
                return
            yield item

    fetcher = threading.Thread(target=fetch)
    fetcher.start()
    try:
        yield taken()
    finally:
        left.set()
        fetcher.join()


def _wait_for_subscribers(image, number: int, stop: StopRequest) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + _SUBSCRIBER_TIMEOUT
    while image.get_subscription_count() < number and not stop.wait(0.05):
        if time.monotonic() > deadline:
            found = f"{image.get_subscription_count()} subscribers"
            raise TimeoutError(f"{image.topic_name}: found {found} in {_SUBSCRIBER_TIMEOUT:.0f} s, expected {number}")
    stop.wait(_MATCHING)


if __name__ == "__main__":
    sys.exit(main())
