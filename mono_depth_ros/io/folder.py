"""Frames of a folder of images, with the stamps, the lens and the depth that lie beside them."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.io.errors import SourceError
from mono_depth_ros.io.files import IMAGE_SUFFIXES, read_color, read_depth
from mono_depth_ros.io.frames import RATE, Frame, calibration_or_guess
from mono_depth_ros.io.white import WhiteLevel


class FolderSource:
    """Images by name, in rgb/ or in the folder itself, or one of them; camera.yaml, stamps.csv and depth/ beside them.

    stamps.csv has the columns frame (an image's name without its suffix) and stamp_s (seconds since the epoch);
    depth/<name>.png is 16-bit, millimetres, 0 where unknown, registered to the image.
    """

    rate, is_live = RATE, False

    def __init__(self, path: Path) -> None:
        images = path / "rgb" if (path / "rgb").is_dir() else path
        files = [path] if path.is_file() else images.iterdir()
        self._images = sorted((p for p in files if p.suffix.lower() in IMAGE_SUFFIXES), key=_natural)
        if not self._images:
            raise SourceError(f"{images}: found no image, expected files that end in {', '.join(IMAGE_SUFFIXES)}")
        self.length: int | None = len(self._images)
        beside = self._images[0].parent
        folder = beside.parent if beside.name == "rgb" else beside
        self._depth = folder / "depth"
        self._stamps = _read_stamps(folder / "stamps.csv", self._images)
        height, width = read_color(self._images[0]).shape[:2]
        self.camera, self.remark = calibration_or_guess(folder, width, height)

    def frames(self) -> Iterator[Frame]:
        """Each image once."""
        white = WhiteLevel()
        for path in self._images:
            rgb = read_color(path, white)
            if rgb.shape[:2] != (self.camera.height, self.camera.width):
                found, expected = (f"{w}x{h}" for h, w in (rgb.shape[:2], (self.camera.height, self.camera.width)))
                raise SourceError(f"{path}: found {found} pixels, expected {expected} like the images before it")
            yield Frame(rgb, self._stamps.get(path.stem), path.stem)

    def truth(self, index: int) -> NDArray[np.float32] | None:
        """The depth image of the same name, unknown everywhere where there is none; None without depth/."""
        if not self._depth.is_dir():
            return None
        path = self._depth / f"{self._images[index].stem}.png"
        expected = (self.camera.height, self.camera.width)
        if not path.is_file():
            return np.zeros(expected, np.float32)
        depth = read_depth(path)
        if depth.shape != expected:
            raise SourceError(f"{path}: found {depth.shape} pixels, expected {expected} like the image")
        return depth


def _read_stamps(path: Path, images: list[Path]) -> dict[str, int]:
    """Nanoseconds by image name; without the file none, and else one for every image."""
    if not path.is_file():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not {"frame", "stamp_s"} <= set(reader.fieldnames or ()):
            raise SourceError(f"{path}: found columns {reader.fieldnames}, expected frame and stamp_s")
        try:
            stamps = {row["frame"]: _nanoseconds(row["stamp_s"]) for row in reader}
        except ValueError as error:
            raise SourceError(f"{path}: {error}") from error
    missing = [image.stem for image in images if image.stem not in stamps]
    if missing:
        raise SourceError(f"{path}: found no stamp for image {missing[0]}, expected one for each of {len(images)}")
    return stamps


def _nanoseconds(seconds: str) -> int:
    """Exact, where a float would lose the last digits."""
    match = re.fullmatch(r"\s*(\d+)(?:\.(\d{0,9})\d*)?\s*", seconds or "")
    if not match:
        raise ValueError(f"found the stamp {seconds!r}, expected seconds since the epoch")
    return int(match[1]) * 10**9 + int((match[2] or "").ljust(9, "0"))


def _natural(path: Path) -> list[tuple[int, str]]:
    """Order of names in which 2 comes before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.stem)]
