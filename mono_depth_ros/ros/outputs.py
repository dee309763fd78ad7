"""What the node publishes: one publisher a topic, and which of them somebody listens to."""

from collections.abc import Mapping
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan, PointCloud2

from mono_depth_ros.ros.px4 import ObstacleDistance
from mono_depth_ros.ros.qos import OUTPUT, OVERRIDABLE

DEPTH, COLOR, CONFIDENCE = "depth", "depth/color", "depth/confidence"
CAMERA_INFO, POINTS, CLEARING_POINTS, SCAN = "depth/camera_info", "depth/points", "depth/clearing_points", "scan"
# The depth where image_transport, RViz and rtabmap find camera_info beside it, and as image_transport compresses it.
IMAGE_RECT, COMPRESSED_DEPTH = "depth/image_rect", "depth/image_rect/compressedDepth"
COMPRESSED_COLOR = "depth/color/compressed"
OBSTACLE_DISTANCE = "obstacle_distance"

TYPES = {
    CAMERA_INFO: CameraInfo,  # first: who pairs it with an image has it by then
    DEPTH: Image,
    IMAGE_RECT: Image,
    COMPRESSED_DEPTH: CompressedImage,
    COMPRESSED_COLOR: CompressedImage,
    POINTS: PointCloud2,
    CLEARING_POINTS: PointCloud2,
    COLOR: Image,
    CONFIDENCE: Image,
    SCAN: LaserScan,
}
if ObstacleDistance:
    TYPES[OBSTACLE_DISTANCE] = ObstacleDistance


class Outputs:
    """Publishers of everything that is computed from an image, by their relative topic names."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publishers = {
            topic: node.create_publisher(message, topic, OUTPUT, qos_overriding_options=OVERRIDABLE)
            for topic, message in TYPES.items()
        }

    def wanted(self) -> frozenset[str]:
        """Topics that somebody subscribes to."""
        return frozenset(topic for topic, publisher in self._publishers.items() if publisher.get_subscription_count())

    def shared(self) -> dict[str, int]:
        """Full names of our topics that others publish, too, each with the number of its publishers."""
        counts = {p.topic_name: self._node.count_publishers(p.topic_name) for p in self._publishers.values()}
        return {topic: count for topic, count in counts.items() if count > 1}

    def publish(self, messages: Mapping[str, Any]) -> None:
        """Publish messages by topic."""
        for topic, message in messages.items():
            self._publishers[topic].publish(message)

    def destroy(self) -> None:
        """Take the topics out of the graph."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
