"""What the demo records: the messages that belong to one image, put together, into a rosbag2 and out of it again."""

import shutil
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from mono_depth_ros.camera import CameraModel, camera_from_info
from mono_depth_ros.io import bag, raw

IMAGE, INFO = "/image", "/camera_info"
DEPTH, DEPTH_INFO, POINTS = "/depth", "/depth/camera_info", "/depth/points"
_IMAGE, _CAMERA_INFO, _CLOUD = (f"sensor_msgs/msg/{name}" for name in ("Image", "CameraInfo", "PointCloud2"))
TYPES = {IMAGE: _IMAGE, INFO: _CAMERA_INFO, DEPTH: _IMAGE, DEPTH_INFO: _CAMERA_INFO, POINTS: _CLOUD}

RESERVE = 500 << 20  # bytes of disk that the recording leaves to others

_PERIOD = 95_000_000  # ns between recorded frames: 10 a second tell the story, 30 fill a disk
_MOST_WAITING = 60
_STORE = get_typestore(Stores.ROS2_JAZZY)


@dataclass(frozen=True)
class Message:
    """A message as it comes over the wire (CDR), and when it was published, in ns since the epoch."""

    type: str
    data: bytes
    published: int

    @cached_property
    def content(self) -> Any:
        """The message with the fields that ROS gives it."""
        return _STORE.deserialize_cdr(self.data, self.type)

    @property
    def stamp(self) -> int:
        """The header's stamp in ns."""
        stamp = self.content.header.stamp
        return stamp.sec * 10**9 + stamp.nanosec


@dataclass
class FrameSet:
    """One image with its camera, and what the node made of it: messages by topic."""

    stamp: int
    messages: dict[str, Message] = field(default_factory=dict)

    @property
    def published(self) -> int:
        """When the depth was published, in ns since the epoch."""
        return self.messages[DEPTH].published

    def rgb(self) -> NDArray[np.uint8]:
        """The camera's image (H, W, 3)."""
        return raw.decode(self.messages[IMAGE].content)

    def depth(self) -> NDArray[np.float32]:
        """Depth (H, W) in metres, with REP-117's NaN and infinities."""
        message = self.messages[DEPTH].content
        return np.frombuffer(message.data, np.float32).reshape(message.height, message.width)

    def depth_camera(self) -> CameraModel:
        """The pinhole that depth belongs to."""
        return camera_from_info(self.messages[DEPTH_INFO].content)

    def cloud(self) -> NDArray[np.void]:
        """The points (H, W) or (N,) with fields x, y, z, rgb, float32."""
        message = self.messages[POINTS].content
        dtype = np.dtype([(point_field.name, np.float32) for point_field in message.fields])
        return np.frombuffer(message.data, dtype).reshape(message.height, message.width)


class Assembler:
    """Puts messages of the same stamp together; what stays incomplete is forgotten."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, FrameSet] = OrderedDict()

    def add(self, topic: str, message: Message) -> FrameSet | None:
        """The set that this message completes, or None."""
        found = self._waiting.setdefault(message.stamp, FrameSet(message.stamp))
        found.messages[topic] = message
        if len(found.messages) == len(TYPES):
            return self._waiting.pop(message.stamp)
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popitem(last=False)
        return None


class Recorder:
    """Writes sets into a rosbag2 (MCAP), ten a second, as long as the disk has room. Raises OSError.

    Attributes:
        count: sets written.
        problem: why nothing more is written; empty while all is well. What was written before stays.
    """

    def __init__(self, folder: Path) -> None:
        self.count, self.problem = 0, ""
        self._folder, self._last = folder, 0
        self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        self._connections = {
            topic: self._writer.add_connection(topic, kind, typestore=_STORE) for topic, kind in TYPES.items()
        }

    def write(self, frame_set: FrameSet) -> None:
        """Write a set, unless one was written just before it."""
        if self.problem or frame_set.published - self._last < _PERIOD:
            return
        self._last = frame_set.published
        if (free := shutil.disk_usage(self._folder).free) < RESERVE:
            self.problem = f"{self._folder}: {free >> 20} MB free; the recording leaves {RESERVE >> 20} MB to others"
            return
        for topic, message in frame_set.messages.items():
            self._writer.write(self._connections[topic], message.published, message.data)
        self.count += 1

    def close(self) -> None:
        """Finish the bag, so that it can be read; one without a set is removed."""
        self._writer.close()
        if not self.count:
            shutil.rmtree(self._folder)


def recorded_sets(folder: Path) -> Iterator[FrameSet]:
    """The sets of a bag that Recorder wrote, in order. Raises SourceError."""
    assembler = Assembler()
    with closing(bag.open_bag(folder)) as reader:
        for connection, published, data in reader.messages():
            if frame_set := assembler.add(connection.topic, Message(connection.msgtype, data, published)):
                yield frame_set
