"""Frames of a folder of images, with the stamps, the lens, the poses and the depth that lie beside them."""

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.io.errors import ImageError, SourceError, raised
from mono_depth_ros.io.files import IMAGE_SUFFIXES, is_image, is_other_image, read_color, read_depth
from mono_depth_ros.io.frames import Frame, Source, calibration_or_guess, read_calibration
from mono_depth_ros.io.png import is_made_by
from mono_depth_ros.io.white import WhiteLevel

PREDICT = "mono-depth predict"  # what its PNGs say made them
_POSE = ("tx", "ty", "tz", "qx", "qy", "qz", "qw")
_T = TypeVar("_T")


class FolderSource(Source):
    """Images by name, in rgb/ or in the folder itself, or one of them; what is known of them lies beside them.

    camera.yaml is the lens; stamps.csv has the columns frame (an image's name without its suffix) and stamp_s (seconds
    since the epoch), poses.csv frame, tx, ty, tz, qx, qy, qz, qw (camera to world); depth/<name>.png is 16-bit,
    millimetres, 0 where unknown, registered to the image. What `mono-depth predict` wrote is passed over. A frame has
    the image's name without its suffix, or with it where two images differ in that alone.

    Args:
        path: of the folder or the image.
        mixed_sizes: let the images differ in size from each other and from `camera`.
    """

    def __init__(self, path: Path, mixed_sizes: bool = False) -> None:
        images = path / "rgb" if (path / "rgb").is_dir() else path
        found = [path] if path.is_file() else sorted((p for p in images.iterdir() if not p.is_dir()), key=_natural)
        files = [p for p in found if p.is_file() and not is_made_by(PREDICT, p)]
        self._lost = [p for p in found if p.is_symlink() and not p.exists()]
        self._images = [p for p in files if p.suffix.lower() in IMAGE_SUFFIXES or (path.is_file() and is_image(p))]
        self._others = [p for p in files if p not in self._images and is_other_image(p)]
        if not self._images and self._others:
            raise _not_read(self._others[0])
        if not self._images:
            raise SourceError(f"{images}: found no image; expected files that end in {', '.join(IMAGE_SUFFIXES)}")
        self.length = len(self._images)
        beside = self._images[0].parent
        folder = beside.parent if beside.name == "rgb" else beside
        self._depth = folder / "depth"
        self._stamps = _read_table(folder / "stamps.csv", ("stamp_s",), self._images, _nanoseconds)
        self._poses = _read_table(folder / "poses.csv", _POSE, self._images, lambda *row: tuple(map(float, row)))
        self._mixed_sizes = mixed_sizes
        if mixed_sizes and (calibration := read_calibration(folder)):
            self.camera = calibration
        else:
            height, width = self._first().shape[:2]
            self.camera, self.remark = calibration_or_guess(folder, width, height)

    def frames(self, bad: Callable[[ImageError], None] = raised) -> Iterator[Frame]:
        """Each image once."""
        for path in self._others:
            bad(_not_read(path))
        for path in self._lost:
            bad(ImageError(f"{path}: found a link to {path.readlink()}, which is not there"))
        white = WhiteLevel()
        are_stems_unique = len({path.stem for path in self._images}) == len(self._images)
        for path in self._images:
            try:
                rgb = read_color(path, white)
            except ImageError as error:
                bad(error)
                continue
            if not self._mixed_sizes and rgb.shape[:2] != (self.camera.height, self.camera.width):
                found, expected = (f"{w}x{h}" for h, w in (rgb.shape[:2], (self.camera.height, self.camera.width)))
                bad(ImageError(f"{path}: found {found} pixels, expected {expected} like the images before it"))
                continue
            name = path.stem if are_stems_unique else path.name
            yield Frame(rgb, self._stamps.get(path.stem), name, self._poses.get(path.stem))

    def _first(self) -> NDArray[np.uint8]:
        """The first image that can be read; raises the error of the first where there is none."""
        errors = []
        for path in self._images:
            try:
                return read_color(path)
            except ImageError as error:
                errors.append(error)
        raise errors[0]

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


def _not_read(path: Path) -> ImageError:
    return ImageError(f"{path}: pictures of this kind are not read; convert it to JPEG or PNG")


def _read_table(path: Path, columns: tuple[str, ...], images: list[Path], parse: Callable[..., _T]) -> dict[str, _T]:
    """What `parse` makes of the columns, by image name; without the file none, and else one for every image."""
    if not path.is_file():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not {"frame", *columns} <= set(reader.fieldnames or ()):
            raise SourceError(f"{path}: found columns {reader.fieldnames}, expected frame, {', '.join(columns)}")
        try:
            table = {row["frame"]: parse(*(row[column] or "" for column in columns)) for row in reader}
        except ValueError as error:
            raise SourceError(f"{path}: {error}") from error
    missing = [image.stem for image in images if image.stem not in table]
    if missing:
        raise SourceError(f"{path}: found no row for image {missing[0]}, expected one for each of {len(images)}")
    return table


def _nanoseconds(seconds: str) -> int:
    """Exact, where a float would lose the last digits."""
    match = re.fullmatch(r"\s*(\d+)(?:\.(\d{0,9})\d*)?\s*", seconds)
    if not match:
        raise ValueError(f"found the stamp {seconds!r}, expected seconds since the epoch")
    return int(match[1]) * 10**9 + int((match[2] or "").ljust(9, "0"))


def _natural(path: Path) -> list[tuple[int, str]]:
    """Order of names in which 2 comes before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.stem)]
