"""Looks at a live graph for some seconds: everything that the doctor judges by."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.subscription import Subscription
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from mono_depth_ros import poses
from mono_depth_ros.camera import camera_from_info
from mono_depth_ros.io import compressed
from mono_depth_ros.io.errors import ImageError
from mono_depth_ros.io.raw import ENCODINGS
from mono_depth_ros.ros import doctor, environment
from mono_depth_ros.ros.distributions import TopicEndpointInfo
from mono_depth_ros.ros.doubts import Picture, doubts, fitting_size
from mono_depth_ros.ros.observation import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    SENSORS,
    Endpoint,
    Frame,
    Info,
    Observation,
    Topic,
)
from mono_depth_ros.ros.outputs import CLEARING_POINTS, DEPTH
from mono_depth_ros.ros.qos import KEPT_CAMERA_INFO
from mono_depth_ros.ros.topics import TAKEN_FOR

_QUIET, _LONGEST_DISCOVERY = 1.0, 6.0  # seconds without a new node, and at most, until nodes and topics are known
_NAME = "mono_depth_doctor"


def examine(seconds: float = 4.0, name: str = "depth_node") -> list[doctor.Finding]:
    """Findings about the nodes of this name and everything they talk to, after so many seconds of looking at each.

    name: a full name such as /front/depth_node, or the last part of it, which several nodes may have.

    Raises ValueError for a ROS_DOMAIN_ID that is none.
    """
    environment.require_domain(os.environ)
    traps = environment.traps(os.environ)
    environment.configure(os.environ)
    rclpy.init()
    try:
        node = Node(_NAME)
        try:
            names = find(node, name)
            seen = [_Observer(node, full, traps).observe(seconds) for full in names or ("",)]
        finally:
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
    findings = [(one.depth_node, finding) for one in seen for finding in doctor.diagnose(one, tuple(ENCODINGS))]
    if len(seen) == 1:
        return [finding for _, finding in findings]
    return [replace(finding, problem=f"{full}: {finding.problem}") for full, finding in findings]


def find(node: Node, name: str) -> list[str]:
    """Full names of the nodes of this name, as soon as no more appear and they take images, or after some seconds."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    last = time.monotonic() + _LONGEST_DISCOVERY
    found: list[str] = []
    settled = time.monotonic() + _QUIET
    while (now := time.monotonic()) < last:
        executor.spin_once(timeout_sec=0.2)
        seen = sorted({full for full in _full_names(node) if _is_named(full, name)})
        if seen != found:
            found, settled = seen, now + _QUIET
        if now > settled and found and all(_taken(node, full) for full in found):
            break
    executor.remove_node(node)
    return found


def _is_named(full: str, name: str) -> bool:
    return full == name if name.startswith("/") else full.endswith(f"/{name}")


def _full_names(node: Node) -> list[str]:
    return [f"{space.rstrip('/')}/{name}" for name, space in node.get_node_names_and_namespaces()]


def _taken(node: Node, full: str) -> list[tuple[str, str]]:
    """(topic, type) of the images, camera_infos and other sensors that a node subscribes to."""
    space, name = full.rsplit("/", 1)
    pairs = node.get_subscriber_names_and_types_by_node(name, space or "/")
    return [
        (topic, kind) for topic, kinds in pairs for kind in kinds if kind in (IMAGE, COMPRESSED, CAMERA_INFO, *SENSORS)
    ]


def _given(node: Node, full: str) -> list[tuple[str, str]]:
    """(topic, type) of the sensor_msgs that a node publishes, depth first."""
    space, name = full.rsplit("/", 1)
    pairs = node.get_publisher_names_and_types_by_node(name, space or "/")
    given = [(topic, kind) for topic, kinds in pairs for kind in kinds if kind.startswith("sensor_msgs/")]
    return sorted(given, key=lambda pair: pair[0].split("/")[-1] != DEPTH)


def _is_depth_node(node: Node, full: str) -> bool:
    """Whether a node gives what no other kind of node gives."""
    return any(topic.endswith(f"/{CLEARING_POINTS}") for topic, _ in _given(node, full))


