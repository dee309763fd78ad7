"""What the demo records: the messages that belong to one image, put together, into a rosbag2 and out of it again."""

import shutil
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.demo.message import Message
from mono_depth_ros.ros.images import camera_from_info

IMAGE, INFO = "/image", "/camera_info"
DEPTH, DEPTH_INFO, POINTS = "/depth", "/depth/camera_info", "/depth/points"
_TYPES = {IMAGE: "Image", INFO: "CameraInfo", DEPTH: "Image", DEPTH_INFO: "CameraInfo", POINTS: "PointCloud2"}

RESERVE = 500 << 20  # bytes of disk that the recording leaves to others

_PERIOD = 95_000_000  # ns between recorded frames: 10 a second tell the story, 30 fill a disk
_MOST_WAITING = 60
_STORE = get_typestore(Stores.ROS2_JAZZY)
_FOREVER = QosTime(2147483647, 4294967295)
_RELIABLE = Qos(
    QosHistory.KEEP_LAST, 5, QosReliability.RELIABLE, QosDurability.VOLATILE, _FOREVER, _FOREVER,
    QosLiveliness.AUTOMATIC, _FOREVER, False,
)  # fmt: skip


@dataclass
class FrameSet:
    """One image with its camera, and what the node made of it: by topic."""

    stamp: int
    messages: dict[str, Message] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether every topic is there."""
        return len(self.messages) == len(_TYPES)

    def rgb(self) -> NDArray[np.uint8]:
        """The camera's image (H, W, 3), rgb8 as the demo's camera sends it."""
        return _pixels(self._decoded(IMAGE)).view(np.uint8)

    def depth(self) -> NDArray[np.float32]:
        """Depth (H, W) in metres, with REP-117's NaN and infinities."""
        return _pixels(self._decoded(DEPTH))[..., 0]

    def depth_camera(self) -> CameraModel:
        """The pinhole that depth belongs to."""
        return camera_from_info(self._decoded(DEPTH_INFO))

    def cloud(self) -> NDArray[np.void]:
        """The points (H, W) or (N,) with fields x, y, z, rgb, float32."""
        message = self._decoded(POINTS)
        dtype = np.dtype([(point_field.name, "<f4") for point_field in message.fields])
        return np.frombuffer(message.data, dtype).reshape(message.height, message.width)

    def _decoded(self, topic: str) -> Any:
        return _STORE.deserialize_cdr(self.messages[topic].data, f"sensor_msgs/msg/{_TYPES[topic]}")


class Assembler:
    """Puts messages of the same stamp together; what stays incomplete is forgotten."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, FrameSet] = OrderedDict()

    def add(self, topic: str, message: Message) -> FrameSet | None:
        """The set that this message completes, or None."""
        stamp = message.stamp
        found = self._waiting.setdefault(stamp, FrameSet(stamp))
        found.messages[topic] = message
        if found.is_complete:
            return self._waiting.pop(stamp)
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popitem(last=False)
        return None


class Recorder:
    """Writes sets into a rosbag2 (MCAP), ten a second, as long as the disk has room.

    Attributes:
        count: sets written.
        problem: why nothing more is written; empty while all is well. Then close, or what came before is lost.
    """

    def __init__(self, bag: Path) -> None:
        self.count, self.problem = 0, ""
        self._bag, self._last = bag, 0
        self._writer: Writer | None = None
        self._connections: dict[str, Connection] = {}
        self._attempt(self._open)

    def write(self, frame_set: FrameSet) -> None:
        """Write a set, unless one was written just before it. Never raises for want of disk."""
        published = frame_set.messages[DEPTH].published
        if self._writer is None or published - self._last < _PERIOD:
            return
        self._last = published
        if (free := shutil.disk_usage(self._bag).free) < RESERVE:
            self.close()
            self.problem = (
                f"{self._bag.parent}: {free >> 20} MB free; the recording leaves {RESERVE >> 20} MB to others"
            )
        else:
            self._attempt(lambda: self._write(frame_set))

    def close(self) -> None:
        """Finish the bag, so that it can be read; one without a set is removed."""
        if self._writer:
            self._attempt(self._writer.close)
            if not self.count:
                shutil.rmtree(self._bag, ignore_errors=True)
        self._writer = None

    def _open(self) -> None:
        self._writer = Writer(self._bag, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        for topic, name in _TYPES.items():
            kind = f"sensor_msgs/msg/{name}"
            self._connections[topic] = self._writer.add_connection(
                topic, kind, typestore=_STORE, offered_qos_profiles=[_RELIABLE]
            )

    def _write(self, frame_set: FrameSet) -> None:
        assert self._writer
        for topic, message in frame_set.messages.items():
            self._writer.write(self._connections[topic], message.published, message.data)
        self.count += 1

    def _attempt(self, action: Any) -> None:
        """Without room the demo goes on, without recording; a bag that lacks its end is of no use, and is removed."""
        try:
            action()
        except OSError as error:
            self.problem = f"{self._bag}: {error}"
            if self._writer:
                self._writer.abort()
            self._writer, self.count = None, 0
            shutil.rmtree(self._bag, ignore_errors=True)


def recorded_sets(bag: Path) -> Iterator[FrameSet]:
    """The sets of a bag that Recorder wrote, in order."""
    assembler = Assembler()
    with AnyReader([bag], default_typestore=_STORE) as reader:
        for connection, time, data in reader.messages():
            if frame_set := assembler.add(connection.topic, Message(data, time)):
                yield frame_set


def _pixels(message: Any) -> NDArray:
    """(H, W, channels) of an unpadded rgb8 or 32FC1 image."""
    dtype: np.dtype[Any] = np.dtype({"rgb8": "u1", "32FC1": "<f4"}[message.encoding])
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width, -1)
