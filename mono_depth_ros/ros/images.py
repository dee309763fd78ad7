"""Camera messages in: sensor_msgs Image and CompressedImage to RGB, CameraInfo to CameraModel."""

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.ros import bridge, compressed, raw
from mono_depth_ros.ros.raw import ImageError

__all__ = ["ImageError", "camera_from_info", "decode_compressed", "decode_image"]


def decode_image(msg: Image, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """RGB picture (H, W, 3) uint8, C-contiguous, of an Image in any encoding of `raw.ENCODINGS`.

    An unpadded rgb8 image comes back as a view of the message. Anything else is written into `out` where that is a
    writable C-contiguous uint8 array of the picture's shape, into a new array otherwise. cv_bridge converts where it
    is installed and gives the same result. Raises ImageError, whose text says what came and what is expected.
    """
    raw.checked_encoding(msg)
    return bridge.decode(msg) if bridge.converts(msg) else raw.decode(msg, out)


def decode_compressed(msg: CompressedImage, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """RGB picture (H, W, 3) uint8 of a JPEG or PNG as it was stored (an EXIF orientation is not applied).

    Written into `out` as in decode_image. Raises ImageError, also for a truncated file and, before decoding it, for one
    of more than `raw.MAX_SIDE` pixels on a side.
    """
    return compressed.decode(msg, out)


def camera_from_info(msg: CameraInfo) -> CameraModel:
    """Camera model of a CameraInfo, binning and region of interest respected (REP-104). Raises ValueError."""
    roi = msg.roi
    return CameraModel.from_camera_info(
        width=msg.width,
        height=msg.height,
        k=msg.k,
        d=msg.d,
        distortion_model=msg.distortion_model,
        r=msg.r,
        p=msg.p,
        binning_x=msg.binning_x,
        binning_y=msg.binning_y,
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height, roi.do_rectify),
    )
