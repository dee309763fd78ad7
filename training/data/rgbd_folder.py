"""Reader of the plain layout: rgb/NNNNN.jpg, depth/NNNNN.png in millimetres, camera.yaml."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mono_depth_ros.camera import CameraModel
from training.data.checks import check_code, checked_frame
from training.data.frame import RgbdDataset, RgbdFrame, take
from training.data.image_files import read_color, read_depth
from training.data.place import locate


class RgbdFolder(RgbdDataset):
    """A folder of ``rgb/*.jpg`` or ``*.png``, ``depth/*.png`` (uint16, mm, 0 = unknown) and ``camera.yaml``.

    Args:
        folder: the folder; ``camera.yaml`` is in camera_calibration's format, and a distorted image is rectified.
        rows: half-open ranges of positions among the sorted names; None takes all.
        every: of those, take every n-th.
        border: pixels along the edges whose depth is not trusted (NYU Depth V2: 8).
        metre: units of the depth images that make a metre. None is 1000, doubted: what looks like another code is bad.

    Raises FileNotFoundError or ValueError for a missing or broken layout.
    """

    def __init__(
        self,
        folder: Path,
        rows: Sequence[tuple[int, int]] | None = None,
        every: int = 1,
        border: int = 0,
        metre: float | None = None,
    ) -> None:
        self.source, self.border, self.metre = locate(folder), border, metre
        color = {file.stem: file for file in sorted((self.source / "rgb").glob("*.[jp][pn]g"))}
        stems = sorted(color.keys() | {file.stem for file in (self.source / "depth").glob("*.png")})
        files = [(color.get(s, self.source / f"rgb/{s}.jpg"), self.source / f"depth/{s}.png") for s in stems]
        self.files = take(files, rows, every, self.source)
        self.camera = CameraModel.from_yaml(self.source / "camera.yaml")

    def __len__(self) -> int:
        """Number of frames taken."""
        return len(self.files)

    def __getitem__(self, index: int) -> RgbdFrame:
        """Read one frame."""
        color, depth = self.files[index]
        units = read_depth(depth, np.uint16, metre=1)
        if self.metre is None:
            check_code(units, depth)
        return checked_frame(
            name=f"{self.source.name}/{color.stem}",
            rgb=read_color(color),
            depth=units / np.float32(self.metre or 1000),
            camera=self.camera,
            files=(color, depth),
            border=self.border,
        )
