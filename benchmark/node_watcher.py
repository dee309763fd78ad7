"""Who subscribes to the node while it is measured: counts images and clouds undecoded, and dates depth."""

import time
from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.time import Time
from sensor_msgs.msg import Image, PointCloud2

_OUTPUTS = {"depth": Image, "points": PointCloud2}
_NAMES = {"image": "/image", "depth": "/depth", "points": "/depth/points"}
_QOS = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
_QUIET = 1.0  # seconds without a message after which the stream is over


class Watcher:
    """Counts and dates what comes, and keeps the node's reports.

    Attributes:
        counts: messages by topic: image, depth, points.
        ages: (stamp, time from it to the publication of the depth), ns.
        reports: (time of arrival by time.monotonic, values by area), of each second.
        problem: the node's own words when it cannot work.
    """

    def __init__(self, node: Node) -> None:
        self.counts = dict.fromkeys(_NAMES, 0)
        self.ages: list[tuple[int, int]] = []
        self.reports: list[tuple[float, dict[str, dict[str, str]]]] = []
        self.problem = ""
        self._node, self._last = node, 0.0
        node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnosed, 10)
        for topic, kind in _OUTPUTS.items():
            self._subscribe(topic, kind)

    def values(self, area: str) -> Mapping[str, str]:
        """The node's last values of an area; empty before the first."""
        return self.reports[-1][1].get(area, {}) if self.reports else {}

    def join(self) -> bool:
        """Subscribe to the camera, which waits for that, once the node knows of the other subscriptions."""
        known = set(self.values("outputs").get("subscribed", "").split(", "))
        if known >= {_NAMES[topic].lstrip("/") for topic in _OUTPUTS}:
            self._subscribe("image", Image)
            return True
        return False

    def is_settled(self) -> bool:
        """Whether no message has come for a while, and the node has reported since."""
        now = time.monotonic()
        return now > self._last + _QUIET and bool(self.reports) and self.reports[-1][0] > self._last + _QUIET / 2

    def _subscribe(self, topic: str, kind: type) -> None:
        def received(data: bytes, info: dict) -> None:
            self._last = time.monotonic()
            self.counts[topic] += 1
            if topic == "depth":
                stamp = Time.from_msg(deserialize_message(data, Image).header.stamp).nanoseconds
                self.ages.append((stamp, info["source_timestamp"] - stamp))

        self._node.create_subscription(kind, _NAMES[topic], received, _QOS, raw=True)  # type: ignore[arg-type]

    def _diagnosed(self, report: DiagnosticArray) -> None:
        areas = {}
        for status in report.status:
            area = status.name.split(": ")[-1]
            areas[area] = {pair.key: pair.value for pair in status.values}
            if area in ("node", "backend") and status.level == DiagnosticStatus.ERROR:
                self.problem = status.message
        self.reports.append((time.monotonic(), areas))
