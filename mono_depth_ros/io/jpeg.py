"""JPEG, whole or refused.

simplejpeg (libjpeg-turbo) refuses what libjpeg only warns of, such as a picture whose second half is missing before a
proper end marker. Where it is not installed, OpenCV decodes, which paints such a half grey: a grey end is refused.
A JPEG has no checksum: damage that leaves a valid code, such as five in six of single flipped bits, is seen by nobody.
"""

import re
import struct
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.io import opencv
from mono_depth_ros.io.errors import ImageError

try:
    import simplejpeg
except ImportError:  # a robot whose packages come from apt alone
    simplejpeg = None

START = b"\xff\xd8\xff"

_END = b"\xff\xd9"
# ITU-T T.81, table B.1
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_STARTS_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset(range(0xD0, 0xD9)) | {0x01}
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # behind a scan's code
_COEFFICIENTS = 64  # of a block

_BLOCK = 8  # pixels on a side that are coded together


def decoder() -> str:
    """What decodes here, for people."""
    if simplejpeg is None:
        return f"OpenCV {cv2.__version__}, which passes over some damage; pip install simplejpeg"
    return f"simplejpeg {simplejpeg.__version__}"


class Header(NamedTuple):
    """Size in pixels; 1 channel is grey, 3 are colours."""

    width: int
    height: int
    channels: int


def read_header(data: bytes) -> Header:
    """Walk the segments (ITU-T T.81, annex B) until every coefficient has its scan. Raises ImageError.

    The end marker must follow; searching from there passes over that of a thumbnail, which lies in a segment before. A
    picture whose last scans are missing is whole for a decoder, and blurred.
    """
    header, marker = None, 0
    missing: dict[int, int] = {}  # by component, a bit for each coefficient without its last bit
    progressive = False
    position = 2
    while position + 10 <= len(data):
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
            height, width, channels = struct.unpack_from(">HHB", data, position + 5)
            header, progressive = Header(width, height, channels), marker in _PROGRESSIVE
            missing = dict.fromkeys(data[position + 10 : position + 10 + 3 * channels : 3], (1 << _COEFFICIENTS) - 1)
        if marker == _END_OF_IMAGE:
            break
        if marker == _START_OF_SCAN:
            _take_scan(data, position, missing, progressive)
            if not any(missing.values()):
                break
            found = _NEXT_MARKER.search(data, position + 2)
            position = found.start() if found else len(data)
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    if data.find(_END, position) < 0:
        raise ImageError(f"truncated JPEG: {len(data)} bytes without an end marker")
    if header is None:
        raise ImageError("damaged JPEG: no frame header before the picture")
    if any(missing.values()):
        raise ImageError("truncated JPEG: its last scans, which have the details, are missing")
    if header.channels not in (1, 3):
        raise ImageError(f"JPEG of {header.channels} channels; expected 1 (grey) or 3 (colours)")
    return header


def _take_scan(data: bytes, position: int, missing: dict[int, int], progressive: bool) -> None:
    """Take what a scan brings from what is missing; of a sequential JPEG it brings all of its components."""
    number = data[position + 4]
    components = data[position + 5 : position + 5 + 2 * number : 2]
    spectrum = data[position + 5 + 2 * number :][:3]
    if len(spectrum) < 3:
        return
    first, last, bits = spectrum if progressive else (0, _COEFFICIENTS - 1, 0)
    if bits & 0x0F == 0:  # else a later scan refines them
        brought = ((1 << (last + 1)) - 1) & ~((1 << first) - 1)
        for component in components:
            missing[component] = missing.get(component, 0) & ~brought


def decode(data: bytes, out: NDArray[np.uint8] | None = None, colors: str = "RGB") -> NDArray[np.uint8]:
    """RGB (H, W, 3) or GRAY (H, W, 1), uint8, as it was stored; into `out` where that is given. Raises ImageError."""
    if simplejpeg is None:
        return _decode_by_opencv(data, colors, out)
    try:
        return simplejpeg.decode_jpeg(data, colors, buffer=out)
    except ValueError as error:
        if "extraneous bytes" not in str(error):
            raise ImageError(f"damaged JPEG: {error}") from error
    # Some webcams put stray bytes between the whole codes of a picture, in every frame.
    pixels = simplejpeg.decode_jpeg(data, colors, buffer=out, strict=False)
    _refuse_painted(pixels)
    return pixels


def _decode_by_opencv(data: bytes, colors: str, out: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    flags = cv2.IMREAD_COLOR if colors == "RGB" else cv2.IMREAD_GRAYSCALE
    pixels = opencv.decode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION, "damaged JPEG: OpenCV cannot decode it")
    _refuse_painted(pixels)
    rgb = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=out) if colors == "RGB" else pixels[..., None]
    return np.asarray(rgb, np.uint8)


def _refuse_painted(pixels: NDArray) -> None:
    """Raise ImageError where the last block is what libjpeg makes of a missing one: plain middle grey."""
    end = pixels[-_BLOCK:, -_BLOCK:]
    if min(pixels.shape[:2]) > _BLOCK and end.min() == end.max() == 128:
        raise ImageError("damaged JPEG: its last corner is plain grey, as where the code of a picture is missing")
