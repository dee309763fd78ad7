"""Render rooms of the virtual camera as a folder of RGB-D frames to train on: true to scale, as many as wanted."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.random import Generator
from tqdm import tqdm

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.demo.room import Room
from mono_depth_ros.demo.virtual_camera import Pose, Renderer

# The demo's and the tests' rooms have small numbers: what they show is not trained on.
FIRST_ROOM = 10_000
CLEARANCE = 0.3  # metres between the lens and anything at its height
NEAREST_MEDIAN = 0.9  # metres; a view with less looks at nothing but a wall


def main(arguments: list[str]) -> None:
    """Write ``rgb``, ``depth`` and ``camera.yaml``; rooms that are there already are not rendered again."""
    parser = argparse.ArgumentParser(prog="python -m training rooms", description=__doc__)
    parser.add_argument("output", type=Path, help="folder to write, for the reader rgbd_folder.RgbdFolder")
    parser.add_argument("--rooms", type=int, default=300)
    parser.add_argument("--views", type=int, default=6, help="of each room")
    options = parser.parse_args(arguments)
    camera = CameraModel.nyu()
    renderer = Renderer(camera.rays())
    for folder in ("rgb", "depth"):
        (options.output / folder).mkdir(parents=True, exist_ok=True)
    write_camera(options.output / "camera.yaml", camera)
    for number in tqdm(range(options.rooms), unit=" rooms"):
        names = [f"{number:05d}_{view}" for view in range(options.views)]
        if all((options.output / "depth" / f"{name}.png").is_file() for name in names):
            continue
        for name, (rgb, depth) in zip(names, views(renderer, FIRST_ROOM + number), strict=False):
            write_image(options.output / "rgb" / f"{name}.jpg", rgb[..., ::-1])
            write_image(options.output / "depth" / f"{name}.png", np.round(1000 * depth).astype(np.uint16))


def views(renderer: Renderer, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless views of one room, always the same for a seed: RGB (H, W, 3) uint8, with noise, and depth in metres."""
    rng, room = np.random.default_rng(seed), Room(seed)
    while True:
        rgb, depth = renderer.render(room, free_pose(rng, room))
        if np.median(depth) > NEAREST_MEDIAN:
            noise = rng.normal(0, rng.uniform(0, 4), rgb.shape)
            yield np.clip(rgb + noise, 0, 255).astype(np.uint8), depth


def free_pose(rng: Generator, room: Room) -> Pose:
    """A hand-held camera somewhere free, looking rather across the room than at the nearest wall."""
    half = np.array(room.size[:2]) / 2
    height = float(rng.uniform(0.8, min(1.75, room.size[2] - 0.5)))
    clearance = room.clearance(height, CLEARANCE, resolution=0.1)
    rows, columns = np.nonzero(clearance >= min(CLEARANCE, clearance.max()))
    spot = rng.integers(len(rows))
    x, y = (np.array([columns[spot], rows[spot]]) + 0.5) * 0.1 - half
    yaw = np.arctan2(-y, -x) + rng.normal(0, 0.7)
    return Pose.looking(
        np.array([x, y, height]), float(yaw), float(rng.normal(-0.18, 0.15)), float(rng.normal(0, 0.03))
    )


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image; raises OSError where the disk takes it not."""
    part = path.with_name(f"part_{path.name}")  # an interrupted run leaves no half image that looks whole
    if not cv2.imwrite(str(part), image):
        raise OSError(f"{path}: could not be written; is the disk full?")
    part.replace(path)


def write_camera(path: Path, camera: CameraModel) -> None:
    """Write a pinhole's ``camera.yaml`` as ROS's camera_calibration does."""
    content = {
        "image_width": camera.width,
        "image_height": camera.height,
        "camera_matrix": {"rows": 3, "cols": 3, "data": camera.matrix.ravel().tolist()},
        "distortion_model": "plumb_bob",
        "distortion_coefficients": {"rows": 1, "cols": 5, "data": [0.0] * 5},
    }
    path.write_text(yaml.safe_dump(content))
