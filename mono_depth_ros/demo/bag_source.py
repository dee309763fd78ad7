"""Reads a camera's images out of a rosbag2; no ROS distribution is needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection
from rosbags.rosbag2 import ReaderError
from rosbags.typesys import Stores, get_typestore

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.demo.sources import RATE, Frame, SourceError, calibration_or_guess
from mono_depth_ros.ros import compressed, raw
from mono_depth_ros.ros.images import camera_from_info

_IMAGE, _COMPRESSED, _INFO = (f"sensor_msgs/msg/{name}" for name in ("Image", "CompressedImage", "CameraInfo"))
_DEPTH_ENCODINGS = ("32FC1", "16UC1", "mono16")


class BagSource:
    """The first colour image topic of a bag, raw or compressed, with the camera_info beside it."""

    rate, is_live = RATE, False

    def __init__(self, bag: Path) -> None:
        self._bag = bag
        with self._opened() as reader:
            self._topic = self._color_topic(reader)
            first = next(self._images(reader), None)
            assert first is not None  # a topic without messages is not chosen
            height, width = first.rgb.shape[:2]
            self.length: int | None = sum(c.msgcount for c in reader.connections if c.topic == self._topic)
            camera = self._camera(reader)
        if camera is None:
            self.camera, self.remark = calibration_or_guess(bag, width, height)
        elif (camera.width, camera.height) != (width, height):
            found = f"{camera.width}x{camera.height}"
            raise SourceError(f"{bag}: found camera_info for {found}, the images of {self._topic} are {width}x{height}")
        else:
            self.camera, self.remark = camera, ""

    def frames(self) -> Iterator[Frame]:
        """Each image, in the order of recording, with its own stamp."""
        with self._opened() as reader:
            yield from self._images(reader)

    def truth(self, index: int) -> None:
        """Nobody knows."""
        return None

    @contextmanager
    def _opened(self) -> Iterator[AnyReader]:
        try:
            with AnyReader([self._bag], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
                yield reader
        except (AnyReaderError, ReaderError, OSError) as error:
            text = f"{self._bag}: {error}; expected a rosbag2 (metadata.yaml and its .mcap or .db3)"
            raise SourceError(text) from error

    def _color_topic(self, reader: AnyReader) -> str:
        for connection in reader.connections:
            if connection.msgtype in (_IMAGE, _COMPRESSED) and connection.msgcount:
                message = next(_messages(reader, [connection]))
                encoding = getattr(message, "encoding", None) or message.format
                if (
                    not any(encoding.startswith(depth) for depth in _DEPTH_ENCODINGS)
                    and "compressedDepth" not in encoding
                ):
                    return connection.topic
        found = ", ".join(sorted({f"{c.topic} ({c.msgtype})" for c in reader.connections})) or "no topic"
        raise SourceError(f"{self._bag}: found {found}, expected a topic of colour images, raw or compressed")

    def _images(self, reader: AnyReader) -> Iterator[Frame]:
        for message in _messages(reader, [c for c in reader.connections if c.topic == self._topic]):
            stamp = message.header.stamp
            try:
                rgb = _decoded(message)
            except ValueError as error:
                raise SourceError(f"{self._bag}: {self._topic}: {error}") from error
            yield Frame(rgb, stamp.sec * 10**9 + stamp.nanosec)

    def _camera(self, reader: AnyReader) -> CameraModel | None:
        """By the first camera_info beside the images (image_transport's rule), else the first of any topic."""
        infos = [c for c in reader.connections if c.msgtype == _INFO and c.msgcount]
        base = self._topic.removesuffix("/compressed").rpartition("/")[0]
        infos.sort(key=lambda connection: connection.topic != f"{base}/camera_info")
        if not infos:
            return None
        info = next(_messages(reader, infos[:1]))
        try:
            camera = camera_from_info(info)
        except ValueError as error:
            raise SourceError(f"{self._bag}: {infos[0].topic}: {error}") from error
        return camera.rectified() if "image_rect" in self._topic else camera


def _messages(reader: AnyReader, connections: list[Connection]) -> Iterator[Any]:
    for connection, _, data in reader.messages(connections):
        yield reader.deserialize(data, connection.msgtype)


def _decoded(message: Any) -> NDArray[np.uint8]:
    """RGB of a message, which rosbags gives the same fields as ROS does, by the node's own decoders."""
    return np.asarray((raw if message.__msgtype__ == _IMAGE else compressed).decode(message))
