"""PNG: its checksums are held against its bytes before OpenCV, which passes over some of them, sees it."""

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import cv2
from numpy.typing import NDArray

from mono_depth_ros.io import opencv
from mono_depth_ros.io.errors import ImageError

START = b"\x89PNG\r\n\x1a\n"

_GREY, _GREY_ALPHA = 0, 4  # colour types
_HEADER_END = len(START) + 25  # IHDR has 13 bytes, and 12 around them


class Header(NamedTuple):
    """Size in pixels; 1 channel is grey, 3 are colours, whatever alpha comes with them; bits of a sample."""

    width: int
    height: int
    channels: int
    bits: int


def read_header(data: bytes) -> Header:
    """Walk the chunks (PNG specification, section 5) from IHDR to IEND. Raises ImageError."""
    header = None
    position = len(START)
    while position + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(memoryview(data)[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise ImageError(f"damaged PNG: the checksum of its {name.decode('latin-1')} chunk is wrong")
        if header is None:
            if name != b"IHDR" or length < 13:
                raise ImageError(f"damaged PNG: it begins with {name.decode('latin-1')}, expected IHDR")
            width, height, bits, color = struct.unpack_from(">IIBB", data, position + 8)
            header = Header(width, height, 1 if color in (_GREY, _GREY_ALPHA) else 3, bits)
        if name == b"IEND":
            return header
        position = end + 4
    raise ImageError(f"truncated PNG: {len(data)} bytes without an end chunk")


def decode(data: bytes, flags: int = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH) -> NDArray:
    """What OpenCV makes of it with these flags: BGR (H, W, 3) uint8 or uint16. Raises ImageError."""
    return opencv.decode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION, "damaged PNG: OpenCV cannot decode it")


def encode(image: NDArray, software: str = "") -> bytes:
    """A PNG of (H, W) or BGR (H, W, 3), uint8 or uint16, which says what software made it."""
    done, data = cv2.imencode(".png", image)
    assert done
    content = data.tobytes()
    if not software:
        return content
    return content[:_HEADER_END] + _text_chunk(software) + content[_HEADER_END:]


def is_made_by(software: str, path: Path) -> bool:
    """Whether a file is a PNG that `encode` made, and says so."""
    chunk = _text_chunk(software)
    with open(path, "rb") as file:
        return file.read(_HEADER_END + len(chunk))[_HEADER_END:] == chunk


def _text_chunk(software: str) -> bytes:
    """PNG specification, 11.3.3.2: the keyword Software."""
    content = b"tEXtSoftware\0" + software.encode("latin-1")
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
