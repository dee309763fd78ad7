"""PX4's own message. px4_msgs is not on PyPI: where it is not installed, a class with its fields stands in."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from builtin_interfaces.msg import Time

from mono_depth_ros.ros import px4
from mono_depth_ros.scan import Scan, for_mavlink


@dataclass
class ObstacleDistance:
    """The fields of px4_msgs/ObstacleDistance."""

    timestamp: int = 0
    frame: int = 0
    sensor_type: int = 0
    distances: np.ndarray = field(default_factory=lambda: np.zeros(72, np.uint16))
    increment: float = 0.0
    min_distance: int = 0
    max_distance: int = 0
    angle_offset: float = 0.0

    MAV_FRAME_BODY_FRD = 12
    MAV_DISTANCE_SENSOR_INFRARED = 2


def test_what_is_near_free_and_unknown_in_centimetres_clockwise_from_ahead(monkeypatch):
    """A scan of one ray a degree, 30 to either side: free but for 3 m at 6 degrees to the left, and 2 unknown ones."""
    if px4.ObstacleDistance is None:
        monkeypatch.setattr(px4, "ObstacleDistance", ObstacleDistance)
    degrees = np.arange(-30, 31)
    ranges = np.full(61, np.inf, np.float32)
    ranges[degrees == 6] = 3.0
    ranges[degrees == -11] = np.nan
    ranges[degrees == -20] = -np.inf  # nearer than can be said
    limit = np.radians(30)
    scan = for_mavlink(Scan(-limit, limit, np.radians(1), 0.2, 8.0, ranges))
    message = px4.obstacle_distance(scan, Time(sec=7, nanosec=5_000_999))
    assert (message.timestamp, message.frame) == (7_005_000, 12)
    assert (message.min_distance, message.max_distance, message.angle_offset) == (20, 800, 0.0)
    assert message.increment == pytest.approx(5.0, abs=1e-4)
    found = dict(zip(range(0, 360, 5), message.distances.tolist(), strict=True))
    seen = {0: 801, 5: 801, 10: 65535, 15: 801, 20: 0, 25: 801, 355: 300, 350: 801, 345: 801, 340: 801, 335: 801}
    assert {bearing: found[bearing] for bearing in seen} == seen
    assert {found[bearing] for bearing in range(30, 331, 5)} == {65535}
