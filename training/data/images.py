"""Reader of pictures without depth: a folder, a video, a robot's bag; a teacher (`training.distill`) labels them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mono_depth_ros.camera import Rectifier
from mono_depth_ros.io import Frame, parse_source
from training.data.frame import RgbdDataset, RgbdFrame, take
from training.data.place import locate


class Images(RgbdDataset):
    """Frames whose depth is unknown everywhere. They are read in order; one that was passed means to begin again.

    Args:
        path: a folder of images with a camera.yaml, a video, or a rosbag2 with its camera_info; where nothing says the
            lens, NYU's field of view is assumed, and a teacher's metres are as wrong as that.
        rows: half-open ranges of positions among the frames; None takes all.
        every: of those, take every n-th.

    Raises FileNotFoundError, SourceError or ValueError for what cannot be read.
    """

    def __init__(self, path: Path, rows: Sequence[tuple[int, int]] | None = None, every: int = 1) -> None:
        self.source = locate(path)
        self._frames = parse_source(str(self.source))
        length = self._frames.length
        numbers = range(sum(1 for _ in self._frames.frames()) if length is None else length)
        self.numbers = take(numbers, rows, every, self.source)
        self._rectifier = Rectifier(self._frames.camera)
        self._ahead: Iterator[tuple[int, Frame]] = iter(())
        self._at = len(numbers)

    def __len__(self) -> int:
        """Number of frames taken."""
        return len(self.numbers)

    def __getitem__(self, index: int) -> RgbdFrame:
        """Read one frame."""
        wanted = self.numbers[index]
        if wanted <= self._at:
            self._ahead = enumerate(self._frames.frames())
        self._at, frame = next(pair for pair in self._ahead if pair[0] == wanted)
        rgb = self._rectifier.rectify(frame.rgb)
        name = f"{self.source.stem}/{frame.name or wanted}"
        return RgbdFrame(name, rgb, np.zeros(rgb.shape[:2], np.float32), self._rectifier.camera)
