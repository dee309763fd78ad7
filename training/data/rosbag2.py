"""Reader of a rosbag2 with colour, registered depth and camera_info: a robot's own RGB-D recording."""

import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.typesys import Stores, get_typestore

from mono_depth_ros.camera import CameraModel
from training.data.checks import checked_frame
from training.data.frame import BadFrameError, RgbdDataset, RgbdFrame, take
from training.data.image_files import decode_color, decode_depth

# encoding: (channels, what makes RGB of it)
_COLOR = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
}
# encoding: (type, units in a metre), REP-118
_DEPTH = {"16UC1": ("u2", 1000), "mono16": ("u2", 1000), "32FC1": ("f4", 1)}
# What image_transport's compressedDepth puts before the PNG: how 32FC1 was quantised, unused for 16UC1.
_COMPRESSED_DEPTH_HEADER = 12


class Rosbag2(RgbdDataset):
    """Pairs of colour and depth nearest in time, from a bag of either storage (SQLite, MCAP); ROS is not needed.

    Args:
        bag: the bag's folder.
        color: topic of Image (rgb8, bgr8, rgba8, bgra8, mono8) or CompressedImage (JPEG, PNG).
        depth: topic of Image (16UC1 in mm, 32FC1 in m), or CompressedImage (16UC1 compressedDepth), registered to
            colour: the same size, the same optical frame.
        camera_info: topic of the colour camera's CameraInfo; the first one counts, and a distorted image is rectified.
        tolerance: seconds between the stamps of a pair, at most.
        rows: half-open ranges of positions among the pairs, in order of time.
        every: of those, take every n-th; 30 frames a second of one room differ little.

    Raises FileNotFoundError or ValueError for a missing or broken bag or topic.
    """

    def __init__(
        self,
        bag: Path,
        color: str,
        depth: str,
        camera_info: str,
        tolerance: float = 0.02,
        rows: Sequence[tuple[int, int]] | None = None,
        every: int = 1,
    ) -> None:
        self.source, self.color, self.depth = Path(bag), color, depth
        _, first_info = next(self._messages(camera_info), (0, None))
        if first_info is None:
            raise ValueError(f"{self.source}: {camera_info}: found no message, expected at least one CameraInfo")
        try:
            self.camera = _camera(first_info)
        except ValueError as error:
            raise ValueError(f"{self.source}: {camera_info}: {error}") from error
        pairs = nearest_pairs(self._stamps(color), self._stamps(depth), round(tolerance * 1e9))
        self.pairs = take(pairs, rows, every, f"{self.source}: {color} and {depth} within {tolerance} s")

    def __len__(self) -> int:
        """Number of pairs taken."""
        return len(self.pairs)

    def __getitem__(self, index: int) -> RgbdFrame:
        """Read one pair."""
        color_time, depth_time = self.pairs[index]
        sources = f"{self.source}: {self.color} at {color_time}", f"{self.source}: {self.depth} at {depth_time}"
        rgb = _color(self._message(self.color, color_time), sources[0])
        depth = _depth(self._message(self.depth, depth_time), sources[1])
        return checked_frame(f"{self.source.name}/{color_time}", rgb, depth, self.camera, sources)

    def _messages(self, topic: str, start: int | None = None) -> Iterator[tuple[int, Any]]:
        """Recording time in ns and message, from ``start`` on."""
        reader = _opened(self.source, os.getpid())
        connections = [c for c in reader.connections if c.topic == topic]
        if not connections:
            topics = ", ".join(sorted({c.topic for c in reader.connections}))
            raise ValueError(f"{self.source}: found no topic {topic}, expected one of {topics}")
        for connection, time, data in reader.messages(connections, start):
            try:
                yield time, reader.deserialize(data, connection.msgtype)
            except AnyReaderError as error:
                raise BadFrameError(f"{self.source}: {topic} at {time}: {error}") from error

    def _message(self, topic: str, time: int) -> Any:
        return next(self._messages(topic, time))[1]

    def _stamps(self, topic: str) -> list[tuple[int, int]]:
        """Header stamp and recording time of each message, ns, by stamp."""
        found = ((message.header.stamp, time) for time, message in self._messages(topic))
        return sorted((stamp.sec * 10**9 + stamp.nanosec, time) for stamp, time in found)


