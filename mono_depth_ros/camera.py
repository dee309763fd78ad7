"""The camera: intrinsics and lens distortion, resize and crop, rectification, rays."""

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from mono_depth_ros.errors import MonoDepthError

# Numbers of coefficients OpenCV and ROS (sensor_msgs/distortion_models) use for each model.
DISTORTION_MODELS: dict[str, tuple[int, ...]] = {
    "plumb_bob": (4, 5),
    "rational_polynomial": (8, 12, 14),
    "equidistant": (4,),
}
# What drivers and calibration tools call the same models, in lower case and with one _ between words.
OTHER_NAMES = {
    "brown": "plumb_bob",
    "brown_conrady": "plumb_bob",
    "plumbbob": "plumb_bob",
    "radial_tangential": "plumb_bob",
    "radtan": "plumb_bob",
    "full_opencv": "rational_polynomial",
    "rational": "rational_polynomial",
    "fisheye": "equidistant",
    "kannala_brandt": "equidistant",
    "kannala_brandt4": "equidistant",
    "kannala_brandt8": "equidistant",
    "kannalabrandt8": "equidistant",
    "kb4": "equidistant",
    "kb8": "equidistant",
    "opencv_fisheye": "equidistant",
}
# A pinhole stretches a fisheye's rim without limit; beyond this angle from the axis there is more blur than scene.
FISHEYE_HALF_FIELD = math.radians(55.0)
# No camera has such numbers, and their products stay finite in float32.
_LARGEST = 1e9


class UncalibratedCameraError(MonoDepthError, ValueError):
    """The camera_info says that the camera is uncalibrated: K[0] is 0 (REP-104)."""


