"""What other sensors' messages say: points and beams in the sensor's own frame, as far as they can be believed.

The messages are ROS's own or a bag reader's, which have the same fields.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.fusion import Anchors

# A dense cloud is thinned to about this many points before anything else is done with it.
_ENOUGH = 4000
# Why a measurement is dropped: beside a surface that is too far, which is no fault, what no sensor should say.
NAN, NO_SIGMA, OUT_OF_RANGE = "NaN", "no sigma", "out of range"
# By sensor_msgs/PointField.datatype.
_NUMBERS = dict(enumerate(("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"), start=1))


class ReadingError(ValueError):
    """A message that says nothing; the text names the field, what was found and what was expected."""


@dataclass(frozen=True)
class Reading:
    """Measurements of one message.

    Attributes:
        points: (N, 3) float64, metres, in the sensor's frame.
        sigma: (N,) float64, standard deviation of each distance, as a share of it.
        bound: (N,) int: 0, measured; 1, nothing is nearer than the point; -1, something is nearer.
        field_of_view: radians of a beam; 0 for rays.
        dropped: measurements that say nothing, by reason.
    """

    points: NDArray[np.float64]
    sigma: NDArray[np.float64]
    bound: NDArray[np.int64]
    field_of_view: float
    dropped: Counter[str]


def of_range(message: Any, sigma: float) -> Reading:
    """The beam along x of a sensor_msgs/Range; +-Inf are bounds (REP-117). Raises ReadingError."""
    if not 0 <= message.field_of_view < math.pi:
        raise ReadingError(f"field_of_view: found {message.field_of_view}, expected 0 to pi radians")
    distance = np.array([message.range], np.float64)
    point = np.array([[1.0, 0.0, 0.0]])
    return _rays(point, distance, message.min_range, message.max_range, sigma, message.field_of_view)


def of_scan(message: Any, sigma: float) -> Reading:
    """The rays of a LaserScan, in the plane z = 0 of its frame; +-Inf are bounds (REP-117). Raises ReadingError."""
    ranges = np.asarray(message.ranges, np.float64)
    if not len(ranges):
        raise ReadingError("ranges: found none, expected at least one")
    if not (math.isfinite(message.angle_min) and math.isfinite(message.angle_increment)):
        found = (message.angle_min, message.angle_increment)
        raise ReadingError(f"angle_min, angle_increment: found {found}, expected radians")
    angles = message.angle_min + message.angle_increment * np.arange(len(ranges))
    directions = np.column_stack((np.cos(angles), np.sin(angles), np.zeros(len(angles))))
    return _rays(directions, ranges, message.range_min, message.range_max, sigma, 0.0)


def of_cloud(message: Any, sigma: float) -> Reading:
    """The points of a PointCloud2 with fields x, y, z, and perhaps sigma or variance (of the distance, metres).

    Raises ReadingError where a field is missing, or the data are not as long as they should be.
    """
    fields = {field.name: field for field in message.fields}
    if missing := [name for name in "xyz" if name not in fields]:
        raise ReadingError(f"fields: found {', '.join(fields) or 'none'}, expected x, y and z; {missing} missing")
    step, size = message.point_step, message.width * message.height
    if not size:
        raise ReadingError("points: found none, expected at least one")
    if message.row_step < step * message.width or len(message.data) < message.row_step * message.height:
        raise ReadingError(
            f"data: found {len(message.data)} bytes in rows of {message.row_step}, expected {message.height} rows of "
            f"{message.width} points of {step} bytes"
        )
    rows = np.frombuffer(message.data, np.uint8)[: message.row_step * message.height]
    raw = rows.reshape(message.height, message.row_step)[:, : step * message.width].reshape(size, step)
    raw = np.ascontiguousarray(raw[:: max(1, size // _ENOUGH)])
    columns = {name: _column(raw, field, message.is_bigendian) for name, field in fields.items() if name in _USED}
    points = np.column_stack([columns[name] for name in "xyz"])
    away = np.linalg.norm(points, axis=1)
    known = np.isfinite(away) & (away > 0)
    share = np.full(len(points), sigma)
    with np.errstate(invalid="ignore", divide="ignore"):
        if "sigma" in columns:
            share = columns["sigma"] / away
        elif "variance" in columns:
            share = np.sqrt(columns["variance"]) / away
    certain = np.isfinite(share) & (share > 0)
    dropped = Counter({NAN: int(np.count_nonzero(~known)), NO_SIGMA: int(np.count_nonzero(known & ~certain))})
    good = known & certain
    return Reading(points[good], share[good], np.zeros(np.count_nonzero(good), np.int64), 0.0, +dropped)


def projected(reading: Reading, pose: NDArray[np.float64], moved: float, camera: CameraModel) -> Anchors:
    """A reading as anchors in a camera.

    Args:
        reading: of a sensor.
        pose: (4, 4), the sensor in the camera's frame.
        moved: metres by which the robot may have moved between reading and image.
        camera: of the image, a pinhole.
    """
    points = reading.points @ pose[:3, :3].T + pose[:3, 3]
    in_front = points[:, 2] > 0.01
    depth = np.where(in_front, points[:, 2], 1.0)
    u = camera.fx * points[:, 0] / depth + camera.cx
    v = camera.fy * points[:, 1] / depth + camera.cy
    inside = in_front & (u >= 0) & (v >= 0) & (u <= camera.width - 1) & (v <= camera.height - 1)
    half = math.tan(reading.field_of_view / 2)
    # A beam's range is radial and depth is along the axis: the mean of sqrt(1 + r^2) over a disc of radius half.
    oblique = 2 / 3 * ((1 + half**2) ** 1.5 - 1) / half**2 if half > 0 else 1.0
    return Anchors(
        u=u[inside],
        v=v[inside],
        depth=depth[inside] / oblique,
        sigma=np.hypot(reading.sigma, moved / depth)[inside],
        radius=np.full(np.count_nonzero(inside), half * math.sqrt(camera.fx * camera.fy)),
        bound=reading.bound[inside],
    )


_USED = ("x", "y", "z", "sigma", "variance")


def _column(raw: NDArray[np.uint8], field: Any, is_bigendian: bool) -> NDArray[np.float64]:
    if field.datatype not in _NUMBERS:
        raise ReadingError(f"field {field.name}: found datatype {field.datatype}, expected 1 to 8")
    kind = np.dtype(_NUMBERS[field.datatype]).newbyteorder(">" if is_bigendian else "<")
    end = field.offset + kind.itemsize
    if end > raw.shape[1]:
        raise ReadingError(f"field {field.name}: ends at byte {end}, expected within point_step {raw.shape[1]}")
    return np.ascontiguousarray(raw[:, field.offset : end]).view(kind)[:, 0].astype(np.float64)


def _rays(
    directions: NDArray[np.float64],
    ranges: NDArray[np.float64],
    nearest: float,
    farthest: float,
    sigma: float,
    field_of_view: float,
) -> Reading:
    """Ranges along unit directions (N, 3); +Inf says that nothing is within reach, -Inf that something is too near."""
    beyond, within = np.isposinf(ranges), np.isneginf(ranges)
    bound = np.where(beyond, 1, np.where(within, -1, 0))
    distance = np.where(beyond, farthest, np.where(within, nearest, ranges))
    known = np.isfinite(distance) & (distance > 0)
    # Many drivers say max_range where they see nothing, which REP-117 calls +Inf: no evidence of a surface there.
    in_range = (distance >= nearest) & ((distance < farthest) | beyond)
    dropped = Counter({NAN: int(np.count_nonzero(~known)), OUT_OF_RANGE: int(np.count_nonzero(known & ~in_range))})
    good = known & in_range
    share = np.full(np.count_nonzero(good), sigma)
    return Reading(directions[good] * distance[good, None], share, bound[good], field_of_view, +dropped)
