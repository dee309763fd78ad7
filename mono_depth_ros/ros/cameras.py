"""Which camera took a frame: a calibration file, or camera_info by stamp, or a lens that is assumed; never a guess."""

import math
import threading
import time
from collections import OrderedDict
from typing import NamedTuple

from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from mono_depth_ros.camera import CameraModel, Rectifier, camera_from_info
from mono_depth_ros.ros.doubts import Picture, doubts
from mono_depth_ros.ros.messages import camera_info_message
from mono_depth_ros.ros.problems import Problems

AREA = "camera_info"
_KEPT = 20  # messages
# A driver publishes an image and its camera_info one after the other; this bounds the wait for the second.
_PATIENCE = 0.05  # seconds
_STEADY = 5  # messages that say the same, after which none is waited for
_LEAST_SEEN = 0.5  # of a rectified image; a lens whose own numbers show less is doubted
_CONSEQUENCE = (
    "without a camera there is no metric depth and nothing goes out; "
    "give it a calibration file (camera_info_url), or choose a lens (assume_lens)"
)

Stamp = tuple[int, int]


class View(NamedTuple):
    """The pinhole camera of the image that the network sees, and what makes that of a distorted one.

    camera is None where it is not known; doubts then say why, else what may be wrong with it.
    """

    camera: CameraModel | None
    rectifier: Rectifier | None = None
    doubts: tuple[str, ...] = ()
    source: str = "none in use"


class Cameras:
    """Takes camera_info messages in one thread and says in another which camera took an image.

    It outlives the stream: a camera_info that was sent once holds for as long as the node lives.
    """

    def __init__(self, topic: str, problems: Problems) -> None:
        self._topic, self._problems = topic, problems
        self._image_topic = "the image"
        self._came = threading.Condition()
        self._infos: OrderedDict[Stamp, CameraInfo] = OrderedDict()
        self._content: tuple | None = None
        self._equal = 0  # messages in a row with this content
        self._may_change = True  # waiting for the camera_info of an image may be worth it
        self._missed = 0  # images in a row whose camera_info was waited for and did not come
        self._first_asked: float | None = None
        self._file: CameraInfo | None = None
        self._chosen: tuple[tuple, View] = ((), View(None))

    def receive(self, info: CameraInfo) -> None:
        """Take in a message."""
        stamp, content = _stamp(info.header.stamp), _content(info)
        with self._came:
            self._infos.pop(stamp, None)
            self._infos[stamp] = info
            if len(self._infos) > _KEPT:
                self._infos.popitem(last=False)
            if content == self._content:
                self._equal += 1
                self._may_change &= self._equal < _STEADY
            else:
                self._content, self._equal, self._may_change = content, 1, True
            self._came.notify_all()

    def calibrate(self, camera: CameraModel | None) -> None:
        """Let a calibration file win over every camera_info; None takes it back."""
        self._file = camera and camera_info_message(Header(), camera)

    def start(self, image_topic: str) -> None:
        """Begin with the images of this topic, and to wait for a camera_info, if none has come."""
        self._image_topic = image_topic
        self._first_asked = None
        self._equal, self._may_change, self._missed = 0, True, 0  # nobody listened: the lens may be another one now

    def view(self, header: Header, size: tuple[int, int], rectified: bool, timeout: float, lens: float) -> View | None:
        """The view of an image, None while a camera_info is awaited. What is wrong or doubted is reported.

        Args:
            header: of the image.
            size: (height, width) of the image.
            rectified: whether the image is.
            timeout: seconds since `start` in which a missing camera_info is no error yet, and no lens is assumed.
            lens: degrees across the longer side of the image that are assumed without a camera; 0 assumes nothing.
        """
        height, width = size
        picture = Picture(width, height, header.frame_id, rectified, self._image_topic)
        info = None if self._file else self._info_of(_stamp(header.stamp), timeout)
        if info is None and self._file is None and self._is_early(timeout):
            return None
        known = (_content(info), info.header.frame_id) if info else ()
        key = (known, picture, self._file, lens)
        before, view = self._chosen
        if key != before:
            if before and before[0] and known and before[0] != known:
                self._problems.warn(AREA, "changed", f"{self._topic}: camera_info has changed; using the new one")
            view = self._choose(info, picture, lens)
            self._chosen = key, view
        for number, doubt in enumerate(view.doubts):
            report = self._problems.warn if view.camera else self._problems.error
            report(AREA, f"doubt {number}", f"{self._topic}: {doubt}")
        return view

    def description(self) -> dict[str, str]:
        """The camera in use and where it comes from, for the diagnostics."""
        view = self._chosen[1]
        if view.camera is None:
            return {"camera": view.source}
        c = view.camera
        kind = "rectified here" if view.rectifier else "without distortion"
        camera = f"{c.width}x{c.height}, fx {c.fx:.1f}, fy {c.fy:.1f}, cx {c.cx:.1f}, cy {c.cy:.1f}, {kind}"
        return {"camera": camera, "from": view.source}

    def _choose(self, info: CameraInfo | None, picture: Picture, lens: float) -> View:
        """A calibration file wins over camera_info, and that over a lens that is assumed."""
        reason = f"no camera_info has come, expected one with each image of {picture.topic}"
        reason = f"{reason} (remap camera_info, or mend the driver)"
        try:
            if known := self._file or info:
                view = _view_of(camera_from_info(known), picture)
                source = "the calibration file" if self._file else "camera_info"
                return view._replace(doubts=(*doubts(known, picture), *view.doubts), source=source)
        except ValueError as error:
            reason = str(error)
        if lens:
            text = f"{reason}; a view of {lens:g} degrees is assumed (assume_lens), and metres are as wrong as that"
            return View(assumed(picture.width, picture.height, lens), doubts=(text,), source="assume_lens")
        return View(None, doubts=(f"{reason}; {_CONSEQUENCE}",))

    def _is_early(self, timeout: float) -> bool:
        now = time.monotonic()
        if self._first_asked is None:
            self._first_asked = now
        return now - self._first_asked < timeout

    def _info_of(self, stamp: Stamp, timeout: float) -> CameraInfo | None:
        """The camera_info of this stamp, else the last one.

        One that comes just after its image is waited for, as long as it may say something new: not where the last ones
        all said the same, nor after one did not come in time, and no more where none ever has the stamp of its image.
        """
        with self._came:
            if not self._infos:
                if self._is_early(timeout):
                    self._came.wait_for(lambda: self._infos, timeout=_PATIENCE)
            elif stamp in self._infos:
                self._missed = 0
            elif self._may_change and self._missed < _STEADY:
                self._may_change = self._came.wait_for(lambda: stamp in self._infos, timeout=_PATIENCE)
                self._missed = 0 if self._may_change else self._missed + 1
            last = next(reversed(self._infos.values()), None)
            return self._infos.get(stamp, last)


