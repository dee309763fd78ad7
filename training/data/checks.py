"""The gate every frame passes: sizes agree, depth is in metres, lens distortion is gone."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.camera import CameraModel, Rectifier
from training.data.frame import BadFrameError, RgbdFrame

# A depth image in millimetres has many values, and hardly all of them multiples of these.
CODES = {8: "SUN RGB-D's, whose bits are turned by 3", 5: "TUM's, 5000 to the metre"}
FEWEST_VALUES = 100
# KITTI's depth (256 to the metre) is of a laser: few pixels of very wide images.
KITTI_ASPECT, KITTI_SHARE = 2.8, 0.4

# Metres. An indoor camera's median depth lies between; outside of them the numbers are in another unit.
NEAREST_MEDIAN, FARTHEST_MEDIAN = 0.1, 20.0


def checked_frame(
    name: str,
    rgb: NDArray[np.uint8],
    depth: NDArray[np.float32],
    camera: CameraModel,
    files: tuple[object, object],
    border: int = 0,
) -> RgbdFrame:
    """Build a frame, rectified where its lens bends lines.

    ``files`` name the sources of colour and depth in errors; depth within ``border`` pixels of an edge is not trusted.
    Raises BadFrameError where sizes differ or the median depth is outside 0.1 to 20 m; a frame without any valid depth
    passes, and weighs nothing.
    """
    check_frame(rgb, depth, camera, files)
    rectifier = _rectifier(camera)
    rgb, depth = rectifier.rectify(rgb), rectifier.rectify(depth, cv2.INTER_NEAREST)
    if border:
        inside = np.zeros_like(depth)
        inside[border:-border, border:-border] = depth[border:-border, border:-border]
        depth = inside
    return RgbdFrame(name, rgb, depth, rectifier.camera)


def check_frame(
    rgb: NDArray[np.uint8], depth: NDArray[np.float32], camera: CameraModel, files: tuple[object, object]
) -> None:
    """Raise BadFrameError as `checked_frame` does."""
    images: tuple[NDArray, NDArray] = (rgb, depth)
    for image, file in zip(images, files, strict=True):
        if image.shape[:2] != (camera.height, camera.width):
            raise BadFrameError(
                f"{file}: found {image.shape[1]}x{image.shape[0]} pixels, expected the camera's "
                f"{camera.width}x{camera.height} (depth registered to the colour image)"
            )
    _check_unit(depth, files[1])


def check_code(units: NDArray, file: object) -> None:
    """Raise BadFrameError where a depth image (H, W) of whole numbers is not in millimetres, by its values or shape."""
    height, width = units.shape
    known = units[units > 0]
    values = np.unique(known[::16])
    found = next((name for n, name in CODES.items() if len(values) >= FEWEST_VALUES and not (values % n).any()), None)
    if width > KITTI_ASPECT * height and 0 < known.size < KITTI_SHARE * units.size:
        found = "KITTI's, 256 to the metre"
    if found:
        raise BadFrameError(
            f"{file}: the depth looks like {found}; bring it to millimetres by `python -m training prepare`, or name "
            "the reader's `metre` (1000 if this is right)"
        )


def _check_unit(depth: NDArray[np.float32], file: object) -> None:
    sparse = depth[::4, ::4]  # a median over all pixels would cost more than reading the file
    valid = sparse[sparse > 0]
    if not valid.size:
        return
    median = float(np.median(valid))
    if not NEAREST_MEDIAN <= median <= FARTHEST_MEDIAN:
        raise BadFrameError(
            f"{file}: found a median depth of {median:.4g} m, expected {NEAREST_MEDIAN} to {FARTHEST_MEDIAN} m; "
            "is the depth in another unit (`metre` of the reader)?"
        )


@lru_cache(maxsize=16)
def _rectifier(camera: CameraModel) -> Rectifier:
    return Rectifier(camera)
