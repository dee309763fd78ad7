"""What every source hands out: frames in order, and what is known of their lens."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.io.errors import ImageError, SourceError, raised

RATE = 30.0  # frames a second of what does not say


@dataclass(frozen=True)
class Frame:
    """One image, and what is known of it.

    Attributes:
        rgb: (H, W, 3) uint8.
        stamp: ns since the epoch, or None for one taken now.
        name: of its file.
        pose: x, y, z (metres), qx, qy, qz, qw of the camera's optical frame in a fixed one, or None.
    """

    rgb: NDArray[np.uint8]
    stamp: int | None
    name: str = ""
    pose: tuple[float, ...] | None = None


class Source(Protocol):
    """Frames in order, and what is known about them; the base of each kind of source.

    Attributes:
        camera: the lens; assumed where nothing says, see remark.
        remark: what the user should know about it; empty if nothing.
        rate: frames a second; a recording with stamps keeps to these instead.
        length: number of frames; None where there is no end, or it is unknown.
        is_live: frames come when the camera has them, and must not be fetched ahead.
    """

    camera: CameraModel
    remark: str = ""
    rate: float = RATE
    length: int | None = None
    is_live: bool = False

    def frames(self, bad: Callable[[ImageError], None] = raised) -> Iterator[Frame]:
        """All frames; some sources never end. An image that cannot be read goes to `bad`. Raises SourceError."""

    def truth(self, index: int) -> NDArray[np.float32] | None:
        """Depth (H, W) of frame number index in metres along the optical axis, 0 where unknown, or None."""
        return None


def calibration_or_guess(folder: Path | None, width: int, height: int) -> tuple[CameraModel, str]:
    """The camera of camera.yaml in a folder, else one that is assumed and a remark that says so. Raises SourceError."""
    camera = read_calibration(folder) if folder else None
    if camera is None:
        text = "no camera.yaml: a field of view of 63 degrees is assumed, and depth is as wrong as that is"
        return assumed_camera(width, height), text
    if (camera.width, camera.height) != (width, height):
        found = f"{camera.width}x{camera.height}"
        raise SourceError(f"{folder}/camera.yaml: found a calibration for {found}, the images are {width}x{height}")
    return camera, ""


def read_calibration(folder: Path) -> CameraModel | None:
    """The camera of camera.yaml in a folder, if there is such a file. Raises SourceError."""
    path = folder / "camera.yaml"
    try:
        return CameraModel.from_yaml(path) if path.is_file() else None
    except ValueError as error:
        raise SourceError(str(error)) from error


def assumed_camera(width: int, height: int) -> CameraModel:
    """A camera whose longer side spans NYU Depth V2's field of view."""
    nyu = CameraModel.nyu()
    focal = nyu.fx * max(width, height) / nyu.width
    return CameraModel(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
