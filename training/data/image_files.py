"""JPEG and PNG to arrays; a file that is missing, cut short or of another kind is named."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import DTypeLike, NDArray

from training.data.frame import BadFrameError

# How a whole file begins and, but for padding, ends: OpenCV fills what is missing of a JPEG with grey and says nothing.
_ENDS = {b"\xff\xd8\xff": b"\xff\xd9", b"\x89PNG": b"IEND\xaeB\x60\x82"}


def read_color(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a JPEG or PNG. Raises BadFrameError."""
    return decode_color(_read(path), path)


def read_depth(path: Path, dtype: DTypeLike, metre: float) -> NDArray[np.float32]:
    """(H, W) float32 metres of a one-channel PNG of type ``dtype`` in which ``metre`` stands for 1 m.

    Raises BadFrameError.
    """
    return decode_depth(_read(path), dtype, metre, path)


def decode_color(data: bytes, source: object) -> NDArray[np.uint8]:
    """read_color for the content of a file; ``source`` names it. An EXIF turn is not applied: the depth has none."""
    image = _decode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION, source)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def decode_depth(data: bytes, dtype: DTypeLike, metre: float, source: object) -> NDArray[np.float32]:
    """read_depth for the content of a file; ``source`` names it."""
    depth = _decode(data, cv2.IMREAD_UNCHANGED, source)
    if depth.ndim != 2 or depth.dtype != dtype:
        channels = 1 if depth.ndim == 2 else depth.shape[2]
        raise BadFrameError(
            f"{source}: found {channels} channel(s) of {depth.dtype}, expected depth as 1 channel of {np.dtype(dtype)}"
        )
    return depth * np.float32(1 / metre)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BadFrameError(f"{path}: no such file") from error
    except OSError as error:
        raise BadFrameError(f"{path}: {error}") from error


def _decode(data: bytes, flags: int, source: object) -> NDArray:
    end = next((end for start, end in _ENDS.items() if data.startswith(start)), None)
    if end is None:
        raise BadFrameError(f"{source}: found {len(data)} bytes that begin with {data[:4]!r}, expected a JPEG or PNG")
    if not data.rstrip(b"\0").endswith(end):
        raise BadFrameError(f"{source}: cut short; found {len(data)} bytes without the end of a JPEG or PNG")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise BadFrameError(f"{source}: damaged; OpenCV cannot decode it")
    return image
