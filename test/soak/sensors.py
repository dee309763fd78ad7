"""The soak's other sensors: they read the rendered depth beside each image, or say what no node should be told."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.node import Node
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import LaserScan, PointCloud2, PointField, Range
from std_msgs.msg import Header

from mono_depth_ros.camera import CameraModel

RANGE, SCAN, POINTS, ODOMETRY = TOPICS = ("anchors/range", "anchors/scan", "anchors/points", "odom")
RIGHT, SILENT = "right", "silent"
STEP = 8  # pixels between those whose depth is known to the sensors

# The camera's optical frame is the robot's base; range and scan look along x, z up.
_AHEAD = "[0.0, 0.0, 0.0, 0.5, -0.5, 0.5, 0.5]"
_HERE = "[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]"
PARAMETERS = {
    "anchor_range": "true", "anchor_scan": "true", "anchor_points": "true", "landmarks": "true", "odometry": "true",
    "anchor_range_pose": _AHEAD, "anchor_scan_pose": _AHEAD, "anchor_points_pose": _HERE, "camera_pose": _HERE,
}  # fmt: skip


def samples(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """The depths (H, W) that the sensors know of an image."""
    return depth[STEP // 2 :: STEP, STEP // 2 :: STEP]


def _scaled(message: Any) -> None:
    """Three times as far."""
    if isinstance(message, LaserScan):
        message.ranges = (3 * np.asarray(message.ranges)).tolist()
    elif isinstance(message, Range):
        message.range *= 3
    elif isinstance(message, PointCloud2):
        message.data = (3 * np.frombuffer(message.data, np.float32)).tobytes()
    else:
        message.pose.pose.position.x *= 3


def _nan(message: Any) -> None:
    if isinstance(message, LaserScan):
        message.ranges = [math.nan] * len(message.ranges)
    elif isinstance(message, Range):
        message.range = math.nan
    elif isinstance(message, PointCloud2):
        message.data = np.full(len(message.data) // 4, np.nan, np.float32).tobytes()
    else:
        message.pose.pose.position.x = math.nan


def _empty(message: Any) -> None:
    if isinstance(message, LaserScan):
        message.ranges = []
    elif isinstance(message, Range):
        message.field_of_view = math.nan
    elif isinstance(message, PointCloud2):
        message.fields, message.width = [], 0
    else:
        message.pose.pose.orientation.w = message.pose.pose.orientation.x = 0.0
        message.pose.pose.orientation.y = message.pose.pose.orientation.z = 0.0


def _past(message: Any) -> None:
    message.header.stamp.sec -= message.header.stamp.nanosec % 5  # to and fro


# What becomes of a right message; nothing is sent in silence.
STATES: dict[str, Callable[[Any], None]] = {
    RIGHT: lambda message: None,
    SILENT: lambda message: None,
    "scaled": _scaled,
    "NaN": _nan,
    "empty": _empty,
    "in the past": _past,
}


class Sensors:
    """Publishes for each image what the sensors say, each in the state that a file names, in the order of `TOPICS`."""

    def __init__(self, node: Node, states: Path) -> None:
        kinds = (Range, LaserScan, PointCloud2, Odometry)
        self._publishers = [node.create_publisher(k, t, 10) for k, t in zip(kinds, TOPICS, strict=True)]
        self._states = states

    def publish(self, header: Header, depth: NDArray[np.float32], lens: CameraModel, pose: NDArray[np.float64]) -> None:
        """Of one image: the depths that `samples` leaves, and the camera's pose (4, 4) in the odometry frame."""
        read = (_range, _scan, _points)
        messages = [of(header, depth, lens) for of in read] + [_odometry(header, pose)]
        for publisher, message, state in zip(
            self._publishers, messages, self._states.read_text().splitlines(), strict=True
        ):
            if state != SILENT:
                message.header = copy.deepcopy(message.header)
                STATES[state](message)
                publisher.publish(message)


def _range(header: Header, depth: NDArray[np.float32], lens: CameraModel) -> Range:
    row, column = depth.shape[0] // 2, depth.shape[1] // 2
    distance = float(np.median(depth[row - 2 : row + 3, column - 2 : column + 3]))
    return Range(header=header, field_of_view=0.1, min_range=0.05, max_range=20.0, range=distance)


def _scan(header: Header, depth: NDArray[np.float32], lens: CameraModel) -> LaserScan:
    row = depth[round(lens.cy) // STEP]
    slope = (lens.cx - (STEP // 2 + STEP * np.arange(len(row)))) / lens.fx
    angles = np.linspace(slope[-1], slope[0], len(row))  # to the left is positive
    ranges = np.interp(np.tan(angles), slope[::-1], row[::-1]) / np.cos(angles)
    step = float(angles[1] - angles[0])
    scan = LaserScan(header=header, angle_min=float(angles[0]), angle_max=float(angles[-1]), angle_increment=step)
    scan.range_min, scan.range_max, scan.ranges = 0.05, 20.0, ranges.tolist()
    return scan


def _points(header: Header, depth: NDArray[np.float32], lens: CameraModel) -> PointCloud2:
    v, u = (STEP // 2 + STEP * grid for grid in np.mgrid[: depth.shape[0], : depth.shape[1]])
    xyz = np.stack([(u - lens.cx) / lens.fx * depth, (v - lens.cy) / lens.fy * depth, depth], axis=-1)
    xyz = np.ascontiguousarray(xyz[::8, ::8].reshape(-1, 3), np.float32)
    fields = [PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, name in enumerate("xyz")]
    return PointCloud2(
        header=header, height=1, width=len(xyz), fields=fields, point_step=12, row_step=12 * len(xyz),
        data=xyz.tobytes(),
    )  # fmt: skip


def _odometry(header: Header, pose: NDArray[np.float64]) -> Odometry:
    message = Odometry(header=copy.deepcopy(header), child_frame_id=header.frame_id)
    message.header.frame_id = "odom"
    p, q = message.pose.pose.position, message.pose.pose.orientation
    p.x, p.y, p.z = pose[:3, 3].tolist()
    q.x, q.y, q.z, q.w = Rotation.from_matrix(pose[:3, :3]).as_quat().tolist()
    return message
