"""One bad frame in a large set does not stop a run; many do."""

import logging
from collections.abc import Iterable

import numpy as np
import torch
from torch.utils.data import Dataset

from mono_depth_ros.camera import CameraModel
from training.data.frame import BadFrameError, RgbdDataset, RgbdFrame

LARGEST_BAD_SHARE = 0.01

log = logging.getLogger(__name__)


class SkipBadFrames(Dataset[RgbdFrame]):
    """Gives something else in place of a bad frame, counts the bad ones and warns of each.

    In training it is the next good frame; which one depends on the index alone, so runs repeat. In evaluation it is a
    frame of which nothing is known, which adds nothing to any figure: no frame counts twice.

    The count is shared by the workers of one process; of several training processes each counts for itself.

    Raises BadFrameError when more than 1 % of the set is found bad; of fewer than 100 frames, that is any.
    """

    def __init__(self, frames: RgbdDataset, training: bool = True) -> None:
        self.frames, self.training = frames, training
        self._bad = torch.zeros(len(frames), dtype=torch.bool).share_memory_()

    def __len__(self) -> int:
        """Number of frames, bad ones included."""
        return len(self.frames)

    @property
    def skipped(self) -> int:
        """Number of frames found bad so far."""
        return int(self._bad.sum())

    def __getitem__(self, index: int) -> RgbdFrame:
        """Read the frame, or what stands in for it."""
        for candidate in self._from(index):
            try:
                return self.frames[candidate]
            except BadFrameError as error:
                self._count(candidate, error)
                if not self.training:
                    return unknown_frame(index)
        raise BadFrameError("no frame of the set can be read")

    def _from(self, index: int) -> Iterable[int]:
        return (i % len(self) for i in range(index, index + len(self)))

    def _count(self, index: int, error: BadFrameError) -> None:
        if not self._bad[index]:
            self._bad[index] = True
            log.warning("skipped: %s", error)
        if self.skipped > LARGEST_BAD_SHARE * len(self):
            raise BadFrameError(
                f"{self.skipped} of {len(self)} frames are bad, more than {LARGEST_BAD_SHARE:.0%}; the last: {error}"
            ) from error


def unknown_frame(index: int) -> RgbdFrame:
    """A black frame without known depth."""
    camera = CameraModel.nyu()
    shape = (camera.height, camera.width)
    return RgbdFrame(f"bad frame {index}", np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.float32), camera)
