"""Where frames come from: the virtual camera, a webcam, a video, a folder of images, a rosbag2, behind one iterator."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.demo.flight import Flight
from mono_depth_ros.demo.room import Room
from mono_depth_ros.demo.virtual_camera import Pose, Renderer

RATE = 30.0  # frames a second of what does not say
KINDS = "virtual, the number of a webcam, a video file, an image or a folder of images, or a rosbag2"

_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_MILLIMETRE = np.float32(0.001)
# The virtual camera flies through one room after another, and then through the first again.
_ROOMS, _FRAMES_IN_ROOM = 3, 100
_FIRST_ROOM = 7


class SourceError(ValueError):
    """A source that cannot be read; the text names it, says what was found and what was expected."""


@dataclass(frozen=True)
class Frame:
    """One image: RGB (H, W, 3) uint8; its stamp in ns since the epoch, or None for one taken now; a file's name."""

    rgb: NDArray[np.uint8]
    stamp: int | None
    name: str = ""


class Source(Protocol):
    """Frames in order, and what is known about them.

    Attributes:
        camera: the lens; assumed where nothing says, see remark.
        remark: what the user should know about it; empty if nothing.
        rate: frames a second; a recording with stamps keeps to these instead.
        length: number of frames; None where there is no end, or it is unknown.
        is_live: frames come when the camera has them, and must not be fetched ahead.
    """

    camera: CameraModel
    remark: str
    rate: float
    length: int | None
    is_live: bool

    def frames(self) -> Iterator[Frame]:
        """All frames; some sources never end. Raises SourceError."""

    def truth(self, index: int) -> NDArray[np.float32] | None:
        """Depth (H, W) of frame number index in metres along the optical axis, 0 where unknown, or None."""


def parse_source(text: str) -> Source:
    """The source that a text names: one of KINDS. Raises SourceError."""
    if text == "virtual":
        return VirtualSource()
    if re.fullmatch(r"\d+", text):
        return VideoSource(int(text))
    path = Path(text).expanduser()
    if not path.exists():
        raise SourceError(f"source {text!r}: found no such file or folder, expected {KINDS}")
    if path.suffix in (".mcap", ".db3") or (path / "metadata.yaml").is_file():
        from mono_depth_ros.demo.bag_source import BagSource  # rosbags: in the demo's extra alone

        return BagSource(path if path.is_dir() else path.parent)
    return FolderSource(path) if path.is_dir() or path.suffix.lower() in _IMAGE_SUFFIXES else VideoSource(path)


class VirtualSource:
    """Rooms that the project renders, with exact depth."""

    remark, rate, is_live = "", RATE, False
    length: int | None = None

    def __init__(self, camera: CameraModel | None = None) -> None:
        self.camera = camera or CameraModel(640, 480, 525.0, 525.0, 319.5, 239.5)
        self._renderer = Renderer(self.camera.rays())

    def frames(self) -> Iterator[Frame]:
        """Fly through the rooms for ever."""
        for index in count():
            room, pose = self._place(index)
            yield Frame(self._renderer.render(room, pose)[0], None)

    def truth(self, index: int) -> NDArray[np.float32]:
        """Exact depth of every pixel."""
        return self._renderer.depth(*self._place(index))

    @cached_property
    def _rooms(self) -> list[tuple[Room, Flight]]:
        """Built when first needed, since that takes some seconds."""
        rooms = [Room(_FIRST_ROOM + number) for number in range(_ROOMS)]
        return [(room, Flight(room, seed)) for seed, room in enumerate(rooms)]

    def _place(self, index: int) -> tuple[Room, Pose]:
        room, flight = self._rooms[index // _FRAMES_IN_ROOM % _ROOMS]
        return room, flight.pose(index / RATE)


class VideoSource:
    """A webcam by number, or a video file; camera.yaml beside the file is its lens."""

    def __init__(self, device: int | Path) -> None:
        self._device = device
        self.is_live = isinstance(device, int)
        capture = self._opened()
        width, height = (round(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        rate, length = capture.get(cv2.CAP_PROP_FPS), round(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        capture.release()
        self.rate = rate if 1 <= rate <= 240 else RATE
        self.length = length if length > 0 else None
        folder = None if isinstance(device, int) else device.parent
        self.camera, self.remark = calibration_or_guess(folder, width, height)

    def _opened(self) -> cv2.VideoCapture:
        device = self._device
        capture = cv2.VideoCapture(device if isinstance(device, int) else str(device))
        if not capture.isOpened():
            what = f"webcam {device}" if self.is_live else f"video {device}"
            expected = "a camera at /dev/video with that number" if self.is_live else "a file that FFmpeg can decode"
            raise SourceError(f"{what}: found nothing that opens, expected {expected}")
        return capture

    def frames(self) -> Iterator[Frame]:
        """Read until the end of the file, or the camera is gone."""
        capture = self._opened()
        try:
            while True:
                read, bgr = capture.read()
                if not read:
                    return
                yield Frame(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8), None)
        finally:
            capture.release()

    def truth(self, index: int) -> None:
        """Nobody knows."""
        return None


class FolderSource:
    """Images by name, in rgb/ or in the folder itself, or one of them; camera.yaml, stamps.csv and depth/ beside them.

    stamps.csv has the columns frame (an image's name without its suffix) and stamp_s (seconds since the epoch);
    depth/<name>.png is 16-bit, millimetres, 0 where unknown, registered to the image.
    """

    rate, is_live = RATE, False

    def __init__(self, path: Path) -> None:
        images = path / "rgb" if (path / "rgb").is_dir() else path
        files = [path] if path.is_file() else images.iterdir()
        self._images = sorted((p for p in files if p.suffix.lower() in _IMAGE_SUFFIXES), key=_natural)
        if not self._images:
            raise SourceError(f"{images}: found no image, expected files that end in {', '.join(_IMAGE_SUFFIXES)}")
        self.length: int | None = len(self._images)
        beside = self._images[0].parent
        folder = beside.parent if beside.name == "rgb" else beside
        self._depth = folder / "depth"
        self._stamps = _read_stamps(folder / "stamps.csv", self._images)
        height, width = self._read(self._images[0]).shape[:2]
        self.camera, self.remark = calibration_or_guess(folder, width, height)

    def frames(self) -> Iterator[Frame]:
        """Each image once."""
        for path in self._images:
            rgb = self._read(path)
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
        depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if depth is None or depth.dtype != np.uint16 or depth.shape != expected:
            found = "no picture" if depth is None else f"{depth.dtype} {depth.shape}"
            raise SourceError(f"{path}: found {found}, expected uint16 {expected}, millimetres")
        return depth * _MILLIMETRE

    @staticmethod
    def _read(path: Path) -> NDArray[np.uint8]:
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            raise SourceError(f"{path}: found no picture in it, expected a whole image file")
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def calibration_or_guess(folder: Path | None, width: int, height: int) -> tuple[CameraModel, str]:
    """The camera of camera.yaml in a folder, else one with NYU Depth V2's field of view and a remark that says so."""
    path = folder and folder / "camera.yaml"
    if path and path.is_file():
        try:
            camera = CameraModel.from_yaml(path)
        except ValueError as error:
            raise SourceError(str(error)) from error
        if (camera.width, camera.height) != (width, height):
            found = f"{camera.width}x{camera.height}"
            raise SourceError(f"{path}: found a calibration for {found}, the images are {width}x{height}")
        return camera, ""
    nyu = CameraModel.nyu()
    focal = nyu.fx * max(width, height) / nyu.width
    camera = CameraModel(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    return camera, "no camera.yaml: a field of view of 63 degrees is assumed, and depth is as wrong as that is"


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
