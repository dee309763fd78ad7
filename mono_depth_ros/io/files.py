"""Image files to arrays. An EXIF orientation of a JPEG is applied, as every viewer and calibration tool does."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import DTypeLike, NDArray

from mono_depth_ros.io import compressed, opencv, raw
from mono_depth_ros.io.errors import ImageError, naming
from mono_depth_ros.io.white import WhiteLevel

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".jp2", ".ppm", ".pgm")

_OTHER_PICTURES = (".heic", ".heif", ".gif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".psd")
# ISO/IEC 14496-12: the kinds of a file that begins with a box `ftyp`; these hold pictures (ISO/IEC 23008-12, AV1).
_STILL_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1", b"avif", b"avis")


def is_image(path: Path) -> bool:
    """Whether a file is an image, by its name or by how it begins, that OpenCV can read here."""
    return path.suffix.lower() in IMAGE_SUFFIXES or cv2.haveImageReader(str(path))


def is_other_image(path: Path) -> bool:
    """Whether a file is a picture of a kind that is not read here. FFmpeg would make the first tile of one of it."""
    if path.suffix.lower() in _OTHER_PICTURES:
        return True
    with open(path, "rb") as file:
        start = file.read(12)
    return start[4:8] == b"ftyp" and start[8:] in _STILL_BRANDS


def read_color(path: Path, white: WhiteLevel | None = None) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of an image file; `white` as in raw.decode. Raises ImageError, which names it."""
    with naming(path):
        data = path.read_bytes()
        if codec := compressed.codec_of(data):
            rgb = compressed.decode(data, white=white)  # which refuses what is not whole
            may_be_turned = codec == "JPEG" and data.find(b"Exif\0\0", 0, 1 << 16) >= 0
            return _by_opencv(data, white) if may_be_turned else rgb
        if (pictures := cv2.imcount(str(path))) > 1:
            raise ImageError(f"found {pictures} pictures in it, expected one")
        return _by_opencv(data, white)


def read_depth(path: Path, dtype: DTypeLike = np.uint16, metre: float = 1000) -> NDArray[np.float32]:
    """(H, W) float32 metres of a one-channel PNG of type `dtype` in which `metre` stands for 1 m.

    Raises ImageError, which names the file.
    """
    with naming(path):
        return compressed.decode_depth(path.read_bytes(), dtype, metre)


def _by_opencv(data: bytes, white: WhiteLevel | None) -> NDArray[np.uint8]:
    """RGB, turned as EXIF says."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    bgr = opencv.decode(data, flags, "found no picture in it, expected a whole image file")
    if bgr.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"found samples of {bgr.dtype}, as depth has; expected a picture of 8 or 16 bits")
    return raw.to_rgb(np.asarray(bgr), raw.Encoding(8 * bgr.itemsize, 3, cv2.COLOR_BGR2RGB), None, white)
