"""Our profiles against those that drivers and consumers use: every pair must connect."""

import pytest
from rclpy.qos import (
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
    qos_profile_sensor_data,
)

from mono_depth_ros.ros.qos import CAMERA_INFO_INPUT, IMAGE_INPUT, OUTPUT

RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)  # RViz, depth_image_proc, rtabmap
BEST_EFFORT = qos_profile_sensor_data  # camera drivers, Nav2's costmap layers


@pytest.mark.parametrize(
    ("publisher", "subscription"),
    [
        (OUTPUT, RELIABLE),
        (OUTPUT, BEST_EFFORT),
        (RELIABLE, IMAGE_INPUT),
        (BEST_EFFORT, IMAGE_INPUT),
        (RELIABLE, CAMERA_INFO_INPUT),
        (BEST_EFFORT, CAMERA_INFO_INPUT),
    ],
)
def test_publisher_and_subscription_connect(publisher: QoSProfile, subscription: QoSProfile):
    compatibility, reason = qos_check_compatible(publisher, subscription)
    assert compatibility != QoSCompatibility.ERROR, reason


def test_a_best_effort_publisher_would_be_invisible():
    compatibility, _ = qos_check_compatible(BEST_EFFORT, RELIABLE)
    assert compatibility == QoSCompatibility.ERROR


def test_only_the_newest_image_waits():
    assert (IMAGE_INPUT.depth, CAMERA_INFO_INPUT.depth, OUTPUT.depth) == (1, 5, 5)
    assert IMAGE_INPUT.history == HistoryPolicy.KEEP_LAST
