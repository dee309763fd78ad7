"""CameraInfo to CameraModel."""

from typing import Any

from mono_depth_ros.camera import CameraModel


def camera_from_info(msg: Any) -> CameraModel:
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
