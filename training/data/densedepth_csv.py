"""Reader of DenseDepth's nyu_data: CSV lists of NYU Depth V2 pairs with filled depth."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.data import nyu
from training.data.checks import checked_frame
from training.data.frame import RgbdDataset, RgbdFrame, take
from training.data.image_files import read_color, read_depth
from training.data.place import locate

# Training depth went through 8 bits, 255 for 10 m; test depth is 16-bit millimetres (DenseDepth's issue 32).
_DEPTH = {"train": (np.uint8, 25.5), "test": (np.uint16, 1000.0)}


class DenseDepthCsv(RgbdDataset):
    """About 50 000 training pairs or the 654 test pairs, one "rgb,depth" a line of ``data/nyu2_<split>.csv``.

    Args:
        folder: the unpacked ``nyu_data``, from where the CSV's paths begin.
        split: "train" (8-bit depth in steps of 3.9 cm) or "test" (millimetres).
        rows: half-open ranges of positions among the lines sorted by path, which puts a scene's frames together.
        every: of those, take every n-th.

    Raises FileNotFoundError or ValueError for a missing or broken CSV.
    """

    def __init__(
        self, folder: Path, split: nyu.Split, rows: Sequence[tuple[int, int]] | None = None, every: int = 1
    ) -> None:
        self.source = locate(folder)
        self.dtype, self.metre = _DEPTH[split]
        file_list = self.source / f"data/nyu2_{split}.csv"
        pairs = []
        with open(file_list, newline="", encoding="utf-8") as lines:
            for number, fields in enumerate(csv.reader(lines), start=1):
                if len(fields) != 2:
                    raise ValueError(f"{file_list}, line {number}: found {fields}, expected 'rgb,depth'")
                pairs.append((fields[0], fields[1]))
        self.pairs = take(sorted(pairs), rows, every, file_list)

    def __len__(self) -> int:
        """Number of frames taken."""
        return len(self.pairs)

    def __getitem__(self, index: int) -> RgbdFrame:
        """Read one frame."""
        color, depth = (self.source / part for part in self.pairs[index])
        return checked_frame(
            name=str(Path(self.pairs[index][0]).with_suffix("")),
            rgb=read_color(color),
            depth=read_depth(depth, self.dtype, self.metre),
            camera=nyu.CAMERA,
            files=(color, depth),
            border=nyu.BORDER,
        )
