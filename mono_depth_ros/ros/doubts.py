"""What looks wrong in a camera_info beside the picture that it is said to describe: one function a kind of doubt.

Each says what it found, what it expected and, where the numbers give it away, the likely cause. None of them makes the
camera_info unusable; `CameraModel` refuses what cannot be a camera at all. Node and doctor ask the same questions.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sensor_msgs.msg import CameraInfo

from mono_depth_ros.camera import lens

_USUAL_VIEW = (10.0, 135.0)  # degrees across; a pinhole beyond it is hardly a camera
_WIDEST_FISHEYE = 280.0
_OFF_CENTRE = 0.2  # of the picture's side; lenses are mounted better than that
_NEAR_CENTRE, _FAR_OFF = 0.05, 0.1  # where most axes are, and where few are
_SQUARE = 1.25  # fx over fy, or the other way round: pixels of odd analogue cameras are 1.1
_LARGEST_TURN = 30.0  # degrees, of R


class Picture(NamedTuple):
    """What is known of the images: pixels, frame, whether they are taken to be rectified, and their topic."""

    width: int
    height: int
    frame_id: str
    is_rectified: bool = False
    topic: str = "the image"


def doubts(info: CameraInfo, picture: Picture) -> list[str]:
    """Everything that looks wrong, worst first; empty where nothing does. A K that is no camera's is not judged."""
    is_camera = all(0 < value < math.inf for value in (info.k[0], info.k[4], info.width, info.height))
    asked = (*_OF_NUMBERS, *_OF_MESSAGE) if is_camera else _OF_MESSAGE
    return [text for doubt in asked if (text := doubt(info, picture))]


def fitting_size(info: CameraInfo) -> tuple[int, int]:
    """Width and height of the images that a camera_info describes: its window, binned (REP-104)."""
    roi = info.roi
    width, height = roi.width or info.width - roi.x_offset, roi.height or info.height - roi.y_offset
    return width // max(info.binning_x, 1), height // max(info.binning_y, 1)


def _size(info: CameraInfo, picture: Picture) -> str:
    width, height = fitting_size(info)
    if (width, height) == (picture.width, picture.height):
        return ""
    text = f"is for {width}x{height}, {picture.topic} is {picture.width}x{picture.height}"
    if (picture.width, picture.height) == (info.width, info.height):
        return f"{text}, so binning and roi are set, but the image is whole; it is scaled to that"
    return f"{text}; it is scaled to that, which is wrong if the image was cropped"


def _focal_length(info: CameraInfo, picture: Picture) -> str:
    fx, fy, cx, cy = info.k[0], info.k[4], info.k[2], info.k[5]
    half = info.width / 2 / fx
    view = math.degrees(2 * (half if _is_fisheye(info) else math.atan(half)))
    if _USUAL_VIEW[0] < view < (_WIDEST_FISHEYE if _is_fisheye(info) else _USUAL_VIEW[1]):
        return ""
    text = f"K: fx = {fx:g} at {info.width} px is a view of {view:.0f} degrees; depth scales with fx"
    if fx == fy == 1 and cx == cy == 0:
        return f"{text}; K is the identity, a placeholder"
    if _in_widths(info):
        return f"{text}; K is in units of the picture's width, expected pixels"
    if fx < 0.1 * info.width:
        return f"{text}; fx is perhaps in millimetres, expected pixels: millimetres * {info.width} / the sensor's width"
    return text


def _centre(info: CameraInfo, picture: Picture) -> str:
    cx, cy = info.k[2], info.k[5]
    off, off_if_swapped = _off_centre(cx, cy, info), _off_centre(cy, cx, info)
    text = f"K: cx, cy = {cx:g}, {cy:g}, expected near the middle of {info.width}x{info.height}"
    if off_if_swapped < _NEAR_CENTRE < _FAR_OFF < off:
        return f"{text}; the two are perhaps swapped"
    if off <= _OFF_CENTRE or _in_widths(info):
        return ""
    for width, height in ((2 * cx, 2 * cy), (2 * cx + 1, 2 * cy + 1)):
        ratio = width / info.width
        if ratio > 0 and abs(height / info.height / ratio - 1) < 0.15:
            other = f"K is perhaps that of a picture of {width:.0f}x{height:.0f}"
            return f"{text}; {other}, and depth then {ratio:.2g} times what it should be"
    return f"{text}; cropped without a roi, or of another camera"


