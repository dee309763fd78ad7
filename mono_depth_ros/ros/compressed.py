"""sensor_msgs CompressedImage, JPEG or PNG, to RGB: its size and its end are checked before OpenCV sees it.

OpenCV fills the missing part of a truncated JPEG with grey and reports success, and allocates whatever a header claims.
Damage within the picture of a JPEG that leaves its end in place goes unseen: libjpeg only mentions it on stderr.
"""

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage

from mono_depth_ros.ros.raw import ImageError, check_size, fits

_JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_PNG_START = b"\x89PNG\r\n\x1a\n"

# ITU-T T.81, table B.1
_START_OF_SCAN = 0xDA
_STARTS_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset(range(0xD0, 0xD9)) | {0x01}

# The camera_info belongs to the picture as the sensor read it, so an EXIF orientation must not turn it.
_READ_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def decode(msg: CompressedImage, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """RGB picture (H, W, 3) uint8 of a JPEG or PNG; `out` as in raw.decode. Raises ImageError."""
    data = msg.data.tobytes()
    try:
        width, height = encoded_size(data)
    except ImageError as error:
        raise ImageError(f"compressed image of format {msg.format!r}: {error}") from error
    check_size(width, height)
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), _READ_FLAGS)
    except cv2.error as error:
        raise ImageError(f"compressed image of format {msg.format!r}: OpenCV cannot decode it: {error}") from error
    if bgr is None or bgr.shape != (height, width, 3):
        raise ImageError(
            f"compressed image of format {msg.format!r}: damaged; its header promises {width}x{height} pixels"
        )
    target = out if out is not None and fits(out, bgr.shape) else None
    if bgr.dtype == np.uint16:
        bgr = cv2.convertScaleAbs(bgr, alpha=255 / 65535)
    rgb: NDArray[Any] = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=target)
    return rgb


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
