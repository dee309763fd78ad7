"""Camera messages in: the images of one topic to RGB, and what is odd about them; CameraInfo to CameraModel."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from mono_depth_ros.io import compressed, jpeg, raw
from mono_depth_ros.io.errors import ImageError
from mono_depth_ros.io.white import FULL, WhiteLevel
from mono_depth_ros.ros import bridge
from mono_depth_ros.ros.problems import Problems

__all__ = ["AREA", "Decoder", "ImageError"]

AREA = "image"


class _Kind(NamedTuple):
    """What an image is like; a change of it in mid-stream is reported."""

    width: int
    height: int
    encoding: str


def decoders(is_compressed: bool) -> str:
    """What decodes the images here, for people."""
    if is_compressed:
        return f"{jpeg.decoder()} for JPEG, OpenCV for PNG"
    return "mono_depth_ros" + (", cv_bridge for encodings that it does not know" if bridge.is_installed() else "")


class Decoder:
    """Decodes the images of one topic, one after the other, into one array, and reports what is odd about them."""

    def __init__(self, topic: str, problems: Problems) -> None:
        self._topic, self._problems = topic, problems
        self._rgb: NDArray[np.uint8] | None = None
        self._kind: _Kind | None = None
        self._stream = ("", 0)
        self._white = WhiteLevel()

    def decode(self, msg: Image | CompressedImage, bits: int = 0) -> NDArray[np.uint8]:
        """RGB picture (H, W, 3) uint8, C-contiguous, which is good until the next one. Raises ImageError.

        cv_bridge, where it is installed, decodes the raw encodings that `raw.ENCODINGS` lacks, but for those whose name
        does not say that they are pictures.

        Args:
            msg: the image.
            bits: that the camera uses of 16-bit samples; 0 finds out, see WhiteLevel.
        """
        is_raw = isinstance(msg, Image)
        encoding = msg.encoding if is_raw else msg.format
        if self._stream != (encoding, bits):
            self._stream, self._white = (encoding, bits), WhiteLevel(bits)
        white = self._white.value
        if not is_raw:
            rgb = compressed.decode_message(msg, self._rgb, self._white)
            self._report_contradiction(msg)
        elif encoding not in raw.ENCODINGS and not raw.TYPE.fullmatch(encoding) and bridge.is_installed():
            rgb = bridge.decode(msg)
        else:
            rgb = raw.decode(msg, self._rgb, self._white)
        self._rgb = rgb
        self._report_white(white)
        self._report_change(_Kind(rgb.shape[1], rgb.shape[0], encoding))
        return rgb

    def _report_contradiction(self, msg: CompressedImage) -> None:
        if text := compressed.contradiction(msg):
            self._warn("format", text)

    def _report_white(self, before: int) -> None:
        white = self._white
        if white.value != before:
            self._warn("white", f"16-bit images whose white is {white.value}; scaled by that (image_bits overrides)")
        elif white.is_exceeded:
            text = (
                f"image_bits: white is {white.value} by it, but a sample is {white.largest}; set it to what the camera"
            )
            self._warn("bits", f"{text} uses, or to 0")
        elif white.is_doubtful:
            text = f"no sample of a 16-bit image above {white.largest} of {FULL}: it is dark, or the camera has fewer"
            self._warn("bits", f"{text} bits; taken as dark until it shows white (image_bits tells)")

    def _report_change(self, kind: _Kind) -> None:
        if self._kind and kind != self._kind:
            was, now = (f"{k.width}x{k.height} {k.encoding}" for k in (self._kind, kind))
            self._warn("changed", f"images were {was}, are {now} now; going on with that")
        self._kind = kind

    def _warn(self, kind: str, text: str) -> None:
        self._problems.warn(AREA, kind, f"{self._topic}: {text}")
