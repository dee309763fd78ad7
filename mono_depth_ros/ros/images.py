"""Camera messages in: sensor_msgs Image and CompressedImage to RGB, CameraInfo to CameraModel."""

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from mono_depth_ros.io import compressed, raw
from mono_depth_ros.io.camera_info import camera_from_info
from mono_depth_ros.io.errors import ImageError
from mono_depth_ros.ros import bridge

__all__ = ["ImageError", "camera_from_info", "decode_compressed", "decode_image"]


def decode_image(msg: Image, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """RGB picture (H, W, 3) uint8, C-contiguous, of an Image, by `raw.decode`.

    cv_bridge, where it is installed, decodes the encodings that `raw.ENCODINGS` lacks. Raises ImageError.
    """
    if msg.encoding not in raw.ENCODINGS and bridge.is_installed():
        return bridge.decode(msg)
    return raw.decode(msg, out)


def decode_compressed(msg: CompressedImage, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """RGB picture (H, W, 3) uint8 of a JPEG or PNG, by `compressed.decode_message`. Raises ImageError."""
    return compressed.decode_message(msg, out)
