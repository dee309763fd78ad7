"""Files that several commands write: images and cameras, whole or not at all."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import yaml
from numpy.typing import NDArray

from mono_depth_ros.camera import CameraModel


def write_image(path: Path, image: NDArray, parameters: Sequence[int] = ()) -> None:
    """Write (H, W) or RGB (H, W, 3) in the format of the suffix. Raises OSError where the disk is full."""
    part = path.with_name(f"part_{path.name}")
    part.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(part), image[..., ::-1] if image.ndim == 3 else image, parameters):
        raise OSError(f"{path}: could not be written; is the disk full?")
    part.replace(path)


def write_camera(path: Path, camera: CameraModel) -> None:
    """Write a calibration file as ROS's camera_calibration does; `CameraModel.from_yaml` reads it."""
    distortion = list(camera.distortion) or [0.0] * 5
    content = {
        "image_width": camera.width,
        "image_height": camera.height,
        "camera_matrix": {"rows": 3, "cols": 3, "data": camera.matrix.ravel().tolist()},
        "distortion_model": camera.distortion_model or "plumb_bob",
        "distortion_coefficients": {"rows": 1, "cols": len(distortion), "data": distortion},
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