@dataclass(frozen=True)
class CameraModel:
    """A camera that sees (X, Y, Z) at u = fx x + cx, v = fy y + cy, where (x, y) is (X/Z, Y/Z), distorted by the lens.

    fx, fy, cx, cy are in pixels of the width x height image; the axes are an optical frame's (REP-103): x right,
    y down, z forward. Distortion whose coefficients are all 0 is no distortion, whatever the model, as in image_proc.

    rotation (R, 9 values row by row, or none) and projection (fx, fy, cx, cy of P, or none) say which pinhole the
    calibration chose for the rectified image; an image that is not rectified does not need them.

    Raises UncalibratedCameraError when fx is 0, ValueError for anything else that is not a camera.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = ""
    distortion: tuple[float, ...] = ()
    rotation: tuple[float, ...] = ()
    projection: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            size = getattr(self, name)
            if not (size >= 1 and size % 1 == 0):
                raise ValueError(f"camera {name}: found {size}, expected a whole number of pixels, at least 1")
        if self.fx == 0:
            raise UncalibratedCameraError("camera fx (K[0]): found 0, the mark of an uncalibrated camera; calibrate it")
        _focal_lengths("camera", self.fx, self.fy)
        _finite("camera cx, cy", (self.cx, self.cy), (2,))
        _finite("camera rotation (R)", self.rotation, (0, 9))
        if _finite("camera projection (P)", self.projection, (0, 4)):
            _focal_lengths("camera projection (P)", *self.projection[:2])
        if self.is_distorted:
            model = self.distortion_model
            if model not in DISTORTION_MODELS:
                raise ValueError(f"distortion_model: found {model!r}, expected one of {', '.join(DISTORTION_MODELS)}")
            _finite(f"{model} distortion (D)", self.distortion, DISTORTION_MODELS[model])

    @classmethod
    def from_camera_info(
        cls,
        width: int,
        height: int,
        k: Sequence[float],
        d: Sequence[float] = (),
        distortion_model: str = "",
        r: Sequence[float] = (),
        p: Sequence[float] = (),
        binning_x: int = 0,
        binning_y: int = 0,
        roi: Sequence[int] = (0, 0, 0, 0),
    ) -> "CameraModel":
        """Build the camera of the image that comes with a sensor_msgs/CameraInfo (REP-104).

        width, height, K, P and the roi (x, y, width, height, and do_rectify, which changes nothing here: the rectified
        window is as large as the raw one) refer to the full resolution; the image is the roi (the whole image where its
        size is 0), then binned (0 is 1). R that is all 0 and P whose first value is 0 count as not given.
        The distortion model may have one of OTHER_NAMES, in any spelling, and D may end in zeros that the model does
        not have. Raises UncalibratedCameraError when K[0] is 0, ValueError for wrong lengths, NaN, sizes, an unknown
        model.
        """
        k = _finite("K", k, (9,))
        if k[0] != 0 and (k[3:4] + k[6:]) != (0, 0, 0, 1):
            raise ValueError(f"K: found {list(k)}, expected [fx, 0, cx, 0, fy, cy, 0, 0, 1] row by row")
        r, p = _finite("R", r, (0, 9)), _finite("P", p, (0, 12))
        model, coefficients = lens(distortion_model, d)
        camera = cls(
            width=width,
            height=height,
            fx=k[0],
            fy=k[4],
            cx=k[2],
            cy=k[5],
            distortion_model=model,
            distortion=coefficients,
            rotation=_rotation(r) if any(r) else (),
            projection=(p[0], p[5], p[2], p[6]) if p and p[0] else (),
        )
        x, y, roi_width, roi_height = (int(v) for v in roi[:4])
        camera = camera.cropped(x, y, roi_width or width - x, roi_height or height - y)
        every_x, every_y = max(int(binning_x), 1), max(int(binning_y), 1)
        return camera._scaled(camera.width // every_x, camera.height // every_y, 1 / every_x, 1 / every_y)

    @classmethod
    def from_yaml(cls, path: str | PathLike[str]) -> "CameraModel":
        """Read a calibration file as camera_calibration writes it; ValueError names the file and the missing field."""
        with open(path, encoding="utf-8") as file:
            try:
                content = yaml.safe_load(file)
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                raise ValueError(f"{path}: not YAML ({error}); expected a camera_calibration file") from error
        try:
            return cls.from_camera_info(
                width=content["image_width"],
                height=content["image_height"],
                k=content["camera_matrix"]["data"],
                d=content["distortion_coefficients"]["data"],
                distortion_model=content["distortion_model"],
                r=content.get("rectification_matrix", {}).get("data", ()),
                p=content.get("projection_matrix", {}).get("data", ()),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: found {error!r}, expected a camera_calibration file") from error
        except ValueError as error:  # UncalibratedCameraError stays one
            raise type(error)(f"{path}: {error}") from error

    @classmethod
    def nyu(cls) -> "CameraModel":
        """The Kinect of NYU Depth V2 (Silberman et al., 2012), the canonical camera of the shipped network."""
        return cls(width=640, height=480, fx=518.8579, fy=519.4696, cx=325.5824, cy=253.7362)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """K: (3, 3) float64, pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)

    @property
    def is_distorted(self) -> bool:
        """Whether straight lines are bent in the image, so that it must be rectified before rays mean anything."""
        return any(c != 0 for c in self.distortion)

    def resized(self, width: int, height: int) -> "CameraModel":
        """The camera after its image was resized to width x height: fx, cx by the one ratio, fy, cy by the other."""
        return self._scaled(width, height, width / self.width, height / self.height)

    def cropped(self, x: int, y: int, width: int, height: int) -> "CameraModel":
        """The camera of the width x height window whose first pixel is (x, y); ValueError where it sticks out."""
        if x < 0 or y < 0 or x + width > self.width or y + height > self.height:
            raise ValueError(
                f"window (x, y, width, height): found {(x, y, width, height)}, "
                f"expected it inside the {self.width}x{self.height} image"
            )
        projection = self.projection and (*self.projection[:2], self.projection[2] - x, self.projection[3] - y)
        return dataclasses.replace(
            self, width=width, height=height, cx=self.cx - x, cy=self.cy - y, projection=projection
        )

    def of_rectified_image(self) -> "CameraModel":
        """The pinhole camera of an image that came rectified: P (REP-104), which a stereo pair has without distortion.

        Without P it is what `rectified` makes.
        """
        if not self.projection:
            return self.rectified()
        fx, fy, cx, cy = self.projection
        return CameraModel(self.width, self.height, fx, fy, cx, cy)

    def rectified(self) -> "CameraModel":
        """The pinhole camera of the image that a raw one is rectified to, of the same size.

        An undistorted camera keeps its K. Else it is the calibration's own choice P, so that our image and image_proc's
        agree. Without P it is K itself for plumb_bob and rational_polynomial; for equidistant it is K with the shortest
        focal lengths at which no edge of the image lies beyond what the lens saw there, or 55 degrees from the axis.
        """
        fx, fy, cx, cy = self.fx, self.fy, self.cx, self.cy
        if self.is_distorted and self.projection:
            fx, fy, cx, cy = self.projection
        elif self.is_distorted and self.distortion_model == "equidistant":
            scale = self._fisheye_scale()
            fx, fy = fx * scale, fy * scale
        return CameraModel(self.width, self.height, fx, fy, cx, cy)

    def rays(self) -> NDArray[np.float32]:
        """(height, width, 2) float32: X/Z and Y/Z of each pixel; ValueError for a distorted camera."""
        if self.is_distorted:
            raise ValueError(f"rays: found a camera with {self.distortion_model} distortion; rectify it first")
        rays = np.empty((self.height, self.width, 2), dtype=np.float32)
        rays[..., 0] = (np.arange(self.width) - self.cx) / self.fx
        rays[..., 1] = ((np.arange(self.height) - self.cy) / self.fy)[:, None]
        return rays

    def _scaled(self, width: int, height: int, sx: float, sy: float) -> "CameraModel":
        return dataclasses.replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=self.cx * sx,
            cy=self.cy * sy,
            projection=tuple(v * s for v, s in zip(self.projection, (sx, sy, sx, sy), strict=False)),
        )

    def _fisheye_scale(self) -> float:
        """Pinhole focal length over fisheye focal length; see rectified()."""
        angle = np.linspace(0, FISHEYE_HALF_FIELD, 1000)
        k1, k2, k3, k4 = self.distortion
        radius = angle * (1 + k1 * angle**2 + k2 * angle**4 + k3 * angle**6 + k4 * angle**8)
        radius = np.maximum.accumulate(radius)  # a fit to a narrow lens may fold back before 55 degrees
        right, bottom = self.width - 1 - self.cx, self.height - 1 - self.cy
        edges = np.array([self.cx / self.fx, right / self.fx, self.cy / self.fy, bottom / self.fy])
        edges = np.maximum(edges, 1e-6)  # an axis outside the image
        return float(np.max(edges / np.tan(np.interp(edges, radius, angle))))


