"""Write rendered rooms as a folder of RGB-D frames: `python -m test.rooms FOLDER`."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from tqdm import tqdm

from mono_depth_ros.camera import CameraModel
from test.rooms.flight import LOOP, Flight
from test.rooms.renderer import Renderer
from test.rooms.room import Room


def main(arguments: Sequence[str] | None = None) -> None:
    """Write ``rgb/NNNNN.jpg``, ``depth/NNNNN.png`` (uint16, millimetres) and ``camera.yaml``. Raises OSError."""
    parser = argparse.ArgumentParser(prog="python -m test.rooms", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rooms", type=int, default=300)
    parser.add_argument("--views", type=int, default=6, help="of each room, on a flight through it")
    options = parser.parse_args(arguments)
    camera = CameraModel.nyu()
    for name in ("rgb", "depth"):
        (options.folder / name).mkdir(parents=True, exist_ok=True)
    (options.folder / "camera.yaml").write_text(calibration(camera))
    frames = views(camera, options.rooms, options.views)
    for number, (rgb, depth) in enumerate(tqdm(frames, total=options.rooms * options.views, unit=" frames")):
        write(options.folder / "rgb" / f"{number:05d}.jpg", rgb[..., ::-1])
        write(options.folder / "depth" / f"{number:05d}.png", np.round(1000 * depth).astype(np.uint16))


def views(camera: CameraModel, rooms: int, number: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """So many views of each room: RGB (H, W, 3) and depth (H, W) in metres."""
    renderer = Renderer(camera.rays())
    for seed in range(rooms):
        room = Room(seed)
        flight = Flight(room)
        for seconds in np.arange(number) * LOOP / number:
            yield renderer.render(room, flight.pose(seconds))


def write(path: Path, image: NDArray) -> None:
    """Write an image in the format of its suffix."""
    if not cv2.imwrite(str(path), image):
        raise OSError(f"{path}: could not be written; is the disk full?")


def calibration(camera: CameraModel) -> str:
    """A pinhole's ``camera.yaml``, as ROS's camera_calibration writes it."""
    content = {
        "image_width": camera.width,
        "image_height": camera.height,
        "camera_matrix": {"rows": 3, "cols": 3, "data": camera.matrix.ravel().tolist()},
        "distortion_model": "plumb_bob",
        "distortion_coefficients": {"rows": 1, "cols": 5, "data": [0.0] * 5},
    }
    return yaml.safe_dump(content)


if __name__ == "__main__":
    main()
