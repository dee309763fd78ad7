"""The virtual camera as a source, beside those of `mono_depth_ros.io`."""

from collections.abc import Iterator
from functools import cached_property
from itertools import count

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros import io
from mono_depth_ros.camera import CameraModel
from mono_depth_ros.demo.flight import Flight
from mono_depth_ros.demo.room import Room
from mono_depth_ros.demo.virtual_camera import Pose, Renderer
from mono_depth_ros.io import Frame, Source
from mono_depth_ros.io.frames import RATE

KINDS = f"virtual, {io.KINDS}"

# The virtual camera flies through one room after another, and then through the first again.
_ROOMS, _FRAMES_IN_ROOM = 3, 100
_FIRST_ROOM = 7


def parse_source(text: str) -> Source:
    """The source that a text names: one of KINDS. Raises SourceError."""
    return VirtualSource() if text == "virtual" else io.parse_source(text)


class VirtualSource:
    """Rooms that the project renders, with exact depth."""

    remark, rate, is_live = "", RATE, False
    length: int | None = None

    def __init__(self, camera: CameraModel | None = None) -> None:
        self.camera = camera or CameraModel(640, 480, 525.0, 525.0, 319.5, 239.5)
        self._renderer = Renderer(self.camera.rays())

    def frames(self) -> Iterator[Frame]:
        """Fly through the rooms for ever."""
        for index in count():
            room, pose = self._place(index)
            yield Frame(self._renderer.render(room, pose)[0], None)

    def truth(self, index: int) -> NDArray[np.float32]:
        """Exact depth of every pixel."""
        return self._renderer.depth(*self._place(index))

    @cached_property
    def _rooms(self) -> list[tuple[Room, Flight]]:
        """Built when first needed, since that takes some seconds."""
        rooms = [Room(_FIRST_ROOM + number) for number in range(_ROOMS)]
        return [(room, Flight(room, seed)) for seed, room in enumerate(rooms)]

    def _place(self, index: int) -> tuple[Room, Pose]:
        room, flight = self._rooms[index // _FRAMES_IN_ROOM % _ROOMS]
        return room, flight.pose(index / RATE)
