"""Which camera took a frame: camera_info by stamp, checked against the image, and the rectifier that it calls for."""

import threading
import time
from collections import OrderedDict
from typing import NamedTuple

from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo

from mono_depth_ros.camera import CameraModel, Rectifier
from mono_depth_ros.ros.images import camera_from_info
from mono_depth_ros.ros.problems import Problems

AREA = "camera_info"
_KEPT = 20  # messages
# A driver publishes an image and its camera_info one after the other; this bounds the wait for the second.
_PATIENCE = 0.05  # seconds
_CONSEQUENCE = "depth goes out for an assumed field of view of 63 degrees; no camera_info, cloud or scan goes out"

Stamp = tuple[int, int]


class View(NamedTuple):
    """The pinhole camera of the image that the network sees (None: unknown), and what makes that of a distorted one.

    problem says why the camera is unknown, or in what it may be wrong.
    """

    camera: CameraModel | None
    rectifier: Rectifier | None = None
    problem: str = ""


class Cameras:
    """Takes camera_info messages in one thread and says in another which camera took an image."""

    def __init__(self, topic: str, image_topic: str, problems: Problems) -> None:
        self._topic, self._image_topic = topic, image_topic
        self._problems = problems
        self._came = threading.Condition()
        self._infos: OrderedDict[Stamp, CameraInfo] = OrderedDict()
        # Does each image have a camera_info with its stamp? One that is sent once, or stamped apart, is not waited for.
        self._paired = True
        self._missed: Stamp | None = None
        self._first_asked: float | None = None
        self._resolved: tuple[tuple, View] | None = None

    def receive(self, info: CameraInfo) -> None:
        """Take in a message."""
        stamp = _stamp(info.header.stamp)
        with self._came:
            self._infos.pop(stamp, None)
            self._infos[stamp] = info
            if len(self._infos) > _KEPT:
                self._infos.popitem(last=False)
            self._paired |= stamp == self._missed
            self._came.notify_all()

    def are_awaited(self, timeout: float) -> bool:
        """Whether none has come yet, in the first `timeout` seconds since this was first asked."""
        with self._came:
            now = time.monotonic()
            if self._first_asked is None:
                self._first_asked = now
            if now - self._first_asked < timeout:
                self._came.wait_for(lambda: self._infos, timeout=_PATIENCE)
                return not self._infos
            return False

    def view(self, stamp: Time, width: int, height: int, is_rectified: bool) -> View:
        """The view of an image of this size, by the camera_info of its stamp, else by the last one that came.

        What is wrong with camera_info is reported, and leaves the camera unknown.
        """
        info = self._info_of(_stamp(stamp))
        if info is None:
            text = f"{self._topic}: no camera_info has come, expected one with each image of {self._image_topic}"
            self._problems.error(AREA, "missing", f"{text} (remap camera_info, or mend the driver); {_CONSEQUENCE}")
            return View(None)
        key = (_content(info), width, height, is_rectified)
        if self._resolved is None or self._resolved[0] != key:
            if self._resolved and self._resolved[0][0] != key[0]:
                self._problems.warn(AREA, "changed", f"{self._topic}: camera_info has changed; using the new one")
            self._resolved = key, self._resolve(info, width, height, is_rectified)
        view = self._resolved[1]
        if view.camera is None:
            self._problems.error(AREA, "unusable", f"{self._topic}: {view.problem}; {_CONSEQUENCE}")
        elif view.problem:
            self._problems.warn(AREA, "doubtful", f"{self._topic}: {view.problem}")
        return view

    def description(self) -> str:
        """The camera in use, for the diagnostics."""
        view = self._resolved[1] if self._resolved else View(None)
        if view.camera is None:
            return "none in use"
        c = view.camera
        kind = "rectified here" if view.rectifier else "without distortion"
        return f"{c.width}x{c.height}, fx {c.fx:.1f}, fy {c.fy:.1f}, cx {c.cx:.1f}, cy {c.cy:.1f}, {kind}"

    def _info_of(self, stamp: Stamp) -> CameraInfo | None:
        with self._came:
            if self._infos and self._paired:
                self._came.wait_for(lambda: stamp in self._infos, timeout=_PATIENCE)
            self._paired = stamp in self._infos
            self._missed = None if self._paired else stamp
            last = next(reversed(self._infos.values()), None)
            return self._infos.get(stamp, last)

    def _resolve(self, info: CameraInfo, width: int, height: int, is_rectified: bool) -> View:
        try:
            camera = camera_from_info(info)
            camera, problem = self._fitted(camera, width, height)
            if is_rectified:
                return View(camera.rectified(), None, problem)
            if not camera.is_distorted:
                return View(camera, None, problem)
            rectifier = Rectifier(camera)
        except ValueError as error:
            return View(None, None, str(error))
        return View(rectifier.camera, rectifier, problem)

    def _fitted(self, camera: CameraModel, width: int, height: int) -> tuple[CameraModel, str]:
        """The camera for an image that was resized without its camera_info being told; ValueError for other shapes."""
        if (camera.width, camera.height) == (width, height):
            return camera, ""
        found = f"camera_info is for {camera.width}x{camera.height}, {self._image_topic} is {width}x{height}"
        if abs(width * camera.height - height * camera.width) >= max(camera.width, camera.height):
            raise ValueError(f"{found}, expected the same size")
        return camera.resized(width, height), f"{found}; it is scaled to that, which is wrong if the image was cropped"


def _stamp(time: Time) -> Stamp:
    return time.sec, time.nanosec


def _content(info: CameraInfo) -> tuple:
    """All but the header; arrays as bytes, so that NaN equals itself."""
    roi, d = info.roi, bytes(info.d)
    calibration = (info.distortion_model, d, info.k.tobytes(), info.r.tobytes(), info.p.tobytes())
    window = (info.binning_x, info.binning_y, roi.x_offset, roi.y_offset, roi.width, roi.height)
    return info.width, info.height, *calibration, *window
