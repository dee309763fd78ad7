"""Depth image to a planar laser scan of a band of heights, and to points that clear free space."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.pointcloud import MAX_SLANT, EdgeFilter

SCAN_FORMATS = ("ros", "mavlink")
_MAVLINK_BINS = 72
_MAVLINK_BIN = math.radians(5.00001)  # a little over: PX4 divides by it and rounds up
_MEETS = 1e-4  # radians: edges of bearings and bins that are so near each other are one


@dataclass(frozen=True)
class Scan:
    """What a sensor_msgs/LaserScan holds: angles in radians from x (forward) towards y (left), ranges in metres.

    ranges: (bins,) float32, at the bearings angle_min + i angle_increment. After REP-117 a number is the nearest point
    of the band that was seen; -inf, a point of the band nearer than range_min; +inf, that the whole band was seen, and
    seen to be free, up to range_max; NaN, that neither is so, and the bearing is unknown.
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
    are horizontal, however the camera is turned.

    camera_height: metres of the camera above the level that min_height and max_height, the band, are measured from.
    roll, pitch, yaw: radians about x, y and z, in this order about fixed axes (REP-103), that turn the scan's frame
    into the camera's (x along the optical axis): positive roll lowers its right side, positive pitch looks down,
    positive yaw looks to the left. range_min, range_max: horizontal metres.
    max_slant: degrees; what is steeper hangs at a depth edge and is unknown, see pointcloud.EdgeFilter; 90: nothing.
    Raises ValueError for an empty band or range, one that no pixel looks at, and a distorted camera.
    """

    def __init__(
        self,
        camera: CameraModel,
        *,
        camera_height: float,
        min_height: float,
        max_height: float,
        roll: float = 0.0,
        pitch: float = 0.0,
        yaw: float = 0.0,
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
        if not (math.isfinite(roll) and math.isfinite(yaw)):
            raise ValueError(f"roll, yaw: found {roll}, {yaw} rad, expected numbers")
        self._size = (camera.height, camera.width)
        self._range_min, self._range_max, self._yaw = range_min, range_max, yaw
        self._edges = EdgeFilter(camera, max_slant) if max_slant < 90 else None

        turn = _turn(roll, pitch)
        forward, left, up = _level_rays(camera, turn)
        reach = np.hypot(forward, left)  # horizontal metres per metre of depth
        bottom, top = min_height - camera_height, max_height - camera_height
        enters, leaves = _crossing(up / reach, bottom, top, range_max)
        kept = enters <= leaves
        if not kept.any():
            raise ValueError(
                f"min_height, max_height: found {min_height}, {max_height}, which no pixel sees within "
                f"{range_max:g} m; expected a band in view of a camera {camera_height} m up, pitched {pitch:.3g} rad"
            )

        # As wide as the widest column on the optical axis: a narrower bin might have no column of its own.
        self._increment = 1 / (camera.fx * math.cos(pitch))
        bearing = np.arctan2(left, forward)[kept]
        self._angle_min = float(bearing.min())
        bins = np.rint((bearing - self._angle_min) / self._increment).astype(np.intp)
        order = np.argsort(bins, kind="stable")
        self._pixels = np.flatnonzero(kept)[order]
        of_pixels = (a.ravel()[self._pixels].astype(np.float32) for a in (reach, enters, leaves))
        self._reach, self._enters, self._leaves = of_pixels
        self._bins, self._starts, counts = np.unique(bins[order], return_index=True, return_counts=True)
        bearings = np.add.reduceat(bearing[order], self._starts) / counts
        self._in_view = _in_view(camera, turn, bearings, range_max, bottom) & _in_view(
            camera, turn, bearings, range_max, top
        )

    @property
    def can_be_free(self) -> bool:
        """Whether the band is wholly in view at range_max in any bearing; nowhere else is a bearing free."""
        return bool(self._in_view.any())

    def build(self, depth: NDArray[np.float32]) -> Scan:
        """The scan of depth (height, width) float32, metres along the optical axis.

        NaN, 0 and below is unknown, +inf beyond and -inf nearer than what depth can say (REP-117). A point that is
        seen counts whatever is unknown beside it; a bearing is free only if every pixel that looks at its band saw
        past it, and the band is wholly in view at range_max.
        """
        if depth.shape != self._size:
            raise ValueError(f"depth: found {depth.shape}, expected the camera's {self._size}")
        if self._edges is not None:
            depth = self._edges.firm(depth)
        seen = depth.ravel()[self._pixels]
        nearest = seen == -np.inf
        seen[~(seen > 0)] = np.nan
        seen[nearest] = 0  # at the camera's own height, and nearer than any range_min

        distance = seen * self._reach
        ranges = np.full(distance.shape, np.nan, dtype=np.float32)
        ranges[distance > self._leaves] = np.inf
        hit = (distance >= self._enters) & (distance <= self._leaves)
        ranges[hit] = distance[hit]
        ranges[hit & (nearest | (distance < self._range_min))] = -np.inf

        of_bin = np.fmin.reduceat(ranges, self._starts)
        free = self._in_view & (np.minimum.reduceat(ranges, self._starts) == np.inf)  # NaN if one is NaN
        of_bin[np.isposinf(of_bin) & ~free] = np.nan
        of_bearing = np.full(self._bins[-1] + 1, np.nan, dtype=np.float32)
        of_bearing[self._bins] = of_bin
        angle_min = self._angle_min + self._yaw
        return Scan(
            angle_min=angle_min,
            angle_max=angle_min + (len(of_bearing) - 1) * self._increment,
            angle_increment=self._increment,
            range_min=self._range_min,
            range_max=self._range_max,
            ranges=of_bearing,
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
    middles = _MAVLINK_BIN * np.arange(_MAVLINK_BINS)
    off = (clockwise - middles[:, None] + math.pi) % (2 * math.pi) - math.pi  # (bins, bearings): radians from a middle
    # A bearing, which is as wide as the increment, is in every bin that it touches.
    touches = np.abs(off) < (_MAVLINK_BIN + scan.angle_increment) / 2 - _MEETS
    inside = (_MAVLINK_BIN - scan.angle_increment) / 2 - _MEETS
    values = scan.ranges.copy()
    values[np.isneginf(values)] = 0
    values[np.isposinf(values)] = scan.range_max + 0.01
    ranges = np.full(_MAVLINK_BINS, np.nan, np.float32)
    for number in np.flatnonzero(touches.any(axis=1)):
        of_bin, at = values[touches[number]], off[number, touches[number]]
        if at.min() > -inside or at.max() < inside:  # partly out of view: not known to be free
            of_bin = np.append(of_bin, np.float32(np.nan))
        ranges[number] = _nearest_or_unknown(of_bin, scan.range_max)
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

    clearing_range: metres from the camera to each point. stride: every stride-th row and column; each ray stands for
    the pixels around it, and is free only if all of them are. max_slant: degrees; what is steeper hangs at a depth edge
    and is unknown, see pointcloud.EdgeFilter; 90: nothing.
    """

    def __init__(
        self, camera: CameraModel, clearing_range: float, *, stride: int = 4, max_slant: float = MAX_SLANT
    ) -> None:
        if not 0 < clearing_range < math.inf:
            raise ValueError(f"clearing_range: found {clearing_range}, expected a positive number of metres")
        if stride < 1:
            raise ValueError(f"stride: found {stride}, expected 1 or more")
        self._size = (camera.height, camera.width)
        self._stride = stride
        self._edges = EdgeFilter(camera, max_slant) if max_slant < 90 else None
        rays = np.dstack([camera.rays(), np.ones(self._size, dtype=np.float32)])
        ends = rays * (clearing_range / np.linalg.norm(rays, axis=-1, keepdims=True)).astype(np.float32)
        self._reach = np.ascontiguousarray(ends[..., 2])  # depth of each ray's end
        self._ends = np.ascontiguousarray(ends[::stride, ::stride])

    def build(self, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """(points, 3) float32, metres in the optical frame: one point, at clearing_range, on each ray free up to there.

        depth: (height, width) float32, metres along the optical axis. +inf is free; NaN and -inf, which say nothing
        about the way, clear nothing.
        """
        if depth.shape != self._size:
            raise ValueError(f"depth: found {depth.shape}, expected the camera's {self._size}")
        free = (depth > self._reach).view(np.uint8)
        if self._edges is not None and (free & np.isfinite(depth)).any():  # infinite pixels do not fly
            cv2.bitwise_and(free, self._edges.solid(depth), dst=free)  # 1 and 255 are 1
        around = np.ones((self._stride, self._stride), np.uint8)
        all_free = cv2.erode(free, around, anchor=(self._stride // 2, self._stride // 2))
        return self._ends[all_free[:: self._stride, :: self._stride] == 1]


def _nearest_or_unknown(values: NDArray[np.float32], range_max: float) -> np.float32:
    """The smallest of the values (1 or more) in range; else NaN if one is NaN; else what they all are: free."""
    in_range = values[values <= range_max]
    return (in_range if in_range.size else values).min()


def _turn(roll: float, pitch: float) -> NDArray[np.float64]:
    """(3, 3): turns directions in the camera's frame (x along the optical axis, y left, z up) into level ones."""
    (sr, cr), (sp, cp) = ((math.sin(a), math.cos(a)) for a in (roll, pitch))
    return np.array([[cp, sp * sr, sp * cr], [0, cr, -sr], [-sp, cp * sr, cp * cr]])


def _level_rays(camera: CameraModel, turn: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Forward, left and up in the level frame, per metre of depth: each (height, width)."""
    right, down = np.moveaxis(camera.rays().astype(np.float64), -1, 0)
    return tuple(row[0] - right * row[1] - down * row[2] for row in turn)


def _crossing(
    slope: NDArray[np.float64], bottom: float, top: float, range_max: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Horizontal metres at which rays that climb so much enter and leave the band of heights, within range_max.

    A ray that misses the band enters after it leaves. Heights count from the camera.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.array([bottom / slope, top / slope])
    level = slope == 0
    inside = -np.inf if bottom <= 0 <= top else np.inf
    enters = np.where(level, inside, ends.min(0))
    leaves = np.where(level, -inside, ends.max(0))
    return np.maximum(enters, 0.0), np.minimum(leaves, range_max)


def _in_view(
    camera: CameraModel, turn: NDArray[np.float64], bearings: NDArray[np.float64], distance: float, height: float
) -> NDArray[np.bool_]:
    """Whether the points at these bearings, this far and this high above the camera are in the picture."""
    level = np.stack([distance * np.cos(bearings), distance * np.sin(bearings), np.full_like(bearings, height)])
    forward, left, up = turn.T @ level
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = camera.cx - camera.fx * left / forward, camera.cy - camera.fy * up / forward
    rim = 0.5 + 1e-6  # a pixel sees half a pixel beyond its middle
    return (
        (forward > 0)
        & (np.abs(u - (camera.width - 1) / 2) <= (camera.width - 1) / 2 + rim)
        & (np.abs(v - (camera.height - 1) / 2) <= (camera.height - 1) / 2 + rim)
    )
