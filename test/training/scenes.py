"""Frames made for tests: a tilted plane seen by any camera, whose depth is known at every pixel."""

import numpy as np

from mono_depth_ros.camera import CameraModel
from test.scenes import cast
from training.data.frame import RgbdDataset, RgbdFrame

# Normal and distance, metres: every point X of the plane has NORMAL @ X == DISTANCE.
NORMAL, DISTANCE = np.array([0.25, -0.4, 0.88]), 2.2


def plane_depth(camera: CameraModel) -> np.ndarray:
    """(H, W) float32: depth along each pixel's ray at which it meets the plane, about 1.7 to 4 m."""
    return cast(camera.rays(), [(NORMAL, DISTANCE)])[0].astype(np.float32)


def points(frame: RgbdFrame) -> np.ndarray:
    """(N, 3) of all known pixels, unprojected by the frame's own camera."""
    known = frame.depth > 0
    depth = frame.depth[known][:, None]
    return np.hstack([frame.camera.rays()[known] * depth, depth])


def picture(camera: CameraModel, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8: smooth, so that JPEG keeps it, and unlike its mirror image."""
    y, x = np.mgrid[: camera.height, : camera.width]
    waves = [np.sin(x / (40 + 9 * seed)), x / camera.width, y / camera.height]
    return np.stack([np.clip(127 + 100 * (wave - 0.3), 0, 255) for wave in waves], axis=-1).astype(np.uint8)


class Planes(RgbdDataset):
    """A number of frames of the plane, told apart by their pictures and names."""

    def __init__(self, frames: int, camera: CameraModel) -> None:
        self.frames, self.camera = frames, camera

    def __len__(self) -> int:
        return self.frames

    def __getitem__(self, index: int) -> RgbdFrame:
        return RgbdFrame(str(index), picture(self.camera, index), plane_depth(self.camera), self.camera)
