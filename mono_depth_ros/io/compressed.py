"""CompressedImage messages, and JPEG and PNG as such, to RGB and depth.

A message's format says what was compressed, which the bytes cannot: a depth image or a mosaic is a JPEG or PNG too.
"""

import struct
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import DTypeLike, NDArray

from mono_depth_ros.io import jpeg, png, raw
from mono_depth_ros.io.errors import ImageError, naming
from mono_depth_ros.io.white import WhiteLevel

_CODECS = {"jpeg": "JPEG", "jpg": "JPEG", "mjpeg": "JPEG", "mjpg": "JPEG", "png": "PNG"}
_PICTURES = ("8UC1", "8UC3", "8UC4")  # whose colours the JPEG or PNG tells
# What image_transport's compressedDepth puts before the PNG: a number, and how 32FC1 was quantised.
_DEPTH_HEADER = struct.Struct("<iff")


class CompressedImage(Protocol):
    """What a sensor_msgs CompressedImage says, whoever deserialised it."""

    format: str
    data: Any


class Format(NamedTuple):
    """What CompressedImage.format says, as image_transport writes it: "<encoding>; <codec> compressed <stored>".

    Attributes:
        encoding: of the image that was compressed; empty where it is not said.
        codec: in small letters; empty where it is not said.
        stored: encoding that the image was converted to before, or what compressedDepth was made with; often empty.
    """

    encoding: str
    codec: str
    stored: str

    @classmethod
    def parse(cls, text: str) -> "Format":
        """Read what drivers write, of which "jpeg", "png", "JPEG", "bgr8; jpeg" and nothing are the commonest."""
        encoding, semicolon, rest = (part.strip() for part in text.partition(";"))
        if not semicolon:
            if encoding in raw.ENCODINGS or raw.TYPE.fullmatch(encoding):
                return cls(encoding, "", "")
            encoding, rest = "", encoding
        codec, *words = rest.split() or [""]
        stored = " ".join(word for word in words if word != "compressed")
        return cls(encoding, codec.lower().rpartition("/")[2].removeprefix("."), stored)

    @property
    def is_depth(self) -> bool:
        """Whether the image that was compressed is no picture, by all that is said."""
        return self.codec == "compresseddepth" or bool(
            raw.TYPE.fullmatch(self.encoding) and self.encoding not in _PICTURES
        )

    @property
    def is_mosaic(self) -> bool:
        """Whether a single stored channel is a mosaic. Newer plugins store grey that was made of it, and say so."""
        return self.encoding.startswith("bayer_") and self.stored in ("", self.encoding)


def decode_message(
    msg: CompressedImage, out: NDArray[np.uint8] | None = None, white: WhiteLevel | None = None
) -> NDArray[np.uint8]:
    """RGB picture (H, W, 3) uint8 of a message as it was stored; `out` and `white` as in raw.decode.

    The camera_info belongs to the picture as the sensor read it, so an EXIF orientation must not turn it. Raises
    ImageError for depth, for whatever is neither JPEG nor PNG, and for one that is not whole.
    """
    with naming(f"compressed image of format {msg.format!r}"):
        said = Format.parse(msg.format)
        if said.is_depth:
            raise ImageError("a depth image is no picture; expected the camera's colour or grey image")
        return decode(msg.data.tobytes(), out, white, said)


def contradiction(msg: CompressedImage) -> str:
    """How the format and the bytes contradict each other, of which the bytes are believed; empty where they do not."""
    codec, found = Format.parse(msg.format).codec, codec_of(bytes(msg.data[:8]))
    if not codec or not found or _CODECS.get(codec) == found:
        return ""
    return f"format {msg.format!r} with the bytes of a {found}; they are decoded as what they are"


