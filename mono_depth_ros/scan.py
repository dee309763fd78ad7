"""Depth image to a planar laser scan of a band of heights, and to points that clear free space."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.pointcloud import MAX_SLANT, EdgeFilter

SCAN_FORMATS = ("ros", "mavlink")
_MAVLINK_BINS = 72
_MAVLINK_BIN = math.radians(5.00001)  # a little over: PX4 divides by it and rounds up


@dataclass(frozen=True)
class Scan:
    """What a sensor_msgs/LaserScan holds: angles in radians from x (forward) towards y (left), ranges in metres.

    ranges: (bins,) float32, at the bearings angle_min + i angle_increment. After REP-117 a number is the nearest point
    of the band; -inf, a point of the band nearer than range_min; +inf, that the line of sight to the band at range_max
    is free; NaN, that neither was seen, so that nothing is known.
    """

    angle_min: float
    angle_max: float
    angle_increment: float
    range_min: float
    range_max: float
    ranges: NDArray[np.float32]


class ScanBuilder:
    """Builds scans from the depth images of one pinhole camera.

    The scan's frame (REP-103: x forward, y left, z up) is level and has the camera on its z axis: bearings and ranges
    are horizontal, whatever the pitch.

    camera_height: metres of the camera above the level that min_height and max_height, the band, are measured from.
    pitch: radians about y, so positive where the camera looks down.
    range_min, range_max: horizontal metres.
    max_slant: degrees; flying pixels are left out, see pointcloud.flying_pixels; 90 keeps every point.
    Raises ValueError for an empty band or range, one that no pixel looks at, and a distorted camera.
    """

    def __init__(
        self,
        camera: CameraModel,
        *,
        camera_height: float,
        min_height: float,
        max_height: float,
        pitch: float = 0.0,
        range_min: float = 0.1,
        range_max: float = 10.0,
        max_slant: float = MAX_SLANT,
    ) -> None:
        if not min_height < max_height:
            raise ValueError(f"min_height, max_height: found {min_height}, {max_height}, expected min below max")
        if not 0 <= range_min < range_max < math.inf:
            raise ValueError(f"range_min, range_max: found {range_min}, {range_max}, expected 0 <= min < max < inf")
        if not abs(pitch) < math.pi / 2:
            raise ValueError(f"pitch: found {pitch} rad, expected less than a quarter turn up or down")
        self._size = (camera.height, camera.width)
        self._camera_height, self._band = camera_height, (min_height, max_height)
        self._range_min, self._range_max = range_min, range_max
        self._edges = EdgeFilter(camera, max_slant) if max_slant < 90 else None

        forward, left, up = _level_rays(camera, pitch)
        reach = np.hypot(forward, left)  # horizontal metres per metre of depth
        start, end = camera_height * reach, camera_height * reach + range_max * up  # heights along the ray, times reach
        bottom, top = min_height * reach, max_height * reach
        kept = (np.minimum(start, end) <= top) & (np.maximum(start, end) >= bottom)
        if not kept.any():
            raise ValueError(
                f"min_height, max_height: found {min_height}, {max_height}, which no pixel sees within "
                f"{range_max} m; expected a band in view of a camera {camera_height} m up, pitched {pitch} rad"
            )

        # As wide as the widest column on the optical axis: a narrower bin might have no column of its own.
        self._increment = 1 / (camera.fx * math.cos(pitch))
        bearing = np.arctan2(left, forward)[kept]
        self._angle_min = float(bearing.min())
        bins = np.rint((bearing - self._angle_min) / self._increment).astype(np.intp)
        order = np.argsort(bins, kind="stable")
        self._pixels = np.flatnonzero(kept)[order]
        self._reach, self._up = (a.ravel()[self._pixels].astype(np.float32) for a in (reach, up))
        self._sees_the_end = ((end >= bottom) & (end <= top)).ravel()[self._pixels]
        self._bins, self._starts = np.unique(bins[order], return_index=True)

    def build(self, depth: NDArray[np.float32]) -> Scan:
        """The scan of depth (height, width) float32, metres along the optical axis.

        NaN, 0 and below is unknown, +inf beyond and -inf nearer than what depth can say (REP-117).
        """
        if depth.shape != self._size:
            raise ValueError(f"depth: found {depth.shape}, expected the camera's {self._size}")
        if self._edges is not None:
            depth = np.where(self._edges.solid(depth), depth, np.float32(np.nan))
        seen = depth.ravel()[self._pixels]
        nearest = seen == -np.inf
        seen[~(seen > 0)] = np.nan
        seen[nearest] = 0  # at the camera's own height, and nearer than any range_min

        distance = seen * self._reach
        with np.errstate(invalid="ignore"):  # infinitely far along a horizontal ray: not in the band
            height = self._camera_height + seen * self._up
        hit = (height >= self._band[0]) & (height <= self._band[1]) & (distance <= self._range_max)
        ranges = np.full(distance.shape, np.nan, dtype=np.float32)
        ranges[self._sees_the_end & (distance > self._range_max)] = np.inf
        ranges[hit] = distance[hit]
        ranges[hit & (nearest | (distance < self._range_min))] = -np.inf

        nearest_of_bin = np.full(self._bins[-1] + 1, np.nan, dtype=np.float32)
        nearest_of_bin[self._bins] = np.fmin.reduceat(ranges, self._starts)
        return Scan(
            angle_min=self._angle_min,
            angle_max=self._angle_min + (len(nearest_of_bin) - 1) * self._increment,
            angle_increment=self._increment,
            range_min=self._range_min,
            range_max=self._range_max,
            ranges=nearest_of_bin,
        )


def for_mavlink(scan: Scan) -> Scan:
    """The scan as MAVLink's OBSTACLE_DISTANCE has it, for mavros and PX4's collision prevention.

    All round, clockwise (x forward, y right, z down), in 72 bins of 5 degrees, the first of them straight ahead: PX4
    reads one value for each 5 degrees and none between, and past the end of an array that starts anywhere else. A bin
    holds its nearest range. 0 is something nearer than range_min; 0.01 m beyond range_max, that all of the bin is free;
    NaN, that none of it is known to be taken and not all is known to be free. (mavros makes infinity unknown, and PX4
    does not go where that is.)
    """
    clockwise = -(scan.angle_min + scan.angle_increment * np.arange(len(scan.ranges)))
    numbers = np.rint(clockwise / _MAVLINK_BIN).astype(int)
    values = scan.ranges.copy()
    values[np.isneginf(values)] = 0
    values[np.isposinf(values)] = scan.range_max + 0.01
    ranges = np.full(_MAVLINK_BINS, np.nan, np.float32)
    for number in np.unique(numbers):
        edges = -(number + 0.5) * _MAVLINK_BIN, -(number - 0.5) * _MAVLINK_BIN
        if scan.angle_min <= edges[0] and edges[1] <= scan.angle_max:  # a bin that is partly out of view is unknown
            ranges[number] = _nearest_or_unknown(values[numbers == number], scan.range_max)
    return Scan(
        angle_min=0.0,
        angle_max=(_MAVLINK_BINS - 1) * _MAVLINK_BIN,
        angle_increment=_MAVLINK_BIN,
        range_min=scan.range_min,
        range_max=scan.range_max,
        ranges=ranges,
    )


class ClearingPoints:
    """The ends of the free lines of sight of one pinhole camera, for sources that only clear.

    clearing_range: metres from the camera to each point. stride: every stride-th row and column.
    """

    def __init__(self, camera: CameraModel, clearing_range: float, stride: int = 4) -> None:
        if not 0 < clearing_range < math.inf:
            raise ValueError(f"clearing_range: found {clearing_range}, expected a positive number of metres")
        if stride < 1:
            raise ValueError(f"stride: found {stride}, expected 1 or more")
        self._size = (camera.height, camera.width)
        self._every = (slice(None, None, stride), slice(None, None, stride))
        rays = camera.rays()[self._every]
        rays = np.dstack([rays, np.ones(rays.shape[:2], dtype=np.float32)])
        self._ends = rays * (clearing_range / np.linalg.norm(rays, axis=-1, keepdims=True)).astype(np.float32)

    def build(self, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """(points, 3) float32, metres in the optical frame: one point, at clearing_range, on each ray free up to there.

        depth: (height, width) float32, metres along the optical axis. +inf is free; NaN and -inf, which say nothing
        about the way, clear nothing.
        """
        if depth.shape != self._size:
            raise ValueError(f"depth: found {depth.shape}, expected the camera's {self._size}")
        return self._ends[depth[self._every] > self._ends[..., 2]]


def _nearest_or_unknown(values: NDArray[np.float32], range_max: float) -> np.float32:
    """The smallest of the values (1 or more) in range; else NaN if one is NaN; else what they all are: free."""
    in_range = values[values <= range_max]
    return (in_range if in_range.size else values).min()


def _level_rays(camera: CameraModel, pitch: float) -> tuple[NDArray[np.float64], ...]:
    """Forward, left and up in the level frame, per metre of depth: each (height, width)."""
    right, down = np.moveaxis(camera.rays().astype(np.float64), -1, 0)
    sine, cosine = math.sin(pitch), math.cos(pitch)
    return cosine - down * sine, -right, -sine - down * cosine
