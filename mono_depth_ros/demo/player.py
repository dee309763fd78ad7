"""Plays a source into two topics: every frame when it is due, with the stamp of that moment, as a camera has it."""

import csv
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice, takewhile
from typing import Any

from nav_msgs.msg import Odometry
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.demo.ros_process import StopRequest, fail, spinning_node
from mono_depth_ros.demo.sources import CLIP, KINDS, parse_source
from mono_depth_ros.demo.tof import TimeOfFlight
from mono_depth_ros.io import Frame, Source, SourceError
from mono_depth_ros.ros.messages import camera_info_message, cloud_message, rgb_message
from mono_depth_ros.ros.qos import OUTPUT, OVERRIDABLE

_SUBSCRIBER_TIMEOUT = 90.0  # seconds
_MATCHING = 0.5  # seconds in which the subscribers learn of the publisher as it learns of them
_SHORTEST_GAP, _LONGEST_GAP = 0.001, 1.0  # seconds between frames: no stamp comes twice, and pauses are cut
_FAREWELL = 0.5  # seconds for the last messages to leave


# The process's parameters: the default, and what it means.
PARAMETERS: dict[str, tuple[str | int | bool, str]] = {
    "source": (CLIP, f"Where the frames come from: {KINDS}."),
    "tof": (
        False,
        "Publish anchors/points as well: what a sensor of 8 x 8 zones would read, where the source has depth.",
    ),
    "frame_id": ("camera_optical_frame", "frame_id of the messages: an optical frame."),
    "frames": (0, "Publish so many frames; 0: until the source ends."),
    "loop": (0, "Repeat the first so many frames for ever, from memory; 0, or a webcam: do not."),
    "rate": (0, "Frames a second; 0: as the source says."),
    "wait_for": (1, "Publish the first frame when image has so many subscribers."),
    "sent": ("", "CSV file for number and stamp of each frame that was published; empty: none."),
}


def play(args: Sequence[str], stop: StopRequest) -> int:
    """Publish what the parameters say, until it ends or `stop`: 0, or 1 with a message."""
    with spinning_node("camera", args) as node:
        try:
            settings = _declared(node)
            source = parse_source(settings["source"])
            if source.remark:
                node.get_logger().warning(f"{settings['source']}: {source.remark}")
            _play(node, source, settings, stop)
        except (ParameterException, SourceError, OSError) as error:
            return fail("camera", error)
    return 0


def _declared(node: Node) -> dict[str, Any]:
    return {
        name: node.declare_parameter(name, default, ParameterDescriptor(description=description, read_only=True)).value
        for name, (default, description) in PARAMETERS.items()
    }


class Camera:
    """Publishers of all that a source knows: its images and lens, the motion of the camera, and what `tof` reads."""

    def __init__(self, node: Node, source: Source, frame_id: str, tof: bool) -> None:
        def publisher(kind: type, topic: str) -> Publisher:
            return node.create_publisher(kind, topic, OUTPUT, qos_overriding_options=OVERRIDABLE)

        self.image, self._info = publisher(Image, "image"), publisher(CameraInfo, "camera_info")
        self._odom, self._anchors = publisher(Odometry, "odom"), publisher(PointCloud2, "anchors/points")
        self._source, self._frame_id = source, frame_id
        self._tof = TimeOfFlight(source.camera) if tof else None

    def publish(self, stamp: int, number: int, frame: Frame) -> None:
        """Publish frame `number` with a stamp in ns; the image last, so that what belongs to it is there before."""
        header = Header(stamp=Time(nanoseconds=stamp).to_msg(), frame_id=self._frame_id)
        if frame.pose:
            self._odom.publish(odometry(header, frame.pose))
        if self._tof and (truth := self._source.truth(number)) is not None:
            self._anchors.publish(cloud_message(header, self._tof.read(truth)))
        self._info.publish(raw_camera_info(header, self._source.camera))
        self.image.publish(rgb_message(header, frame.rgb))


def _play(node: Node, source: Source, settings: dict[str, Any], stop: StopRequest) -> None:
    camera = Camera(node, source, settings["frame_id"], settings["tof"])
    frames: Iterable[tuple[int, Frame]] = enumerate(source.frames())
    if settings["loop"] and not source.is_live:
        frames = cycle(list(takewhile(lambda _: not stop.is_set(), islice(frames, settings["loop"]))))
    _wait_for_subscribers(camera.image, settings["wait_for"], stop)
    with open(settings["sent"] or os.devnull, "w", newline="", encoding="utf-8") as file:
        log = csv.writer(file)
        log.writerow(("frame", "stamp_ns"))
        for stamp, number, frame in paced(islice(frames, settings["frames"] or None), source, stop, settings["rate"]):
            log.writerow((number, stamp))
            file.flush()
            camera.publish(stamp, number, frame)
    stop.wait(_FAREWELL)


def odometry(header: Header, pose: tuple[float, ...]) -> Odometry:
    """The pose x, y, z, qx, qy, qz, qw of the header's frame in the frame odom, at the header's time."""
    message = Odometry(header=Header(stamp=header.stamp, frame_id="odom"), child_frame_id=header.frame_id)
    position, orientation = message.pose.pose.position, message.pose.pose.orientation
    position.x, position.y, position.z, orientation.x, orientation.y, orientation.z, orientation.w = pose
    return message


def raw_camera_info(header: Header, camera: CameraModel) -> CameraInfo:
    """camera_info of an image as the lens gives it: with its distortion, and R and P where the calibration has them."""
    message = camera_info_message(header, camera)
    if camera.rotation:
        message.r = list(camera.rotation)
    if camera.projection:
        fx, fy, cx, cy = camera.projection
        message.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def paced(
    frames: Iterable[tuple[int, Frame]], source: Source, stop: StopRequest, rate: int = 0
) -> Iterator[tuple[int, int, Frame]]:
    """Numbered frames when they are due, behind that moment in ns since the epoch; a webcam's are due when they come.

    Others at `rate` a second, else by their stamps if any, else at the source's rate.
    """
    due = previous = None
    for number, frame in frames:
        now = time.time()
        if due is None or source.is_live:
            due = now
        else:
            gap = 1 / (rate or source.rate)
            if not rate and frame.stamp is not None and previous is not None and frame.stamp > previous:
                gap = min(max((frame.stamp - previous) / 1e9, _SHORTEST_GAP), _LONGEST_GAP)
            due = max(due + gap, now - gap)  # after a delay, catch up by one frame, not by all
        if stop.wait(min(due - now, _LONGEST_GAP)):
            return
        previous = frame.stamp
        yield round(due * 1e9), number, frame


def _wait_for_subscribers(image: Publisher, number: int, stop: StopRequest) -> None:
    deadline = time.monotonic() + _SUBSCRIBER_TIMEOUT
    while image.get_subscription_count() < number and not stop.wait(0.05):
        if time.monotonic() > deadline:
            found = f"{image.get_subscription_count()} subscribers"
            raise TimeoutError(f"{image.topic_name}: found {found} in {_SUBSCRIBER_TIMEOUT:.0f} s, expected {number}")
    stop.wait(_MATCHING)