def _pixels(info: CameraInfo, picture: Picture) -> str:
    ratio = info.k[0] / info.k[4]
    if 1 / _SQUARE < ratio < _SQUARE:
        return ""
    text = f"K: fx, fy = {info.k[0]:g}, {info.k[4]:g}, expected nearly the same"
    return f"{text}; scaled, binned or interlaced in one direction only?"


def _skew(info: CameraInfo, picture: Picture) -> str:
    return f"K: skew K[1] = {info.k[1]:g} is not used, expected 0" if abs(info.k[1]) > 1e-3 * info.k[0] else ""


def _projection(info: CameraInfo, picture: Picture) -> str:
    p, k = info.p, info.k
    if p[0] == 0:
        need = picture.is_rectified and any(info.d)
        return "P is not given, but the image is rectified: K is used for it" if need else ""
    off = max(abs(p[0] / k[0] - 1), abs(p[5] / k[4] - 1), abs(p[2] - k[2]) / info.width, abs(p[6] - k[5]) / info.height)
    is_plain = not any(info.d) and _turn(info) < 0.1
    used = "P is used, as the image is rectified" if picture.is_rectified else "K is used"
    if is_plain and off > 0.02:
        numbers = f"fx {k[0]:g} and {p[0]:g}, cx {k[2]:g} and {p[2]:g}"
        return (
            f"K and P differ ({numbers}), though there is no distortion: one of them is of another size or lens; {used}"
        )
    if not _is_fisheye(info) and not 0.3 < p[0] / k[0] < 2:
        return f"P: fx = {p[0]:g}, expected about K's {k[0]:g}: of another size or lens; {used}"
    if _off_centre(p[2], p[6], info) > _OFF_CENTRE:
        text = f"P: cx, cy = {p[2]:g}, {p[6]:g}, expected near the middle of {info.width}x{info.height}"
        return f"{text}: of another size or lens; {used}"
    return ""


def _rotation(info: CameraInfo, picture: Picture) -> str:
    turn = _turn(info)
    return f"R turns by {turn:.0f} degrees, expected a few: of another pair of cameras?" if turn > _LARGEST_TURN else ""


def _frame(info: CameraInfo, picture: Picture) -> str:
    found = info.header.frame_id
    if not found or not picture.frame_id or found == picture.frame_id:
        return ""
    return f"frame_id {found!r}, the image has {picture.frame_id!r}: perhaps of another camera"


def _model(info: CameraInfo, picture: Picture) -> str:
    if any(info.d) or lens(info.distortion_model, (1.0,))[0] != "equidistant":
        return ""
    return "D: all 0 with the model of a fisheye: taken for a pinhole, which depth and cloud of a fisheye are not"


def _off_centre(cx: float, cy: float, info: CameraInfo) -> float:
    """How far an axis is from the picture's middle, as a share of its sides."""
    return max(abs(cx / info.width - 0.5), abs(cy / info.height - 0.5))


def _in_widths(info: CameraInfo) -> bool:
    """Whether all of K is in units of the picture's size."""
    return all(0 < value < 10 for value in (info.k[0], info.k[4])) and 0 <= info.k[2] <= 1.5 and 0 <= info.k[5] <= 1.5


def _turn(info: CameraInfo) -> float:
    """Degrees; 0 where R is not given."""
    if not any(info.r):
        return 0.0
    cosine = (info.r[0] + info.r[4] + info.r[8] - 1) / 2
    return math.degrees(math.acos(float(np.clip(cosine, -1, 1))))


def _is_fisheye(info: CameraInfo) -> bool:
    return any(info.d) and lens(info.distortion_model, info.d)[0] == "equidistant"


_OF_NUMBERS: tuple[Callable[[CameraInfo, Picture], str], ...] = (
    _focal_length, _centre, _pixels, _projection, _skew, _rotation, _model,
)  # fmt: skip
_OF_MESSAGE: tuple[Callable[[CameraInfo, Picture], str], ...] = (_size, _frame)
