"""What every reader hands out: one RGB-D frame with its camera."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.camera import CameraModel

Item = TypeVar("Item")


class BadFrameError(ValueError):
    """A frame that cannot be used; the text names its file."""


@dataclass(frozen=True, eq=False)
class RgbdFrame:
    """A colour image with the depth of its pixels.

    Attributes:
        name: what a report calls the frame.
        rgb: (H, W, 3) uint8.
        depth: (H, W) float32, metres along the optical axis, 0 where unknown.
        camera: the pinhole camera of both, W x H pixels.
    """

    name: str
    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    camera: CameraModel


class RgbdDataset(ABC):
    """A set of RGB-D frames read by index; reading the same index again gives the same frame.

    Attributes:
        source: the file or folder it reads.
    """

    source: Path

    def __str__(self) -> str:
        return f"{self.source.name} ({len(self)} frames)"

    @abstractmethod
    def __len__(self) -> int:
        """Number of frames."""

    @abstractmethod
    def __getitem__(self, index: int) -> RgbdFrame:
        """Read one frame. Raises BadFrameError, naming the file, where it cannot be used."""


def take(frames: Sequence[Item], rows: Sequence[tuple[int, int]] | None, every: int, source: object) -> list[Item]:
    """Choose a reader's frames: those in the half-open ranges ``rows`` (None: all), then every ``every``-th of them.

    Contiguous ranges hold out whole scenes for validation; ``every`` keeps a long walk through one room from
    outweighing the other sets. ``source`` names the set in errors. Raises ValueError where nothing would be left.
    """
    if every < 1:
        raise ValueError(f"{source}: every: found {every}, expected 1 (all frames) or more")
    if not frames:
        raise ValueError(f"{source}: found no frames")
    chosen: list[Item] = []
    for start, stop in rows if rows is not None else [(0, len(frames))]:
        if not 0 <= start < stop <= len(frames):
            raise ValueError(
                f"{source}: rows: found [{start}, {stop}), expected a range inside [0, {len(frames)}), its frames"
            )
        chosen += frames[start:stop]
    return chosen[::every]
