"""Reader of a rosbag2 with colour, registered depth and camera_info: a robot's own RGB-D recording."""

import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.highlevel import AnyReader

from mono_depth_ros.camera import camera_from_info
from mono_depth_ros.io import ImageError, SourceError
from mono_depth_ros.io import bag as bags
from mono_depth_ros.io.white import WhiteLevel
from training.data.checks import checked_frame
from training.data.frame import BadFrameError, RgbdDataset, RgbdFrame, take
from training.data.place import locate

_FRAMES_FOR_WHITE = 20


class Rosbag2(RgbdDataset):
    """Pairs of colour and depth nearest in time, from a bag of either storage (SQLite, MCAP); ROS is not needed.

    Args:
        bag: the bag's folder.
        color: topic of Image or CompressedImage, in any encoding that the node knows.
        depth: topic of Image (16UC1 in mm, 32FC1 in m), or CompressedImage (16UC1 compressedDepth), registered to
            colour: the same size, the same optical frame.
        camera_info: topic of the colour camera's CameraInfo; the first one counts, and a distorted image is rectified.
        tolerance: seconds between the stamps of a pair, at most.
        rows: half-open ranges of positions among the pairs, in order of time.
        every: of those, take every n-th; 30 frames a second of one room differ little.
        metre: units of the depth that make a metre, where they are not REP-118's; None is those, doubted.

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
        metre: float | None = None,
    ) -> None:
        self.source, self.color, self.depth, self.metre = locate(bag), color, depth, metre
        _, first_info = next(self._messages(camera_info), (0, None))
        if first_info is None:
            raise ValueError(f"{self.source}: {camera_info}: found no message, expected at least one CameraInfo")
        try:
            self.camera = camera_from_info(first_info)
        except ValueError as error:
            raise ValueError(f"{self.source}: {camera_info}: {error}") from error
        pairs = nearest_pairs(self._stamps(color), self._stamps(depth), round(tolerance * 1e9))
        self.pairs = take(pairs, rows, every, f"{self.source}: {color} and {depth} within {tolerance} s")
        self._white = self._found_white()

    def __len__(self) -> int:
        """Number of pairs taken."""
        return len(self.pairs)

    def __getitem__(self, index: int) -> RgbdFrame:
        """Read one pair."""
        color_time, depth_time = self.pairs[index]
        sources = f"{self.source}: {self.color} at {color_time}", f"{self.source}: {self.depth} at {depth_time}"
        rgb = self._decoded(partial(bags.decode_color, white=self._white), self.color, color_time)
        depth = self._decoded(self._metres, self.depth, depth_time)
        return checked_frame(f"{self.source.name}/{color_time}", rgb, depth, self.camera, sources)

    def _metres(self, message: Any) -> NDArray[np.float32]:
        depth = bags.decode_depth(message)
        if self.metre is None:
            return depth
        encoding = getattr(message, "encoding", "") or message.format
        return depth * np.float32((1 if encoding.startswith("32FC1") else 1000) / self.metre)

    def _found_white(self) -> WhiteLevel:
        """White of a 16-bit colour topic, from frames spread over the bag: the same for each, in whatever order."""
        white = WhiteLevel()
        for time, _ in self.pairs[:: -(-len(self.pairs) // _FRAMES_FOR_WHITE)]:
            with suppress(BadFrameError):
                self._decoded(partial(bags.decode_color, white=white), self.color, time)
            if not white.largest:  # 8 bits
                break
        white.settle()
        return white

    def _decoded(self, decode: Callable[[Any], NDArray], topic: str, time: int) -> NDArray:
        try:
            return decode(self._message(topic, time))
        except ImageError as error:
            raise BadFrameError(f"{self.source}: {topic} at {time}: {error}") from error

    def _messages(self, topic: str, start: int | None = None) -> Iterator[tuple[int, Any]]:
        """Recording time in ns and message, from ``start`` on."""
        try:
            yield from bags.messages(_opened(self.source, os.getpid()), topic, start)
        except SourceError as error:
            raise BadFrameError(str(error)) from error

    def _has(self, topic: str) -> bool:
        return any(connection.topic == topic for connection in _opened(self.source, os.getpid()).connections)

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
def _opened(path: Path, process: int) -> AnyReader:
    """Keep a bag open, for one process: a file handle shared over a fork would be moved by both sides."""
    return bags.open_bag(path)
