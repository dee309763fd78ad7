"""Anchors of an image from the robot's other sensors: their messages, brought to the image's camera and time, and used.

A source that contradicts the images is set aside and named. What is made of the node's own depth is refused.
"""

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import LaserScan, PointCloud2, Range
from std_msgs.msg import Header

from mono_depth_ros import readings
from mono_depth_ros.camera import CameraModel
from mono_depth_ros.fusion import NO_ANCHORS, Anchors, Prior, Report, fuse_and_report, in_metres
from mono_depth_ros.landmarks import Landmarks
from mono_depth_ros.poses import Pose, PoseUnknownError, Track, inverse, pose_of, seconds
from mono_depth_ros.prediction import Prediction
from mono_depth_ros.ros.frames import Tree
from mono_depth_ros.ros.outputs import TYPES
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.ros.problems import Problems
from mono_depth_ros.ros.qos import OVERRIDABLE, SENSOR_INPUT
from mono_depth_ros.source_monitor import SourceMonitor, Verdict

RANGE, SCAN, POINTS, LANDMARKS = SOURCES = ("anchors/range", "anchors/scan", "anchors/points", "landmarks")
ODOMETRY = "odom"
# Messages of each sensor that are kept, for the one that is nearest in time to the image.
_KEPT = 10
# Seconds after which publishers are looked at again.
_CHECK_PERIOD = 1.0


class _Kind(NamedTuple):
    """A sensor's message type, what reads it, and the prefix of its parameters."""

    message: type
    read: Callable[[Any, float], readings.Reading]
    prefix: str


KINDS = {
    RANGE: _Kind(Range, readings.of_range, "anchor_range"),
    SCAN: _Kind(LaserScan, readings.of_scan, "anchor_scan"),
    POINTS: _Kind(PointCloud2, readings.of_cloud, "anchor_points"),
}


@dataclass
class _Ledger:
    """What a source did lately, for the diagnostics."""

    received: int = 0
    age: float = math.nan
    dropped: Counter[str] = field(default_factory=Counter)
    used: Report | None = None
    verdict: Verdict | None = None
    points: bytes = b""  # of the last message, in the sensor's own frame, and where that is
    same_since: float = math.nan  # stamp of the first message with those
    unchanged: float = 0.0  # seconds


