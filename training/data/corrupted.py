"""Pictures that a camera spoils: dark, blurred, noisy, partly covered; what is there, and its depth, stay the same."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data.frame import RgbdDataset, RgbdFrame

Picture = NDArray[np.uint8]


def dark(rgb: Picture, rng: np.random.Generator) -> Picture:
    """A seventh of the light, and a sensor's noise in it."""
    return _rounded(rgb / 7 + rng.normal(0, 3, rgb.shape))


def blurred(rgb: Picture, rng: np.random.Generator) -> Picture:
    """Out of focus by a hundredth of the picture's width."""
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), rgb.shape[1] / 100), np.uint8)


def noisy(rgb: Picture, rng: np.random.Generator) -> Picture:
    """Noise of an eighth of the range."""
    return _rounded(rgb + rng.normal(0, 32, rgb.shape))


def covered(rgb: Picture, rng: np.random.Generator) -> Picture:
    """Something black before the lens hides a rectangle of half of its sides, a quarter of the picture."""
    height, width = rgb.shape[:2]
    top, left = int(rng.integers(height // 2)), int(rng.integers(width // 2))
    spoilt = rgb.copy()
    spoilt[top : top + height // 2, left : left + width // 2] = 0
    return spoilt


KINDS: dict[str, Callable[[Picture, np.random.Generator], Picture]] = {
    kind.__name__: kind for kind in (dark, blurred, noisy, covered)
}


class Corrupted(RgbdDataset):
    """Another set's frames with their pictures spoilt, each in the same way whenever it is read.

    Args:
        frames: the other set.
        kind: one of `KINDS`; ValueError for another.
    """

    def __init__(self, frames: RgbdDataset, kind: str) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind: found {kind!r}, expected one of {', '.join(KINDS)}")
        self.source, self.frames, self.kind = frames.source, frames, kind

    def __str__(self) -> str:
        return f"{self.frames}, {self.kind}"

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)

    def __getitem__(self, index: int) -> RgbdFrame:
        """Read one frame and spoil its picture."""
        frame = self.frames[index]
        return replace(frame, rgb=KINDS[self.kind](frame.rgb, np.random.default_rng(index)))


def _rounded(values: NDArray[np.float64]) -> Picture:
    return np.rint(values.clip(0, 255)).astype(np.uint8)
