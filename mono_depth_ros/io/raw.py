"""Raw images: every encoding that cameras send, padded or big-endian, to RGB; depth encodings to metres."""

import re
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.io.errors import ImageError
from mono_depth_ros.io.white import FULL, WhiteLevel

MAX_SIDE = 8192
# OpenCV's names of types: depth, or pixels whose colours nothing tells.
TYPE = re.compile(r"\d+[SUF]C\d+")


class RawImage(Protocol):
    """What a sensor_msgs Image says, whoever deserialised it; `data` is a buffer of bytes."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


class Encoding(NamedTuple):
    """How the bytes of an encoding lie, and which cv2 conversion makes RGB of them (None: they are RGB)."""

    bits: int
    channels: int
    to_rgb: int | None
    multiple: tuple[int, int] = (1, 1)  # the width and the height are multiples of these
    smallest: int = 1  # pixels on a side
    planes: float = 1.0  # rows of data per row of picture: the chroma of NV12 and NV21 lies below the luma
    kind: str = "u"  # of the samples, as NumPy writes it: unsigned, or f for floating point

    @property
    def dtype(self) -> np.dtype:
        """Type of one sample, in this machine's byte order."""
        return np.dtype(f"{self.kind}{self.bits // 8}")

    def row_bytes(self, width: int) -> int:
        """Bytes of one row without padding."""
        return width * self.channels * self.bits // 8


def _encodings() -> dict[str, Encoding]:
    encodings: dict[str, Encoding] = {}
    for bits in (8, 16):
        encodings |= {
            f"rgb{bits}": Encoding(bits, 3, None),
            f"bgr{bits}": Encoding(bits, 3, cv2.COLOR_BGR2RGB),
            f"rgba{bits}": Encoding(bits, 4, cv2.COLOR_RGBA2RGB),
            f"bgra{bits}": Encoding(bits, 4, cv2.COLOR_BGRA2RGB),
            f"mono{bits}": Encoding(bits, 1, cv2.COLOR_GRAY2RGB),
        }
        # ROS names a mosaic by its first four pixels, OpenCV by the four that begin one row and one column later.
        for pattern, to_rgb in (
            ("rggb", cv2.COLOR_BayerBG2RGB),
            ("bggr", cv2.COLOR_BayerRG2RGB),
            ("gbrg", cv2.COLOR_BayerGR2RGB),
            ("grbg", cv2.COLOR_BayerGB2RGB),
        ):
            encodings[f"bayer_{pattern}{bits}"] = Encoding(bits, 1, to_rgb, smallest=3)
    for name, to_rgb in (
        ("yuv422", cv2.COLOR_YUV2RGB_UYVY),
        ("uyvy", cv2.COLOR_YUV2RGB_UYVY),
        ("yuv422_yuy2", cv2.COLOR_YUV2RGB_YUY2),
        ("yuyv", cv2.COLOR_YUV2RGB_YUY2),
    ):
        encodings[name] = Encoding(8, 2, to_rgb, multiple=(2, 1))
    encodings["nv12"] = Encoding(8, 1, cv2.COLOR_YUV2RGB_NV12, multiple=(2, 2), planes=1.5)
    encodings["nv21"] = Encoding(8, 1, cv2.COLOR_YUV2RGB_NV21, multiple=(2, 2), planes=1.5)
    return encodings


ENCODINGS = _encodings()

# REP-118, and mono16, which some cameras call their millimetres.
DEPTH_ENCODINGS = {
    "16UC1": Encoding(16, 1, None),
    "mono16": Encoding(16, 1, None),
    "32FC1": Encoding(32, 1, None, kind="f"),
}
_MILLIMETRE = np.float32(0.001)


def decode(msg: RawImage, out: NDArray[np.uint8] | None = None, white: WhiteLevel | None = None) -> NDArray[np.uint8]:
    """RGB picture (H, W, 3) uint8, C-contiguous, of an Image in any of ENCODINGS.

    An unpadded rgb8 image comes back as a view of the message. Anything else is written into `out` where that is a
    writable C-contiguous uint8 array of the picture's shape, into a new array otherwise. 16-bit samples are scaled by
    255 over their stream's white, 65535 where none is given. Raises ImageError.
    """
    encoding = _checked_encoding(msg, ENCODINGS)
    target = out if out is not None and fits(out, (msg.height, msg.width, 3)) else None
    return to_rgb(_pixels(msg, encoding), encoding, target, white)


