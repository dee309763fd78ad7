"""A camera's images, depth and camera_info out of a rosbag2; no ROS distribution is needed."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.rosbag2 import ReaderError
from rosbags.typesys import Stores, get_typestore

from mono_depth_ros.camera import CameraModel, camera_from_info
from mono_depth_ros.io import compressed, raw
from mono_depth_ros.io.errors import ImageError, SourceError, raised
from mono_depth_ros.io.frames import Frame, Source, calibration_or_guess
from mono_depth_ros.io.topics import camera_info_beside, looks_rectified
from mono_depth_ros.io.white import WhiteLevel

_IMAGE, _COMPRESSED, _INFO = (f"sensor_msgs/msg/{name}" for name in ("Image", "CompressedImage", "CameraInfo"))


def open_bag(path: Path) -> AnyReader:
    """An open reader of a bag of either storage (SQLite, MCAP), which the caller closes. Raises SourceError."""
    try:
        reader = AnyReader([path], default_typestore=get_typestore(Stores.ROS2_JAZZY))
        reader.open()
    except (AnyReaderError, ReaderError, OSError) as error:
        text = f"{path}: not a readable rosbag2: {error}; expected metadata.yaml and its .mcap or .db3"
        raise SourceError(text) from error
    return reader


def messages(reader: AnyReader, topic: str, start: int | None = None) -> Iterator[tuple[int, Any]]:
    """Time of recording in ns and message, of one topic from `start` on.

    The messages have the fields that ROS gives them. Raises SourceError for a topic that the bag lacks, or damage.
    """
    bag = reader.paths[0]
    connections = [connection for connection in reader.connections if connection.topic == topic]
    if not connections:
        topics = ", ".join(sorted({connection.topic for connection in reader.connections}))
        raise SourceError(f"{bag}: found no topic {topic}, expected one of {topics}")
    time = start
    try:
        for connection, time, data in reader.messages(connections, start):
            yield time, reader.deserialize(data, connection.msgtype)
    except (AnyReaderError, ReaderError, OSError) as error:
        raise SourceError(f"{bag}: {topic} at {time}: {error}") from error


def decode_color(message: Any, white: WhiteLevel) -> NDArray[np.uint8]:
    """RGB (H, W, 3) uint8 of an Image or CompressedImage of a stream, as the node decodes it. Raises ImageError."""
    decode = raw.decode if message.__msgtype__ == _IMAGE else compressed.decode_message
    return decode(message, white=white)


def decode_depth(message: Any) -> NDArray[np.float32]:
    """Depth (H, W) in metres of an Image or CompressedImage, 0 where unknown. Raises ImageError."""
    return raw.decode_depth(message) if message.__msgtype__ == _IMAGE else compressed.decode_depth_message(message)


def color_topic(reader: AnyReader) -> str:
    """The first topic of colour images, raw or compressed. Raises SourceError."""
    for connection in reader.connections:
        if connection.msgtype in (_IMAGE, _COMPRESSED) and connection.msgcount:
            _, message = next(messages(reader, connection.topic))
            encoding = getattr(message, "encoding", None) or message.format
            if not any(map(encoding.startswith, raw.DEPTH_ENCODINGS)) and "compressedDepth" not in encoding:
                return connection.topic
    found = ", ".join(sorted({f"{c.topic} ({c.msgtype})" for c in reader.connections})) or "no topic"
    raise SourceError(f"{reader.paths[0]}: found {found}, expected a topic of colour images, raw or compressed")


def info_topic(reader: AnyReader, image: str) -> str | None:
    """The topic of camera_info beside that of the images (image_transport's rule), else the first there is."""
    topics = [c.topic for c in reader.connections if c.msgtype == _INFO and c.msgcount]
    return min(topics, key=lambda topic: topic != camera_info_beside(image), default=None)


class BagSource(Source):
    """The first colour image topic of a bag, raw or compressed, with the camera_info beside it."""

    def __init__(self, bag: Path) -> None:
        self._bag = bag
        with closing(open_bag(bag)) as reader:
            self._topic = color_topic(reader)
            first = next(self._images(reader, raised))
            height, width = first.rgb.shape[:2]
            self.length = sum(c.msgcount for c in reader.connections if c.topic == self._topic)
            camera = self._camera(reader)
        if camera is None:
            self.camera, self.remark = calibration_or_guess(bag, width, height)
        elif (camera.width, camera.height) != (width, height):
            found = f"{camera.width}x{camera.height}"
            raise SourceError(f"{bag}: found camera_info for {found}, the images of {self._topic} are {width}x{height}")
        else:
            self.camera = camera

    def frames(self, bad: Callable[[ImageError], None] = raised) -> Iterator[Frame]:
        """Each image, in the order of recording, with its own stamp; its name is its number."""
        with closing(open_bag(self._bag)) as reader:
            yield from self._images(reader, bad)

    def _images(self, reader: AnyReader, bad: Callable[[ImageError], None]) -> Iterator[Frame]:
        white = WhiteLevel()
        for number, (_, message) in enumerate(messages(reader, self._topic)):
            stamp = message.header.stamp
            try:
                rgb = decode_color(message, white)
            except ImageError as error:
                bad(ImageError(f"{self._bag}: {self._topic} at {stamp.sec}.{stamp.nanosec:09d}: {error}"))
                continue
            yield Frame(rgb, stamp.sec * 10**9 + stamp.nanosec, f"{number:06d}")

    def _camera(self, reader: AnyReader) -> CameraModel | None:
        """By the first camera_info."""
        topic = info_topic(reader, self._topic)
        if topic is None:
            return None
        _, info = next(messages(reader, topic))
        try:
            camera = camera_from_info(info)
        except ValueError as error:
            raise SourceError(f"{self._bag}: {topic}: {error}") from error
        return camera.rectified() if looks_rectified(self._topic)[0] else camera
