"""JPEG and PNG, of a CompressedImage or a file, to RGB: size and end are checked before OpenCV sees them.

OpenCV fills the missing part of a truncated JPEG with grey and reports success, and allocates whatever a header claims.
Damage within the picture of a JPEG that leaves its end in place goes unseen: libjpeg only mentions it on stderr.
"""

import struct
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import DTypeLike, NDArray

from mono_depth_ros.io.errors import ImageError
from mono_depth_ros.io.raw import check_size, fits

_JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_PNG_START = b"\x89PNG\r\n\x1a\n"

# ITU-T T.81, table B.1
_START_OF_SCAN = 0xDA
_STARTS_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset(range(0xD0, 0xD9)) | {0x01}

# What image_transport's compressedDepth puts before the PNG: how 32FC1 was quantised, unused for 16UC1.
_COMPRESSED_DEPTH_HEADER = 12


class CompressedImage(Protocol):
    """What a sensor_msgs CompressedImage says, whoever deserialised it."""

    format: str
    data: Any


def decode_message(msg: CompressedImage, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """RGB picture (H, W, 3) uint8 of a message as it was stored; `out` as in raw.decode. Raises ImageError.

    The camera_info belongs to the picture as the sensor read it, so an EXIF orientation must not turn it.
    """
    try:
        return decode(msg.data.tobytes(), out)
    except ImageError as error:
        raise ImageError(f"compressed image of format {msg.format!r}: {error}") from error


def decode_depth_message(msg: CompressedImage) -> NDArray[np.float32]:
    """Depth (H, W) in metres, 0 where unknown, of image_transport's compressedDepth of 16UC1. Raises ImageError."""
    if msg.format.split(";")[0] != "16UC1":
        raise ImageError(f"compressed depth of format {msg.format!r}; expected 16UC1; compressedDepth")
    return decode_depth(msg.data.tobytes()[_COMPRESSED_DEPTH_HEADER:])


def decode(data: bytes, out: NDArray[np.uint8] | None = None, upright: bool = False) -> NDArray[np.uint8]:
    """RGB picture (H, W, 3) uint8 of a JPEG or PNG, `upright` after the EXIF orientation of a JPEG.

    `out` as in raw.decode. Raises ImageError, before decoding where more than MAX_SIDE pixels are promised on a side.
    """
    turned = upright and data.startswith(_JPEG_START)
    bgr = _decoded(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | (0 if turned else cv2.IMREAD_IGNORE_ORIENTATION))
    target = out if out is not None and fits(out, bgr.shape) else None
    if bgr.dtype == np.uint16:
        bgr = cv2.convertScaleAbs(bgr, alpha=255 / 65535)
    rgb: NDArray[Any] = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=target)
    return rgb


def decode_depth(data: bytes, dtype: DTypeLike = np.uint16, metre: float = 1000) -> NDArray[np.float32]:
    """Depth (H, W) in metres of a one-channel picture of type `dtype` in which `metre` stands for 1 m.

    Raises ImageError.
    """
    depth = _decoded(data, cv2.IMREAD_UNCHANGED)
    if depth.ndim != 2 or depth.dtype != dtype:
        channels = 1 if depth.ndim == 2 else depth.shape[2]
        raise ImageError(
            f"found {channels} channel(s) of {depth.dtype}; expected depth as 1 channel of {np.dtype(dtype)}"
        )
    return depth * np.float32(1 / metre)


def _decoded(data: bytes, flags: int) -> NDArray:
    """OpenCV's array of a whole JPEG or PNG."""
    width, height = encoded_size(data)
    check_size(width, height)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"OpenCV cannot decode it: {error}") from error
    if pixels is None or sorted(pixels.shape[:2]) != sorted((height, width)):
        raise ImageError(f"damaged; its header promises {width}x{height} pixels")
    return pixels


def is_known(data: bytes) -> bool:
    """Whether this begins as a JPEG or a PNG does."""
    return data.startswith((_JPEG_START, _PNG_START))


def encoded_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels of a complete JPEG or PNG.

    Raises ImageError for empty data, another format, damage in the structure or a missing end.
    """
    if not data:
        raise ImageError("no data (0 bytes); expected a JPEG or PNG")
    if data.startswith(_JPEG_START):
        return _jpeg_size(data)
    if data.startswith(_PNG_START):
        return _png_size(data)
    raise ImageError(f"{len(data)} bytes that begin with {data[:8].hex(' ')}; expected a JPEG or PNG")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walk the segments to the first scan (ITU-T T.81, annex B); the end marker must follow.

    Searching from the scan on passes over the end marker of a thumbnail, which lies in a segment before it.
    """
    size = None
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xFF:
            raise ImageError(f"damaged JPEG: byte {position} is {data[position]:#04x}; expected a marker (0xff)")
        marker = data[position + 1]
        if marker == 0xFF:  # padding before a marker
            position += 1
            continue
        if marker in _WITHOUT_LENGTH:
            position += 2
            continue
        if marker in _STARTS_OF_FRAME:
            height, width = struct.unpack_from(">HH", data, position + 5)
            size = width, height
        if marker == _START_OF_SCAN:
            break
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    if data.find(_JPEG_END, position) < 0:
        raise ImageError(f"truncated JPEG: {len(data)} bytes without an end marker")
    if size is None:
        raise ImageError("damaged JPEG: no frame header before the picture")
    return size


def _png_size(data: bytes) -> tuple[int, int]:
    """Walk the chunks (PNG specification, section 5) from IHDR to IEND."""
    if len(data) < 24:
        raise ImageError(f"truncated PNG: {len(data)} bytes are less than its header")
    width, height = struct.unpack_from(">II", data, 16)
    position = len(_PNG_START)
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        if name == b"IEND":
            return width, height
    raise ImageError(f"truncated PNG: {len(data)} bytes without an end chunk")
