"""Images of a set, by the readers of `mono_depth_ros.io`; one that cannot be read is a bad frame."""

from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mono_depth_ros.io import ImageError, files
from training.data.frame import BadFrameError


def read_color(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of an image file. Raises BadFrameError."""
    try:
        return files.read_color(path)
    except ImageError as error:
        raise BadFrameError(str(error)) from error


def read_depth(path: Path, dtype: DTypeLike, metre: float) -> NDArray[np.float32]:
    """(H, W) float32 metres of a one-channel PNG of type ``dtype`` in which ``metre`` stands for 1 m.

    Raises BadFrameError.
    """
    try:
        return files.read_depth(path, dtype, metre)
    except ImageError as error:
        raise BadFrameError(str(error)) from error
