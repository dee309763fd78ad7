"""PX4's own message for its own bridge (uXRCE-DDS), where px4_msgs is installed."""

import numpy as np
from builtin_interfaces.msg import Time

from mono_depth_ros.scan import Scan

try:
    from px4_msgs.msg import ObstacleDistance
except ImportError:
    ObstacleDistance = None

_UNKNOWN = 65535


def obstacle_distance(scan: Scan, stamp: Time) -> "ObstacleDistance":
    """ObstacleDistance of a scan that `scan.for_mavlink` made: centimetres; max_distance + 1 is free, 65535 unknown."""
    farthest = int(scan.range_max * 100)
    known = np.isfinite(scan.ranges)
    distances = np.full(len(scan.ranges), _UNKNOWN, np.uint16)
    distances[known] = np.minimum(np.rint(scan.ranges[known] * 100), farthest + 1)
    return ObstacleDistance(
        timestamp=stamp.sec * 1_000_000 + stamp.nanosec // 1000,
        frame=ObstacleDistance.MAV_FRAME_BODY_FRD,
        sensor_type=ObstacleDistance.MAV_DISTANCE_SENSOR_INFRARED,  # as other cameras are
        distances=distances,
        increment=float(np.degrees(scan.angle_increment)),
        min_distance=int(scan.range_min * 100),
        max_distance=farthest,
        angle_offset=float(np.degrees(scan.angle_min)),
    )