def assumed(width: int, height: int, degrees: float) -> CameraModel:
    """The pinhole with this view across the longer side of its image, and its axis in the middle."""
    f = max(width, height) / 2 / math.tan(math.radians(degrees) / 2)
    return CameraModel(width, height, f, f, (width - 1) / 2, (height - 1) / 2)


def _view_of(camera: CameraModel, picture: Picture) -> View:
    """The view by a camera of the same shape, which was resized with the image; ValueError for another shape."""
    if abs(picture.width * camera.height - picture.height * camera.width) >= max(camera.width, camera.height):
        sizes = f"for {camera.width}x{camera.height}, {picture.topic} is {picture.width}x{picture.height}"
        turned = " (turned by a quarter?)" if (camera.width > camera.height) != (picture.width > picture.height) else ""
        raise ValueError(f"the camera is {sizes}, expected the same size{turned}")
    if (camera.width, camera.height) != (picture.width, picture.height):
        camera = camera.resized(picture.width, picture.height)
    if picture.is_rectified:
        return View(camera.of_rectified_image())
    if not camera.is_distorted:
        return View(camera)
    rectifier = Rectifier(camera)
    seen = float(rectifier.valid_mask.mean())
    text = f"D: by it the lens sees {100 * seen:.0f} % of the rectified image; of another lens or model?"
    return View(rectifier.camera, rectifier, () if seen > _LEAST_SEEN else (text,))


def _stamp(time: Time) -> Stamp:
    return time.sec, time.nanosec


def _content(info: CameraInfo) -> tuple:
    """All but the header; arrays as bytes, so that NaN equals itself."""
    roi, d = info.roi, bytes(info.d)
    calibration = (info.distortion_model, d, info.k.tobytes(), info.r.tobytes(), info.p.tobytes())
    window = (info.binning_x, info.binning_y, roi.x_offset, roi.y_offset, roi.width, roi.height)
    return info.width, info.height, *calibration, *window
