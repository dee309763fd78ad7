"""The stream while the node is active: subscriptions, intake, worker and pipeline, connected."""

from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from mono_depth_ros.ros.cameras import Cameras
from mono_depth_ros.ros.diagnostics import Input
from mono_depth_ros.ros.distributions import SubscriptionEventCallbacks, matched_publishers, with_message_info
from mono_depth_ros.ros.estimator import NodeEstimator
from mono_depth_ros.ros.intake import Intake
from mono_depth_ros.ros.outputs import Outputs
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.ros.pipeline import Pipeline
from mono_depth_ros.ros.problems import Problems
from mono_depth_ros.ros.qos import CAMERA_INFO_INPUT, IMAGE_INPUT, OVERRIDABLE
from mono_depth_ros.ros.statistics import DROPPED, Statistics
from mono_depth_ros.ros.worker import NewestFrameWorker


class Stream:
    """Opens everything on creation; `close` finishes the frame in hand and counts the one that waits as dropped."""

    def __init__(
        self,
        node: LifecycleNode,
        settings: Callable[[], Settings],
        estimator: NodeEstimator,
        outputs: Outputs,
        statistics: Statistics,
        problems: Problems,
    ) -> None:
        self._node, self._statistics = node, statistics
        topic = image_topic(node, settings().compressed)
        self._info_topic = node.resolve_topic_name("camera_info")

        def now() -> int:
            return node.get_clock().now().nanoseconds

        self._cameras = Cameras(self._info_topic, topic, problems)
        pipeline = Pipeline(topic, settings, now, self._cameras, estimator, outputs, statistics, problems)
        self._worker = NewestFrameWorker(pipeline.process)
        self._subscriptions: dict[str, Subscription] = {}
        try:
            # camera_info first: of two messages that are ready, the executor takes the earlier subscription's.
            self._subscribe(CameraInfo, self._info_topic, self._cameras.receive, CAMERA_INFO_INPUT)
            kind = CompressedImage if settings().compressed else Image
            intake = Intake(topic, self._worker, lambda: self._matched(topic), statistics, problems)
            receive = with_message_info(intake.receive)
            events = SubscriptionEventCallbacks(message_lost=intake.lost)
            self._subscribe(kind, topic, receive, IMAGE_INPUT, event_callbacks=events)
        except Exception:
            self.close()
            raise
        self.input = Input(
            topic,
            matched=lambda: self._matched(topic),
            present=lambda: node.count_publishers(topic),
            busy_seconds=self._worker.busy_seconds,
        )

    def camera_info(self) -> dict[str, str]:
        """Facts of the camera_info topic, for the diagnostics."""
        publishers = str(self._matched(self._info_topic))
        return {"topic": self._info_topic, "publishers": publishers, "camera": self._cameras.description()}

    def close(self) -> None:
        """Stop taking images, then stop processing."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        if self._worker.stop() is not None:
            self._statistics.count(DROPPED, "the node was deactivated")

    def _subscribe(
        self, kind: type, topic: str, callback: Callable[..., None], profile: QoSProfile, **options: Any
    ) -> None:
        self._subscriptions[topic] = self._node.create_subscription(
            kind, topic, callback, profile, qos_overriding_options=OVERRIDABLE, **options
        )

    def _matched(self, topic: str) -> int:
        """Number of publishers that our subscription to the topic is connected to."""
        return matched_publishers(self._node, self._subscriptions[topic])


def image_topic(node: LifecycleNode, compressed: bool) -> str:
    """Full name of the image topic; image/compressed follows a remapping of image, as image_transport's does."""
    if not compressed:
        return node.resolve_topic_name("image")
    name = node.resolve_topic_name("image/compressed")
    if name != node.resolve_topic_name("image/compressed", only_expand=True):
        return name
    return node.resolve_topic_name("image") + "/compressed"