def to_rgb(
    pixels: NDArray, encoding: Encoding, out: NDArray[np.uint8] | None, white: WhiteLevel | None
) -> NDArray[np.uint8]:
    """RGB (H, W, 3) uint8, C-contiguous, of samples; in `out`, of that shape, unless they are that already."""
    scale = 255 / (white.of(pixels) if white else FULL) if encoding.bits == 16 else 1.0
    if encoding.to_rgb is not None:
        pixels = cv2.cvtColor(pixels, encoding.to_rgb, dst=out if encoding.bits == 8 else None)
    if encoding.bits == 16:
        pixels = cv2.convertScaleAbs(pixels, dst=out, alpha=scale)
    if pixels.flags.c_contiguous:
        return pixels
    if out is None:
        return np.ascontiguousarray(pixels)
    np.copyto(out, pixels)
    return out


def decode_depth(msg: RawImage) -> NDArray[np.float32]:
    """Depth (H, W) in metres of an Image in any of DEPTH_ENCODINGS; 0 where unknown. Raises ImageError."""
    encoding = _checked_encoding(msg, DEPTH_ENCODINGS)
    depth = _pixels(msg, encoding).astype(np.float32)
    if encoding.kind == "u":
        return depth * _MILLIMETRE
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def millimetres(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Depth in metres as REP-118's 16UC1: 0 for all that is not a depth of 1 mm to 65.535 m."""
    rounded = np.rint(depth * np.float32(1000))
    return np.where((rounded >= 1) & (rounded <= 65535), rounded, 0).astype(np.uint16)


def check_size(width: int, height: int, smallest: int = 1) -> None:
    """Raise ImageError unless both sides are between `smallest` and MAX_SIDE pixels."""
    if not (smallest <= width <= MAX_SIDE and smallest <= height <= MAX_SIDE):
        raise ImageError(f"image of {width}x{height} pixels; expected {smallest} to {MAX_SIDE} on each side")


def fits(out: NDArray[np.uint8], shape: tuple[int, ...]) -> bool:
    """Whether a picture of this shape can be written into `out`."""
    return out.shape == shape and out.dtype == np.uint8 and out.flags.c_contiguous and out.flags.writeable


def _pixels(msg: RawImage, encoding: Encoding) -> NDArray:
    """Samples (rows, W) or (rows, W, channels) in this machine's byte order; a view of the message where it can be."""
    rows = int(msg.height * encoding.planes)
    data = np.frombuffer(msg.data, np.uint8, rows * msg.step).reshape(rows, msg.step)
    data = data[:, : encoding.row_bytes(msg.width)]
    if encoding.bits > 8:
        sent = encoding.dtype.newbyteorder(">" if msg.is_bigendian else "<")
        data = np.ascontiguousarray(data).view(sent).astype(encoding.dtype, copy=False)
    shape = (rows, msg.width) if encoding.channels == 1 else (rows, msg.width, encoding.channels)
    return data.reshape(shape)


def _checked_encoding(msg: RawImage, encodings: dict[str, Encoding]) -> Encoding:
    """Entry of encodings for an image whose header and data agree. Raises ImageError where they do not."""
    encoding = encodings.get(msg.encoding)
    if encoding is None:
        raise ImageError(f"encoding {msg.encoding!r} is unknown; expected one of {', '.join(encodings)}")
    check_size(msg.width, msg.height, encoding.smallest)
    across, down = encoding.multiple
    if msg.width % across or msg.height % down:
        raise ImageError(
            f"{msg.encoding} image of {msg.width}x{msg.height} pixels; "
            f"expected a width that is a multiple of {across} and a height that is a multiple of {down}"
        )
    if msg.step < encoding.row_bytes(msg.width):
        raise ImageError(
            f"step of {msg.step} bytes; expected at least {encoding.row_bytes(msg.width)} "
            f"for {msg.width} pixels of {msg.encoding}"
        )
    expected = msg.step * int(msg.height * encoding.planes)
    if len(msg.data) < expected:
        raise ImageError(
            f"{len(msg.data)} bytes of data; expected {expected} for {msg.height} rows of {msg.encoding} "
            f"with a step of {msg.step}"
        )
    return encoding
