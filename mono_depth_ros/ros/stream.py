"""The stream while the node is active: subscriptions, the newest image for the worker, and what became of each."""

from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from mono_depth_ros.io.topics import looks_rectified
from mono_depth_ros.ros import statistics as stats
from mono_depth_ros.ros.ages import cause_of_age
from mono_depth_ros.ros.diagnostics import Input
from mono_depth_ros.ros.distributions import SubscriptionEventCallbacks, matched_publishers, with_message_info
from mono_depth_ros.ros.images import AREA, ImageError
from mono_depth_ros.ros.intake import Arrival, Intake
from mono_depth_ros.ros.journal import Journal
from mono_depth_ros.ros.outputs import Outputs
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.ros.pipeline import Dropped, Pipeline
from mono_depth_ros.ros.qos import CAMERA_INFO_INPUT, IMAGE_INPUT, KEPT_CAMERA_INFO, OVERRIDABLE
from mono_depth_ros.ros.topics import TAKEN_FOR, camera_info_topic, image_topic
from mono_depth_ros.ros.worker import NewestFrameWorker

_LONGEST_CLOSE = 3.0  # seconds that the frame in hand has to end


class Stream:
    """Opens everything on creation; `close` finishes the frame in hand and counts the one that waits as dropped."""

    def __init__(
        self,
        node: LifecycleNode,
        settings: Callable[[], Settings],
        pipeline: Pipeline,
        outputs: Outputs,
        journal: Journal,
    ) -> None:
        self._node, self._settings, self._pipeline, self._outputs = node, settings, pipeline, outputs
        self._statistics, self._problems = journal
        self._laps = stats.Laps(0.0)
        self._is_closed = False
        topic, is_compressed = image_topic(node, settings().compressed)
        self._topic, self._info_topic = topic, camera_info_topic(node, topic)
        self._worker = NewestFrameWorker(self.process)
        self._subscriptions: dict[str, Subscription] = {}
        self._kept: Subscription | None = None
        self._timer: Timer | None = None
        try:
            # camera_info first: of two messages that are ready, the executor takes the earlier subscription's.
            self._subscribe(CameraInfo, self._info_topic, pipeline.cameras.receive, CAMERA_INFO_INPUT)
            intake = Intake(topic, self._worker, lambda: self._matched(topic), lambda: settings().max_rate, journal)
            self._subscribe(
                CompressedImage if is_compressed else Image,
                topic,
                with_message_info(intake.receive),
                IMAGE_INPUT,
                event_callbacks=SubscriptionEventCallbacks(message_lost=intake.lost),
            )
            self._timer = node.create_timer(
                0.5, self._take_kept_camera_info, clock=Clock(clock_type=ClockType.STEADY_TIME)
            )
        except Exception:
            self.close()
            raise
        self.input = Input(
            topic,
            matched=lambda: self._matched(topic),
            present=lambda: node.count_publishers(topic),
            busy_seconds=self._worker.busy_seconds,
            stage=lambda: self._laps.stage,
        )

    def taken_for(self) -> str:
        """What the image is taken for, and why."""
        is_rectified, why = self._rectified(self._settings())
        return f"{'rectified' if is_rectified else 'raw'} ({why})"

    def camera_info(self) -> dict[str, str]:
        """Facts of the camera_info topic, for the diagnostics."""
        facts = {"topic": self._info_topic, "publishers": str(self._matched(self._info_topic))}
        return facts | self._pipeline.cameras.description() | {TAKEN_FOR: self.taken_for()}

    def close(self) -> bool:
        """Stop taking images, then stop processing; False where a frame did not end in time, and is left to itself."""
        if self._timer:
            self._node.destroy_timer(self._timer)
        for subscription in (*self._subscriptions.values(), self._kept):
            if subscription:
                self._node.destroy_subscription(subscription)
        if self._worker.stop(_LONGEST_CLOSE) is not None:
            self._statistics.count(stats.DROPPED, "the node was deactivated")
        self._is_closed = True
        return not self.is_busy()

    def is_busy(self) -> bool:
        """Whether the worker has not ended."""
        return self._worker.is_alive()

    def process(self, arrival: Arrival) -> None:
        """Publish what is wanted of one image, and count what became of it. No frame's error leaks into the next."""
        laps = self._laps = stats.Laps(arrival.at)
        if arrival.transit is not None:
            laps.seconds[stats.RECEIVE] = arrival.transit
        try:
            self._publish(arrival.message, self._settings(), laps)
        except Dropped as reason:
            self._statistics.count(stats.DROPPED, str(reason))
        except ImageError as error:
            self._statistics.count(stats.REJECTED, "cannot be decoded")
            self._problems.error(AREA, "undecodable", f"{self._topic}: frame rejected: {error}")
        except Exception as error:  # whatever a backend throws must cost one frame, not the node
            self._statistics.count(stats.FAILED, type(error).__name__)
            text = f"{self._topic}: frame failed, no depth for it: {type(error).__name__}: {error}"
            self._problems.error("backend", "failed", text)

    def _publish(self, msg: Image | CompressedImage, settings: Settings, laps: stats.Laps) -> None:
        wanted = self._outputs.wanted()
        if not wanted:
            raise Dropped("nobody subscribes")
        self._check_age(msg, settings)
        outcome = self._pipeline.run(msg, self._rectified(settings)[0], settings, wanted, laps)
        if outcome.flaw:
            self._problems.error(AREA, "picture", f"{self._topic}: the picture is {outcome.flaw}; its depth is unknown")
        age = self._check_age(msg, settings)
        if self._is_closed:
            raise Dropped("the node was deactivated")
        laps.begin(stats.PUBLISH)
        self._outputs.publish(outcome.messages)
        laps.begin("")
        self._statistics.count(stats.PUBLISHED)
        self._statistics.sample_stages(laps)
        self._statistics.sample(stats.VALID, outcome.valid_share)
        if age is not None:
            self._statistics.sample(stats.AGE, age)

    def _check_age(self, msg: Image | CompressedImage, settings: Settings) -> float | None:
        """Seconds since the stamp, or None while the clock does not run (sim time before the first /clock)."""
        now = self._node.get_clock().now().nanoseconds
        if now == 0:
            text = "use_sim_time is set but no time came on /clock: the age of images is unknown"
            self._problems.warn("latency", "no clock", text)
            return None
        stamp = msg.header.stamp
        age = (now - stamp.sec * 1_000_000_000 - stamp.nanosec) / 1e9
        if settings.max_age and age > settings.max_age:
            text = f"frame dropped {age:.3f} s after its stamp, expected within {settings.max_age} s (max_age)"
            if cause := cause_of_age(age, now / 1e9):
                self._problems.error("latency", "too old", f"{self._topic}: {text}; {cause}")
            else:
                self._problems.warn("latency", "too old", f"{self._topic}: {text}")
            raise Dropped("older than max_age")
        return age

    def _rectified(self, settings: Settings) -> tuple[bool, str]:
        """Whether the image is rectified already, and who says so."""
        if settings.image_is != "auto":
            return settings.image_is == "rectified", "image_is"
        return looks_rectified(self._topic)

    def _take_kept_camera_info(self) -> None:
        """Ask for a camera_info that was sent once, as soon as somebody is there who keeps it."""
        ends = self._node.get_publishers_info_by_topic(self._info_topic) if self._kept is None else ()
        offers = ((end.qos_profile.durability, end.qos_profile.reliability) for end in ends)
        if (DurabilityPolicy.TRANSIENT_LOCAL, ReliabilityPolicy.RELIABLE) in offers:
            self._kept = self._node.create_subscription(
                CameraInfo, self._info_topic, self._pipeline.cameras.receive, KEPT_CAMERA_INFO
            )

    def _subscribe(
        self, kind: type, topic: str, callback: Callable[..., None], profile: QoSProfile, **options: Any
    ) -> None:
        self._subscriptions[topic] = self._node.create_subscription(
            kind, topic, callback, profile, qos_overriding_options=OVERRIDABLE, **options
        )

    def _matched(self, topic: str) -> int:
        """Number of publishers that our subscription to the topic is connected to."""
        return matched_publishers(self._node, self._subscriptions[topic])