def camera_from_info(msg: Any) -> CameraModel:
    """Camera model of a CameraInfo, binning and region of interest respected (REP-104). Raises ValueError."""
    roi = msg.roi
    return CameraModel.from_camera_info(
        width=msg.width,
        height=msg.height,
        k=msg.k,
        d=msg.d,
        distortion_model=msg.distortion_model,
        r=msg.r,
        p=msg.p,
        binning_x=msg.binning_x,
        binning_y=msg.binning_y,
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height, roi.do_rectify),
    )


class Rectifier:
    """Turns raw images of one camera into images of a pinhole; the maps are computed once, here.

    camera is that pinhole; valid_mask, (height, width) bool, is False where the lens saw nothing for a pixel.
    An image of an undistorted camera passes through untouched.
    """

    def __init__(self, camera: CameraModel) -> None:
        self.camera = camera.rectified()
        self._raw = camera
        self.valid_mask: NDArray[np.bool_] = np.ones((camera.height, camera.width), dtype=bool)
        self._maps: dict[int, tuple] = {}  # by interpolation, in the fixed-point form that OpenCV reads fastest
        if camera.is_distorted:
            x, y = _source_pixels(camera, self.camera)
            right, bottom, margin = camera.width - 1, camera.height - 1, 1 / 32  # remap's resolution
            inside = (x >= -margin) & (x <= right + margin) & (y >= -margin) & (y <= bottom + margin)
            self.valid_mask = inside & _unfolded(x, y, self.camera)
            x, y = (
                np.where(self.valid_mask, source.clip(0, last), -2).astype(np.float32)  # -2: all of it is border
                for source, last in ((x, right), (y, bottom))
            )
            self._maps = {
                way: cv2.convertMaps(x, y, cv2.CV_16SC2, nninterpolation=way == cv2.INTER_NEAREST)
                for way in (cv2.INTER_LINEAR, cv2.INTER_NEAREST)
            }

    def rectify(self, image: NDArray, interpolation: int = cv2.INTER_LINEAR, out: NDArray | None = None) -> NDArray:
        """Rectify (height, width) or (height, width, channels), 0 where there is no source.

        Use cv2.INTER_NEAREST for depth and labels, cv2.INTER_LINEAR for all else. The result is written into `out`
        where that is of the same shape and dtype. ValueError when the size is not the camera's.
        """
        if image.shape[:2] != self.valid_mask.shape:
            height, width = self.valid_mask.shape
            raise ValueError(
                f"image to rectify: found {image.shape[1]}x{image.shape[0]}, expected the camera's {width}x{height}; "
                "check that camera_info belongs to this image"
            )
        if not self._maps:
            return image
        x_y, fractions = self._maps[interpolation]
        return cv2.remap(image, x_y, fractions, interpolation, dst=out, borderMode=cv2.BORDER_CONSTANT, borderValue=0)

    def points(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where pixels of the raw image lie in the rectified one: u and v, (N,) float64, right to 0.6 of a pixel.

        OpenCV inverts the lens in five steps, which strong distortion leaves short in the corners.
        """
        if not self._maps:
            return u, v
        raw = self._raw
        lens = cv2.fisheye if raw.distortion_model == "equidistant" else cv2
        rotation = np.array(raw.rotation or np.eye(3), dtype=np.float64).reshape(3, 3)
        pixels = np.stack([u, v], axis=-1, dtype=np.float64)[:, None]
        coefficients = np.array(raw.distortion, dtype=np.float64)
        found = lens.undistortPoints(pixels, raw.matrix, coefficients, R=rotation, P=self.camera.matrix)[:, 0]
        return found[:, 0], found[:, 1]


def _source_pixels(raw: CameraModel, pinhole: CameraModel) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where each pixel of the pinhole's image lies in the raw image: x and y, (height, width) float32."""
    lens = cv2.fisheye if raw.distortion_model == "equidistant" else cv2
    rotation = np.array(raw.rotation or np.eye(3), dtype=np.float64).reshape(3, 3)
    size = (raw.width, raw.height)
    coefficients = np.array(raw.distortion, dtype=np.float64)
    x, y = lens.initUndistortRectifyMap(raw.matrix, coefficients, rotation, pinhole.matrix, size, cv2.CV_32FC1)
    return x, y


def _unfolded(x: NDArray[np.float32], y: NDArray[np.float32], pinhole: CameraModel) -> NDArray[np.bool_]:
    """Where the maps run the same way as on the axis.

    Beyond the calibrated field a lens polynomial may fold back into the image, and show the scene there again, mirrored
    (the maps' Jacobian is negative) or, further out, upright. What is not connected with the axis is such a ghost.
    """
    if min(x.shape) < 2:
        return np.ones(x.shape, dtype=bool)
    with np.errstate(invalid="ignore", over="ignore"):  # coefficients too wild for float32 leave inf, and so False
        x_down, x_right = np.gradient(x)
        y_down, y_right = np.gradient(y)
        upright = x_right * y_down - x_down * y_right > 0
    _, parts = cv2.connectedComponents(np.asarray(upright, dtype=np.uint8))
    row = int(np.clip(pinhole.cy, 0, pinhole.height - 1))
    column = int(np.clip(pinhole.cx, 0, pinhole.width - 1))
    return upright & (parts == parts[row, column])


def lens(model: str, coefficients: Sequence[float]) -> tuple[str, tuple[float, ...]]:
    """The model by its name in ROS where it is known by another, and its coefficients without a tail of zeros."""
    name = re.sub(r"[^a-z0-9]+", "_", model.lower()).strip("_")
    name = OTHER_NAMES.get(name, name)
    d = tuple(float(c) for c in coefficients)
    if name not in DISTORTION_MODELS:
        return model, d
    used = next((n for n in range(len(d), 0, -1) if d[n - 1] != 0), 0)
    longest = [n for n in DISTORTION_MODELS[name] if used <= n <= len(d)]
    return name, d[: max(longest)] if longest else d


def _finite(name: str, values: Sequence[float], lengths: tuple[int, ...]) -> tuple[float, ...]:
    values = tuple(float(v) for v in values)
    if len(values) not in lengths:
        raise ValueError(f"{name}: found {len(values)} values, expected {' or '.join(map(str, lengths))}")
    if not all(abs(v) < _LARGEST for v in values):
        raise ValueError(f"{name}: found {list(values)}, expected finite numbers below {_LARGEST:g}")
    return values


def _focal_lengths(name: str, fx: float, fy: float) -> None:
    if not (1 / _LARGEST < fx < _LARGEST and 1 / _LARGEST < fy < _LARGEST):
        raise ValueError(f"{name} fx, fy: found {fx}, {fy}, expected positive focal lengths in pixels")


def _rotation(r: tuple[float, ...]) -> tuple[float, ...]:
    matrix = np.array(r).reshape(3, 3)
    if not np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-3) or np.linalg.det(matrix) < 0:
        raise ValueError(f"R: found {list(r)}, expected a rotation matrix, no mirror (or all 0 for none)")
    return r
