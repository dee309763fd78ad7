"""Write rendered rooms as a folder of RGB-D frames: `python -m test.rooms FOLDER`."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.io.raw import millimetres
from test.rooms.flight import LOOP, Flight
from test.rooms.renderer import Renderer
from test.rooms.room import Room
from training.files import write_camera, write_image


def main(arguments: Sequence[str] | None = None) -> None:
    """Write ``rgb/NNNNN.jpg``, ``depth/NNNNN.png`` (uint16, millimetres) and ``camera.yaml``. Raises OSError."""
    parser = argparse.ArgumentParser(prog="python -m test.rooms", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rooms", type=int, default=300)
    parser.add_argument("--views", type=int, default=6, help="of each room, on a flight through it")
    options = parser.parse_args(arguments)
    camera = CameraModel.nyu()
    frames = views(camera, options.rooms, options.views)
    for number, (rgb, depth) in enumerate(tqdm(frames, total=options.rooms * options.views, unit=" frames")):
        write_image(options.folder / "rgb" / f"{number:05d}.jpg", rgb)
        write_image(options.folder / "depth" / f"{number:05d}.png", millimetres(depth))
    write_camera(options.folder / "camera.yaml", camera)


def views(camera: CameraModel, rooms: int, number: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """So many views of each room: RGB (H, W, 3) and depth (H, W) in metres."""
    renderer = Renderer(camera.rays())
    for seed in range(rooms):
        room = Room(seed)
        flight = Flight(room)
        for seconds in np.arange(number) * LOOP / number:
            yield renderer.render(room, flight.pose(seconds))


if __name__ == "__main__":
    main()
