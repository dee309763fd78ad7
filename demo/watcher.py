"""The watcher: subscribes to the camera and to all that the node publishes, and keeps what there is to measure."""

import queue
import time
from contextlib import suppress

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from demo.measures import Arrival
from demo.recording import DEPTH, DEPTH_INFO, IMAGE, INFO, POINTS, Assembler, FrameSet, Message
from mono_depth_ros.ros.statistics import DROPPED, FAILED, LOST, PUBLISHED, RECEIVED, REJECTED

COLOR = "/depth/color"

_CAMERA = {IMAGE: Image, INFO: CameraInfo}
_OUTPUTS = {DEPTH: Image, DEPTH_INFO: CameraInfo, POINTS: PointCloud2, COLOR: Image}
_COUNTS = (RECEIVED, PUBLISHED, DROPPED, REJECTED, FAILED, LOST)
_QOS = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
_QUIET = 0.5  # seconds without a message after which the stream is over
_MOST_WAITING = 8  # sets


class Watcher:
    """Takes in every message, in the executor's thread.

    Attributes:
        sets: the last images with all that belongs to them; a slow reader misses some, and no message is lost for it.
        images: how many came.
        outputs: all messages of the node, by topic.
        frame_ids: of the images.
        node_counts: the node's own last counts of images, by outcome.
        problem: the node's own words when it cannot work.
    """

    def __init__(self, node: Node) -> None:
        self.sets: queue.Queue[FrameSet] = queue.Queue(_MOST_WAITING)
        self.images = 0
        self.outputs: dict[str, list[Arrival]] = {topic: [] for topic in _OUTPUTS}
        self.frame_ids: set[str] = set()
        self.node_counts: dict[str, int] = {}
        self._node, self._assembler = node, Assembler()
        self.problem = ""
        self._last_message = self._last_report = time.monotonic()
        node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnosed, 10)
        self._subscriptions = [self._subscribe(topic, kind) for topic, kind in _OUTPUTS.items()]

    def is_joined(self) -> bool:
        """Whether we are connected to each of the node's publishers."""
        return all(subscription.get_publisher_count() for subscription in self._subscriptions)

    def watch_camera(self) -> None:
        """Subscribe to the camera, which waits for that."""
        for topic, kind in _CAMERA.items():
            self._subscribe(topic, kind)

    def is_settled(self) -> bool:
        """Whether no message has come for a while, and the node has reported since the last."""
        return time.monotonic() > self._last_message + _QUIET and self._last_report > self._last_message

    def _subscribe(self, topic: str, kind: type) -> Subscription:
        def received(data: bytes, info: dict[str, int]) -> None:
            self._received(topic, Message(f"sensor_msgs/msg/{kind.__name__}", data, info["source_timestamp"]))

        return self._node.create_subscription(kind, topic, received, _QOS, raw=True)  # type: ignore[arg-type]

    def _received(self, topic: str, message: Message) -> None:
        self._last_message = time.monotonic()
        frame_id = message.content.header.frame_id
        if topic in _OUTPUTS:
            self.outputs[topic].append(Arrival(message.stamp, frame_id, message.published))
        elif topic == IMAGE:
            self.images += 1
            self.frame_ids.add(frame_id)
        if topic != COLOR and (complete := self._assembler.add(topic, message)):
            with suppress(queue.Full):
                self.sets.put_nowait(complete)

    def _diagnosed(self, report: DiagnosticArray) -> None:
        self._last_report = time.monotonic()
        for status in report.status:
            if status.name.endswith(": node") and status.level == DiagnosticStatus.ERROR:
                self.problem = status.message
            if status.name.endswith(": image"):
                values = {pair.key: pair.value for pair in status.values}
                self.node_counts = {name: int(values[name]) for name in _COUNTS}
