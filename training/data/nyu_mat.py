"""Reader of nyu_depth_v2_labeled.mat, the labelled NYU Depth V2, in its official split."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import h5py

from training.data import nyu
from training.data.checks import checked_frame
from training.data.frame import BadFrameError, RgbdDataset, RgbdFrame, take
from training.data.place import locate


class NyuMat(RgbdDataset):
    """The 795 training or 654 test frames of ``nyu_depth_v2_labeled.mat`` (MATLAB v7.3, which is HDF5), 640x480.

    Args:
        file: the .mat.
        split: "train" or "test".
        depth: "filled", with every hole painted in, or "raw", as the Kinect measured it. The official test images that
            BTS and later work report on have raw depth.
        rows: half-open ranges of positions in the split, to hold out contiguous blocks (it is ordered by scene).
        every: of those, take every n-th.

    Raises FileNotFoundError or ValueError for a missing or broken file.
    """

    def __init__(
        self,
        file: Path,
        split: nyu.Split,
        depth: Literal["filled", "raw"] = "filled",
        rows: Sequence[tuple[int, int]] | None = None,
        every: int = 1,
    ) -> None:
        self.source = locate(file)
        self.field = {"filled": "depths", "raw": "rawDepths"}[depth]
        self.rows = take(nyu.official_rows(split), rows, every, self.source)
        self._check_layout()

    def __len__(self) -> int:
        """Number of frames taken."""
        return len(self.rows)

    def __getitem__(self, index: int) -> RgbdFrame:
        """Read one frame; the file is opened anew, because an open HDF5 file does not survive a fork."""
        row = self.rows[index]
        source = f"{self.source}, frame {row}"
        try:
            with h5py.File(self.source) as content:
                rgb, depth = content["images"][row], content[self.field][row]
        except OSError as error:
            raise BadFrameError(f"{source}: {error}") from error
        # MATLAB stores columns first: (3, 640, 480) and (640, 480).
        return checked_frame(f"{row:05d}", rgb.T.copy(), depth.T.copy(), nyu.CAMERA, (source, source), nyu.BORDER)

    def _check_layout(self) -> None:
        expected = {"images": (nyu.FRAMES, 3, 640, 480), self.field: (nyu.FRAMES, 640, 480)}
        try:
            with h5py.File(self.source) as content:
                found = {name: content[name].shape if name in content else None for name in expected}
        except OSError as error:
            raise ValueError(f"{self.source}: not a MATLAB v7.3 (HDF5) file: {error}") from error
        if found != expected:
            raise ValueError(f"{self.source}: found {found}, expected {expected}, as in nyu_depth_v2_labeled.mat")