def nearest_pairs(
    first: Sequence[tuple[int, int]], second: Sequence[tuple[int, int]], tolerance: int
) -> list[tuple[int, int]]:
    """For each (stamp, key) of ``first`` the key of the nearest stamp of ``second``, where within ``tolerance``.

    Both are sorted by stamp. Returns pairs of keys.
    """
    stamps = [stamp for stamp, _ in second]
    pairs = []
    for stamp, key in first:
        after = bisect_left(stamps, stamp)
        around = range(max(after - 1, 0), min(after + 1, len(stamps)))
        nearest = min(around, key=lambda i: abs(stamps[i] - stamp), default=None)
        if nearest is not None and abs(stamps[nearest] - stamp) <= tolerance:
            pairs.append((key, second[nearest][1]))
    return pairs


@lru_cache(maxsize=8)
def _opened(bag: Path, process: int) -> AnyReader:
    """Keep a bag open, for one process: a file handle shared over a fork would be moved by both sides."""
    reader = AnyReader([bag], default_typestore=get_typestore(Stores.ROS2_JAZZY))
    try:
        reader.open()
    except AnyReaderError as error:
        raise ValueError(f"{bag}: not a readable rosbag2: {error}") from error
    return reader


def _camera(info: Any) -> CameraModel:
    roi = info.roi
    return CameraModel.from_camera_info(
        width=info.width,
        height=info.height,
        k=info.k,
        d=info.d,
        distortion_model=info.distortion_model,
        r=info.r,
        p=info.p,
        binning_x=info.binning_x,
        binning_y=info.binning_y,
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height),
    )


def _color(message: Any, source: str) -> NDArray[np.uint8]:
    if hasattr(message, "format"):
        return decode_color(message.data.tobytes(), source)
    channels, to_rgb = _known(message.encoding, _COLOR, source)
    pixels = _pixels(message, np.dtype("u1"), channels, source)
    return pixels if to_rgb is None else np.asarray(cv2.cvtColor(pixels, to_rgb), np.uint8)


def _depth(message: Any, source: str) -> NDArray[np.float32]:
    """Metres, 0 where unknown: NaN, infinite, not positive (REP-117)."""
    if hasattr(message, "format"):
        _known(message.format.split(";")[0], {"16UC1": None}, source)
        return decode_depth(message.data.tobytes()[_COMPRESSED_DEPTH_HEADER:], np.uint16, 1000, source)
    kind, metre = _known(message.encoding, _DEPTH, source)
    dtype = np.dtype((">" if message.is_bigendian else "<") + kind)
    depth = _pixels(message, dtype, 1, source).astype(np.float32) * np.float32(1 / metre)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def _known(encoding: str, encodings: dict[str, Any], source: str) -> Any:
    if encoding not in encodings:
        raise BadFrameError(f"{source}: found encoding {encoding!r}, expected one of {', '.join(encodings)}")
    return encodings[encoding]


def _pixels(message: Any, dtype: np.dtype, channels: int, source: str) -> NDArray:
    """(H, W) or (H, W, channels) of a raw Image whose rows may be padded."""
    row = message.width * channels * dtype.itemsize
    if message.step < row or message.data.size < message.step * message.height:
        raise BadFrameError(
            f"{source}: found {message.data.size} bytes in steps of {message.step}, expected {message.height} rows of "
            f"{row} bytes or more"
        )
    rows = message.data[: message.step * message.height].reshape(message.height, message.step)[:, :row]
    shape = (message.height, message.width) if channels == 1 else (message.height, message.width, channels)
    return np.ascontiguousarray(rows).view(dtype).reshape(shape)
