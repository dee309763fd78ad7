"""What every source hands out: frames in order, and what is known of their lens."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.io.errors import SourceError

RATE = 30.0  # frames a second of what does not say


@dataclass(frozen=True)
class Frame:
    """One image: RGB (H, W, 3) uint8; its stamp in ns since the epoch, or None for one taken now; a file's name."""

    rgb: NDArray[np.uint8]
    stamp: int | None
    name: str = ""


class Source(Protocol):
    """Frames in order, and what is known about them.

    Attributes:
        camera: the lens; assumed where nothing says, see remark.
        remark: what the user should know about it; empty if nothing.
        rate: frames a second; a recording with stamps keeps to these instead.
        length: number of frames; None where there is no end, or it is unknown.
        is_live: frames come when the camera has them, and must not be fetched ahead.
    """

    camera: CameraModel
    remark: str
    rate: float
    length: int | None
    is_live: bool

    def frames(self) -> Iterator[Frame]:
        """All frames; some sources never end. Raises SourceError."""

    def truth(self, index: int) -> NDArray[np.float32] | None:
        """Depth (H, W) of frame number index in metres along the optical axis, 0 where unknown, or None."""


def calibration_or_guess(folder: Path | None, width: int, height: int) -> tuple[CameraModel, str]:
    """The camera of camera.yaml in a folder, else one with NYU Depth V2's field of view and a remark that says so."""
    path = folder and folder / "camera.yaml"
    if path and path.is_file():
        try:
            camera = CameraModel.from_yaml(path)
        except ValueError as error:
            raise SourceError(str(error)) from error
        if (camera.width, camera.height) != (width, height):
            found = f"{camera.width}x{camera.height}"
            raise SourceError(f"{path}: found a calibration for {found}, the images are {width}x{height}")
        return camera, ""
    nyu = CameraModel.nyu()
    focal = nyu.fx * max(width, height) / nyu.width
    camera = CameraModel(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    return camera, "no camera.yaml: a field of view of 63 degrees is assumed, and depth is as wrong as that is"
