"""Prepare: bring a recording, as others lay it out, into the layout that everything here reads.

``rgb/NNNNN.jpg``, ``depth/NNNNN.png`` (uint16, millimetres, 0 unknown, registered to the colour), ``camera.yaml``, and
``stamps.csv`` and ``poses.csv`` where they are known. docs/data.md has a line for each set.
"""

import argparse
import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.io.raw import millimetres
from training.data.checks import check_frame
from training.data.layouts import LAYOUTS, Options, Recording, layout_of
from training.files import write_camera, write_image

JPEG_QUALITY = 95


def main(arguments: list[str]) -> None:
    """Prepare one source."""
    parser = argparse.ArgumentParser(prog="python -m training prepare", description=__doc__)
    parser.add_argument("source", type=Path, help="a .mat, a folder or a bag")
    parser.add_argument("destination", type=Path, help="a new folder, such as data/my_rooms")
    parser.add_argument("--layout", choices=LAYOUTS, help="of the source; without it, its files tell")
    parser.add_argument("--every", type=int, default=1, help="take every n-th frame")
    parser.add_argument("--split", choices=("train", "test"), default="train", help="of NYU Depth V2")
    parser.add_argument("--depth", choices=("filled", "raw"), default="filled", help="of NYU's .mat")
    parser.add_argument("--list", type=Path, help="of NYU's sync folders")
    parser.add_argument("--camera", type=Path, help="camera.yaml to take in place of the layout's camera")
    parser.add_argument("--metre", type=float, help="units of a depth image that make a metre, where not the layout's")
    parser.add_argument("--tolerance", type=float, default=0.02, help="seconds between colour and depth")
    parser.add_argument("--field-of-view", type=float, default=90.0, help="degrees, of what Habitat rendered")
    parser.add_argument("--topics", nargs=3, metavar=("COLOR", "DEPTH", "CAMERA_INFO"), help="of a bag")
    given = parser.parse_args(arguments)
    if not given.source.exists():
        parser.error(f"{given.source}: no such file or folder")
    if given.destination.exists():
        parser.error(f"{given.destination}: is there already; name a new folder, or remove that one")
    options = Options(
        given.split, given.depth, given.list, CameraModel.from_yaml(given.camera) if given.camera else None,
        given.metre, given.tolerance, given.field_of_view, *([tuple(given.topics)] if given.topics else []),
    )  # fmt: skip
    layout = given.layout or layout_of(given.source, given.list)
    recording = LAYOUTS[layout](given.source, options)
    frames = range(0, len(recording.names), given.every)
    if not frames:
        raise ValueError(f"{given.source}: found no frames in the layout {layout}")
    write(recording, frames, given.destination)
    print(f"{len(frames)} frames of {given.source} ({layout}) are in {given.destination}")


def write(recording: Recording, frames: range, destination: Path) -> None:
    """Write frames into a new folder, which is there only when it is whole.

    Raises:
        BadFrameError: a frame cannot be read, has another size than its camera, or depth in another unit.
        OSError: the disk is full.
    """
    part = destination.with_name(f"{destination.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a run that was stopped
    for name in ("rgb", "depth"):
        (part / name).mkdir(parents=True)
    write_camera(part / "camera.yaml", recording.camera)
    for index in tqdm(frames, unit=" frames"):
        name = recording.names[index]
        rgb, depth = recording.read(index)
        check_frame(rgb, depth, recording.camera, (f"frame {name}: colour", f"frame {name}: depth"))
        if recording.jpegs:
            shutil.copyfile(recording.jpegs[index], part / f"rgb/{name}.jpg")
        else:
            write_image(part / f"rgb/{name}.jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        write_image(part / f"depth/{name}.png", millimetres(depth))
    write_tables(recording, frames, part)
    part.rename(destination)


def write_tables(recording: Recording, frames: range, folder: Path) -> None:
    """Write ``stamps.csv`` and ``poses.csv``, as far as they are known."""
    stamps, poses = recording.stamps, recording.poses
    times = {i: [f"{stamps[i]:.6f}"] for i in frames} if stamps is not None else {}
    if times:
        write_table(folder / "stamps.csv", ["frame", "stamp_s"], [[recording.names[i], *times[i]] for i in frames])
    if poses is not None:
        header = ["frame", *(["stamp_s"] if times else []), "tx", "ty", "tz", "qx", "qy", "qz", "qw"]
        known = [i for i in frames if np.isfinite(poses[i]).all()]
        rows = [[recording.names[i], *times.get(i, []), *(f"{value:.6f}" for value in poses[i])] for i in known]
        write_table(folder / "poses.csv", header, rows)


def write_table(path: Path, header: list[str], rows: list[list[str]]) -> None:
    """Write a CSV."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
