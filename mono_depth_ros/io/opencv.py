"""OpenCV's decoder, with its two ways to say no made one."""

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.io.errors import ImageError


def decode(data: bytes, flags: int, problem: str) -> NDArray:
    """What cv2.imdecode makes of it with these flags. Raises ImageError, which begins with the problem."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error as error:
        raise ImageError(f"{problem}: {error}") from error
    if pixels is None:
        raise ImageError(problem)
    return pixels
