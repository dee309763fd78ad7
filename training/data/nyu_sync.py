"""Reader of the "sync" layout of BTS and GLPDepth: NYU Depth V2's raw recordings in synchronised pairs."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from training.data import nyu
from training.data.checks import checked_frame
from training.data.frame import RgbdDataset, RgbdFrame, take
from training.data.image_files import read_color, read_depth
from training.data.place import locate


class NyuSync(RgbdDataset):
    """Pairs such as ``kitchen_0028b/rgb_00045.jpg`` and ``sync_depth_00045.png`` (uint16, mm) named by a list.

    Args:
        folder: where the list's paths begin (``sync``, or ``official_splits/test``).
        file_list: lines of "rgb depth" or "rgb depth focal", such as ``nyudepthv2_train_files_with_gt.txt`` with its
            24 231; a path's leading slash is ignored, as is the focal length, the Kinect's everywhere.
        scenes: part of the scenes that is taken, from 0 (the first by name) to 1; ``kitchen_0028a`` and ``b`` are one
            scene, and none is cut.
        rows: half-open ranges of positions among those lines, sorted by path.
        every: of those, take every n-th.

    Raises FileNotFoundError or ValueError for a missing or broken list.
    """

    def __init__(
        self,
        folder: Path,
        file_list: Path,
        rows: Sequence[tuple[int, int]] | None = None,
        every: int = 1,
        scenes: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        self.source = locate(folder)
        pairs = []
        for number, line in enumerate(locate(file_list).read_text(encoding="utf-8").splitlines(), start=1):
            fields = line.split()
            if len(fields) not in (2, 3):
                raise ValueError(f"{file_list}, line {number}: found {line!r}, expected 'rgb depth [focal]'")
            pairs.append((fields[0].lstrip("/"), fields[1].lstrip("/")))
        self.pairs = take(of_scenes(sorted(pairs), scenes), rows, every, file_list)

    def __len__(self) -> int:
        """Number of frames taken."""
        return len(self.pairs)

    def __getitem__(self, index: int) -> RgbdFrame:
        """Read one frame."""
        name, _ = self.pairs[index]
        color, depth = (self.source / part for part in self.pairs[index])
        return checked_frame(
            name=name.removesuffix(".jpg"),
            rgb=read_color(color),
            depth=read_depth(depth, np.uint16, metre=1000),
            camera=nyu.CAMERA,
            files=(color, depth),
            border=nyu.BORDER,
        )


def of_scenes(pairs: list[tuple[str, str]], part: tuple[float, float]) -> list[tuple[str, str]]:
    """The pairs of the scenes in ``part``; a recording's last letter tells the parts of one scene."""
    scene_of = {pair: re.sub(r"[a-z]$", "", pair[0].rpartition("/")[0]) for pair in pairs}
    scenes = sorted(set(scene_of.values()))
    first, last = (round(share * len(scenes)) for share in part)
    taken = set(scenes[first:last])
    return [pair for pair in pairs if scene_of[pair] in taken]