def decode_depth_message(msg: CompressedImage) -> NDArray[np.float32]:
    """Depth (H, W) in metres, 0 where unknown, of image_transport's compressedDepth as PNG. Raises ImageError."""
    with naming(f"compressed depth of format {msg.format!r}"):
        said, data = Format.parse(msg.format), msg.data.tobytes()
        is_png = said.codec == "compresseddepth" and said.stored in ("", "png")
        if not is_png or said.encoding not in raw.DEPTH_ENCODINGS:
            raise ImageError(f"expected one of {', '.join(raw.DEPTH_ENCODINGS)}, with compressedDepth png")
        if len(data) < _DEPTH_HEADER.size:
            raise ImageError(f"{len(data)} bytes are less than compressedDepth's header")
        _, a, b = _DEPTH_HEADER.unpack_from(data)
        if raw.DEPTH_ENCODINGS[said.encoding].kind == "u":
            return decode_depth(data[_DEPTH_HEADER.size :])
        inverse = decode_depth(data[_DEPTH_HEADER.size :], metre=1)
        with np.errstate(divide="ignore", invalid="ignore"):  # depth = a / (stored - b), and 0 is unknown
            depth = np.float32(a) / (inverse - np.float32(b))
        return np.where((inverse > 0) & np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def decode(
    data: bytes,
    out: NDArray[np.uint8] | None = None,
    white: WhiteLevel | None = None,
    said: Format | None = None,
) -> NDArray[np.uint8]:
    """RGB picture (H, W, 3) uint8 of a JPEG or PNG; `out` and `white` as in raw.decode, `said` of a message.

    Raises ImageError, before decoding where more than raw.MAX_SIDE pixels are promised on a side.
    """
    header = read_header(data)
    target = out if out is not None and raw.fits(out, (header.height, header.width, 3)) else None
    if said and said.is_mosaic and header.channels == 1:
        return _decode_mosaic(data, header, said.encoding, target, white)
    if isinstance(header, jpeg.Header):
        return _of_size(jpeg.decode(data, target), header)
    if said and said.encoding != "mono16" and (header.channels, header.bits) == (1, 16):
        raise ImageError("a PNG of one channel of 16 bits may be depth; expected a format that says, as 'mono16; png'")
    bgr = raw.Encoding(header.bits, 3, cv2.COLOR_BGR2RGB)
    return raw.to_rgb(_of_size(png.decode(data), header), bgr, target, white)


def decode_depth(data: bytes, dtype: DTypeLike = np.uint16, metre: float = 1000) -> NDArray[np.float32]:
    """Depth (H, W) in metres of a PNG of one channel of type `dtype` in which `metre` stands for 1 m.

    Raises ImageError.
    """
    if isinstance(read_header(data), jpeg.Header):
        raise ImageError("found a JPEG; expected depth as a PNG of 1 channel")
    depth = png.decode(data, cv2.IMREAD_UNCHANGED)
    if depth.ndim != 2 or depth.dtype != dtype:
        channels = 1 if depth.ndim == 2 else depth.shape[2]
        raise ImageError(
            f"found {channels} channel(s) of {depth.dtype}; expected depth as 1 channel of {np.dtype(dtype)}"
        )
    return depth * np.float32(1 / metre)


def codec_of(data: bytes) -> str:
    """JPEG or PNG, by how it begins, or nothing."""
    return "JPEG" if data.startswith(jpeg.START) else "PNG" if data.startswith(png.START) else ""


def read_header(data: bytes) -> jpeg.Header | png.Header:
    """Size and channels of a complete JPEG or PNG.

    Raises ImageError for empty data, another codec, damage in the structure, a missing end or a size beyond
    raw.MAX_SIDE.
    """
    if not data:
        raise ImageError("no data (0 bytes); expected a JPEG or PNG")
    codec = codec_of(data)
    if not codec:
        raise ImageError(f"{len(data)} bytes that begin with {data[:8].hex(' ')}; expected a JPEG or PNG")
    header = jpeg.read_header(data) if codec == "JPEG" else png.read_header(data)
    raw.check_size(header.width, header.height)
    return header


def _decode_mosaic(
    data: bytes,
    header: jpeg.Header | png.Header,
    encoding: str,
    out: NDArray[np.uint8] | None,
    white: WhiteLevel | None,
) -> NDArray[np.uint8]:
    """A mosaic of 16 bits that became a JPEG has 8."""
    if isinstance(header, jpeg.Header):
        pixels, bits = jpeg.decode(data, colors="GRAY")[..., 0], 8
    else:
        pixels, bits = png.decode(data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH), header.bits
    _of_size(pixels, header)
    name = f"{encoding.rstrip('0123456789')}{bits}"
    if name not in raw.ENCODINGS:
        raise ImageError(f"encoding {encoding!r} is unknown; expected one of {', '.join(raw.ENCODINGS)}")
    return raw.to_rgb(pixels, raw.ENCODINGS[name], out, white)


def _of_size(pixels: NDArray, header: jpeg.Header | png.Header) -> NDArray:
    """The same pixels. Raises ImageError where a damaged file has become a picture of another size."""
    if pixels.shape[:2] != (header.height, header.width):
        raise ImageError(f"damaged; its header promises {header.width}x{header.height} pixels")
    return pixels