class AnchorInputs:
    """Subscribes to what the settings name, and corrects predictions of a network with this prior by it.

    Messages come in the executor's thread; `correct` is called in the worker's, `facts` in that of the diagnostics.
    """

    def __init__(self, node: Node, settings: Settings, prior: Prior, tree: Tree, problems: Problems) -> None:
        self._node, self._settings, self._tree, self._problems = node, settings, tree, problems
        self._prior = prior
        self._track, self._base = Track(), settings.base_frame
        self._monitor = SourceMonitor(prior)
        self._landmarks = Landmarks() if settings.landmarks else None
        self._inboxes = {topic: _Inbox() for topic, kind in KINDS.items() if getattr(settings, kind.prefix)}
        names = [*self._inboxes, *([LANDMARKS] if self._landmarks else [])]
        self._ledgers = {name: _Ledger() for name in names}
        self._refused: dict[str, str] = {}
        self._checked = -math.inf
        self._before: dict[str, tuple[float, int]] = {}
        self._subscriptions = [
            self._subscribe(KINDS[topic].message, topic, partial(self._receive, topic)) for topic in self._inboxes
        ]
        if settings.odometry or settings.landmarks:
            self._subscriptions.append(self._subscribe(Odometry, ODOMETRY, self._receive_odometry))

    def correct(
        self,
        prediction: Prediction,
        header: Header,
        camera: CameraModel,
        rgb: NDArray[np.uint8],
        seen: NDArray[np.bool_] | None,
    ) -> Prediction:
        """The prediction as the other sensors correct it; the same one where they say nothing.

        To a network without metres every sensor gives them, trusted or not: a scale of its own it could not defend.

        Args:
            prediction: of the image.
            header: of the image.
            camera: of the image, a pinhole.
            rgb: (H, W, 3), rectified.
            seen: (H, W), where the lens sees anything; None is everywhere.
        """
        if not self._ledgers:
            return in_metres(prediction, NO_ANCHORS)
        self._check_publishers()
        found = self._of_sensors(header, camera)
        prediction = in_metres(prediction, Anchors.together([NO_ANCHORS, *found.values()]))
        if self._landmarks:
            found[LANDMARKS] = self._of_landmarks(header, camera, rgb, prediction.depth, seen)
        anchors = Anchors.together([found.get(name, NO_ANCHORS) for name in SOURCES])
        unchanged = {SOURCES.index(name): ledger.unchanged for name, ledger in self._ledgers.items()}
        verdicts = self._monitor.judge(prediction, anchors, camera, seconds(header.stamp), unchanged)
        trusted = [number for number, verdict in verdicts.items() if verdict.trusted]
        reports: dict[int, Report] = {}
        if trusted:
            prediction, reports = fuse_and_report(prediction, anchors[np.isin(anchors.source, trusted)], self._prior)
        self._write_down(verdicts, reports, anchors)
        return prediction

    def facts(self) -> dict[str, dict[str, str]]:
        """What each source does, for the diagnostics, by its name."""
        return {name: self._facts_of(name, ledger) for name, ledger in self._ledgers.items()}

    def close(self) -> None:
        """Listen no more."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _subscribe(self, kind: type, topic: str, callback: Callable[[Any], None]) -> Any:
        return self._node.create_subscription(kind, topic, callback, SENSOR_INPUT, qos_overriding_options=OVERRIDABLE)

    def _receive(self, topic: str, message: Any) -> None:
        if back := self._inboxes[topic].receive(message):
            self._warn(topic, topic, "time", f"its stamps go back by {back:.3f} s; what came before is forgotten")

    def _receive_odometry(self, message: Odometry) -> None:
        try:
            back = self._track.receive(message)
        except ValueError as error:
            self._warn(LANDMARKS, ODOMETRY, "pose", f"{error}; not used")
            return
        if back:
            self._warn(
                LANDMARKS, ODOMETRY, "time", f"its stamps go back by {back:.3f} s; what came before is forgotten"
            )
        self._base = message.child_frame_id or self._settings.base_frame

    def _warn(self, area: str, topic: str, kind: str, text: str) -> None:
        self._problems.warn(area, kind, f"{self._node.resolve_topic_name(topic)}: {text}")

    def _of_sensors(self, header: Header, camera: CameraModel) -> dict[str, Anchors]:
        found = {}
        for topic, inbox in self._inboxes.items():
            ledger = self._ledgers[topic]
            ledger.received, ledger.dropped = inbox.received, Counter()
            message = inbox.nearest(seconds(header.stamp))
            if message is None or topic in self._refused:
                continue
            try:
                anchors = self._of_message(topic, message, ledger, header, camera)
            except (PoseUnknownError, readings.ReadingError) as error:
                self._problems.error(topic, "unusable", f"{self._node.resolve_topic_name(topic)}: {error}")
                continue
            if anchors is not None:
                found[topic] = anchors
        return found

    def _of_message(
        self, topic: str, message: Any, ledger: _Ledger, header: Header, camera: CameraModel
    ) -> Anchors | None:
        """What a message says, moved to the image's time and projected into its camera; None where it is too old."""
        kind, then, most = KINDS[topic], seconds(message.header.stamp), self._settings.anchor_max_age
        ledger.age = age = seconds(header.stamp) - then
        if abs(age) > most:
            ledger.dropped["too old" if age > 0 else "from the future"] += 1
            how = f"{abs(age):.3f} s {'older' if age > 0 else 'newer'}"
            text = f"the message nearest to the image is {how}, expected within {most} s (anchor_max_age)"
            self._warn(topic, topic, "age", text)
            return None
        reading = kind.read(message, getattr(self._settings, f"{kind.prefix}_sigma"))
        ledger.dropped += reading.dropped
        if not len(reading.points) and (useless := reading.dropped.keys() - {readings.OUT_OF_RANGE}):
            self._warn(topic, topic, "nothing", f"nothing in it is a distance: {', '.join(sorted(useless))}")
        place, moved = self._place_of_sensor(kind, message.header, header), self._settings.anchor_speed * abs(age)
        # A map's points stay the same while the camera moves among them: they are no frozen readings.
        _note_repetition(ledger, reading.points.tobytes() + place.tobytes(), then)
        motion = self._motion(header, then)
        if motion is not None:
            place, moved = motion @ place, 0.0
        anchors = readings.projected(reading, place, moved, camera)
        if outside := len(reading.points) - len(anchors):
            ledger.dropped["outside the image"] += outside
        return anchors

    def _of_landmarks(
        self,
        header: Header,
        camera: CameraModel,
        rgb: NDArray[np.uint8],
        depth: NDArray[np.float32],
        seen: NDArray[np.bool_] | None,
    ) -> Anchors:
        assert self._landmarks
        ledger, stamp = self._ledgers[LANDMARKS], seconds(header.stamp)
        robot = self._track.at(stamp) if ODOMETRY not in self._refused else None
        ledger.dropped = Counter({"images without odometry": int(robot is None)})
        if robot is None:
            return NO_ANCHORS
        try:
            pose = robot @ self._place_of_camera(header)
        except PoseUnknownError as error:
            self._problems.error(LANDMARKS, "unusable", f"{LANDMARKS}: {error}")
            return NO_ANCHORS
        gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
        anchors = self._landmarks.update(gray, depth, camera, pose, stamp, seen)
        ledger.received, ledger.age = ledger.received + 1, 0.0
        ledger.dropped = Counter(self._landmarks.dropped)
        return anchors

    def _place_of_camera(self, image: Header) -> Pose:
        """The camera in the robot's base frame."""
        if any(self._settings.camera_pose):
            return pose_of(self._settings.camera_pose)
        return self._ask_tree("camera_pose", image.frame_id, self._base, image)

    def _place_of_sensor(self, kind: _Kind, message: Header, image: Header) -> Pose:
        """The sensor in the camera's frame."""
        name = f"{kind.prefix}_pose"
        if any(given := getattr(self._settings, name)):
            return inverse(self._place_of_camera(image)) @ pose_of(given)
        return self._ask_tree(name, message.frame_id, image.frame_id, image)

    def _ask_tree(self, parameter: str, frame: str, within: str, image: Header) -> Pose:
        try:
            return self._tree.pose(frame, within, Time.from_msg(image.stamp))
        except PoseUnknownError as error:
            raise PoseUnknownError(f"{error}; mend that, or set {parameter}") from error

    def _motion(self, image: Header, then: float) -> Pose | None:
        """From the camera as it was at `then` to the camera of the image; None where odometry does not know."""
        before, now = self._track.at(then), self._track.at(seconds(image.stamp))
        if before is None or now is None:
            return None
        camera = self._place_of_camera(image)
        return inverse(now @ camera) @ before @ camera

    def _write_down(self, verdicts: Mapping[int, Verdict], used: Mapping[int, Report], anchors: Anchors) -> None:
        """Say who is set aside, and who is not any more."""
        for number, name in enumerate(SOURCES):
            if name not in self._ledgers or not (count := np.count_nonzero(anchors.source == number)):
                continue
            ledger, verdict = self._ledgers[name], verdicts.get(number)
            ledger.used, ledger.verdict = used.get(number), verdict
            if not ledger.used:
                ledger.dropped["not trusted"] += int(count)
            if verdict and verdict.alarm:
                self._problems.stand(name, "set aside", f"{name} is not used: {verdict.alarm}")
            elif verdict and verdict.trusted:
                self._problems.clear(name, "set aside")

    def _check_publishers(self) -> None:
        """Refuse a topic whose publisher is this node, or listens to this node's depth: that would be an echo."""
        now = time.monotonic()
        if now - self._checked < _CHECK_PERIOD:
            return
        self._checked = now
        for topic in (*self._inboxes, *([ODOMETRY] if self._landmarks else [])):
            echo, area = self._echo_of(topic), LANDMARKS if topic == ODOMETRY else topic
            if echo:
                self._refused[topic] = echo
                self._problems.stand(area, "echo", f"{topic} is refused: {echo}", is_error=True)
            elif self._refused.pop(topic, None):
                self._problems.clear(area, "echo")

    def _echo_of(self, topic: str) -> str:
        """How the topic comes from this node's own depth; empty where it does not."""
        own = self._node.get_name(), self._node.get_namespace()
        outputs = {self._node.resolve_topic_name(name) for name in TYPES}
        for end in self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(topic)):
            name, namespace = end.node_name, end.node_namespace
            if (name, namespace) == own:
                return f"{namespace.rstrip('/')}/{name} publishes it, this node"
            try:
                heard = self._node.get_subscriber_names_and_types_by_node(name, namespace)
            except RuntimeError:  # rclpy's NodeNameNonExistentError: it has just left
                continue
            if from_us := sorted(outputs & {heard_topic for heard_topic, _ in heard}):
                return f"{namespace.rstrip('/')}/{name} makes it, which listens to {from_us[0]} of this node"
        return ""

    def _facts_of(self, name: str, ledger: _Ledger) -> dict[str, str]:
        now = time.monotonic()
        then, count = self._before.get(name, (now, ledger.received))
        self._before[name] = now, ledger.received
        facts = {"rate (Hz)": f"{(ledger.received - count) / (now - then):.1f}" if now > then else "0.0"}
        facts |= {"age (s)": f"{ledger.age:.3f}", "used": "0"}
        dropped = Counter(ledger.dropped)
        if ledger.used:
            facts["used"] = str(ledger.used.used)
            dropped.update(ledger.used.dropped)
        if ledger.verdict:
            facts["normalised innovation"] = f"{ledger.verdict.innovation:.2f}"
            facts["scale"] = f"{ledger.verdict.scale:.3f}"
        return facts | {f"dropped: {reason}": str(number) for reason, number in sorted(dropped.items()) if number}


def _note_repetition(ledger: _Ledger, points: bytes, stamp: float) -> None:
    if points != ledger.points or not stamp >= ledger.same_since:
        ledger.points, ledger.same_since = points, stamp
    ledger.unchanged = stamp - ledger.same_since


class _Inbox:
    """The last messages of one sensor; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: deque[Any] = deque(maxlen=_KEPT)
        self.received = 0

    def receive(self, message: Any) -> float:
        """Take in a message; time that goes back starts anew: by how many seconds it did, else 0."""
        with self._lock:
            self.received += 1
            last = seconds(self._messages[-1].header.stamp) if self._messages else -math.inf
            back = max(0.0, last - seconds(message.header.stamp))
            if back:
                self._messages.clear()
            self._messages.append(message)
            return back

    def nearest(self, stamp: float) -> Any | None:
        """The message whose stamp is nearest to a time; None before the first."""
        with self._lock:
            return min(self._messages, key=lambda m: abs(seconds(m.header.stamp) - stamp), default=None)