class _Observer:
    def __init__(self, node: Node, name: str, traps: Sequence[tuple[str, str]]) -> None:
        self._node, self._name, self._traps = node, name, tuple(traps)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._subscriptions: list[Subscription] = []
        self._images: list[Frame] = []
        self._depths: list[Frame] = []
        self._infos: list[CameraInfo] = []
        self._statuses: dict[str, tuple[bytes, str]] = {}
        self._number, self._lost = 0, 0
        self._is_rectified = False  # by what the node takes the image for

    def observe(self, seconds: float) -> Observation:
        """Subscribe to what the node takes and gives, and look."""
        node, name = self._node, self._name
        sim_time = node.count_publishers("/clock") > 0
        if sim_time:
            node.set_parameters([Parameter("use_sim_time", value=True)])
        taken, given = (_taken(node, name), _given(node, name)) if name else ([], [])
        image = next((topic for topic, kind in taken if kind in (IMAGE, COMPRESSED)), None)
        info = next((topic for topic, kind in taken if kind == CAMERA_INFO), None)
        depth = next((topic for topic, kind in given if kind == IMAGE), None) if image else None
        self._subscribe(DiagnosticArray, "/diagnostics", self._take_diagnostics)
        if image:
            self._subscribe(CompressedImage if (image, COMPRESSED) in taken else Image, image, self._take_image)
        if info:
            self._subscribe(CameraInfo, info, self._infos.append)
            if any(end.transient_local for end in self._topic(info).publishers):
                self._subscribe(CameraInfo, info, self._infos.append, KEPT_CAMERA_INFO)
        if depth:
            self._subscribe(Image, depth, lambda msg: self._depths.append(self._frame(msg)))
        self._spin(seconds)
        now = node.get_clock().now().nanoseconds / 1e9
        self._stop()

        nodes = tuple(full for full in _full_names(node) if not full.endswith(_NAME))
        ours = {topic for full in {*nodes} if _is_depth_node(node, full) for topic, _ in _given(node, full)}
        published = node.get_topic_names_and_types()
        return Observation(
            seconds=seconds,
            domain=node.context.get_domain_id(),
            depth_node=name,
            nodes=nodes,
            image=self._topic(image) if image else None,
            camera_info=self._topic(info) if info else None,
            sensors=tuple(self._topic(topic) for topic, kind in sorted(taken) if kind in SENSORS),
            outputs=tuple(self._topic(topic) for topic in sorted({topic for topic, _ in given})),
            image_topics=self._published(published, (IMAGE, COMPRESSED), ours),
            info_topics=self._published(published, (CAMERA_INFO,), ours),
            images=tuple(self._images),
            infos=tuple(self._info(msg) for msg in self._infos),
            depths=tuple(self._depths),
            lost=self._lost,
            statuses=tuple(
                (text, level == DiagnosticStatus.ERROR)
                for level, text in self._statuses.values()
                if level > DiagnosticStatus.OK
            ),
            traps=self._traps,
            in_container=environment.in_container(),
            middleware=get_rmw_implementation_identifier(),
            sim_time=sim_time,
            now=now,
        )

    def _stop(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._executor.remove_node(self._node)

    def _topic(self, name: str) -> Topic:
        return Topic(
            name,
            tuple(map(_endpoint, self._node.get_publishers_info_by_topic(name))),
            tuple(
                _endpoint(end)
                for end in self._node.get_subscriptions_info_by_topic(name)
                if end.node_name != self._node.get_name()
            ),
        )

    def _published(self, topics: Sequence[Any], kinds: tuple[str, ...], own: set[str]) -> tuple[str, ...]:
        return tuple(t for t, k in topics if set(k) & set(kinds) and t not in own and self._node.count_publishers(t))

    def _subscribe(
        self, kind: type, topic: str, callback: Callable[..., Any], profile: QoSProfile = qos_profile_sensor_data
    ) -> None:
        self._subscriptions.append(self._node.create_subscription(kind, topic, callback, profile))

    def _take_image(self, msg: Image | CompressedImage, info: Any) -> None:
        number = info.get("publication_sequence_number") or 0
        if 0 < self._number < number:
            self._lost += number - self._number - 1
        self._number = number
        self._images.append(self._frame(msg))

    def _info(self, msg: CameraInfo) -> Info:
        """What a camera_info says, and what is wrong with it beside the last image."""
        image = self._images[-1] if self._images else None
        size = (image.width, image.height) if image and image.width else fitting_size(msg)
        picture = Picture(*size, image.frame_id if image else msg.header.frame_id, self._is_rectified)
        try:
            camera_from_info(msg)
            problem = ""
        except ValueError as error:
            problem = str(error)
        said = tuple(doubts(msg, picture))
        header = msg.header
        return Info(poses.seconds(header.stamp), header.frame_id, msg.width, msg.height, float(msg.k[0]), problem, said)

    def _take_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            if status.name.startswith(f"{self._name}: "):
                self._statuses[status.name] = status.level, status.message
                if taken_for := next((fact.value for fact in status.values if fact.key == TAKEN_FOR), ""):
                    self._is_rectified = taken_for.startswith("rectified")

    def _frame(self, msg: Image | CompressedImage) -> Frame:
        stamp = poses.seconds(msg.header.stamp)
        age = self._node.get_clock().now().nanoseconds / 1e9 - stamp
        if isinstance(msg, CompressedImage):
            try:
                header = compressed.read_header(msg.data.tobytes())
            except ImageError:  # which the node says in its diagnostics
                return Frame(stamp, age, msg.header.frame_id, size=len(msg.data))
            return Frame(stamp, age, msg.header.frame_id, header.width, header.height, size=len(msg.data))
        return Frame(stamp, age, msg.header.frame_id, msg.width, msg.height, msg.encoding, len(msg.data))

    def _spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)


def _endpoint(info: TopicEndpointInfo) -> Endpoint:
    return Endpoint(
        f"{info.node_namespace.rstrip('/')}/{info.node_name}",
        info.topic_type,
        info.qos_profile.reliability != ReliabilityPolicy.BEST_EFFORT,
        info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
    )
