"""Looks at a live graph for some seconds: everything that the doctor judges by."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from mono_depth_ros.io.raw import ENCODINGS
from mono_depth_ros.ros import doctor, environment
from mono_depth_ros.ros.images import camera_from_info
from mono_depth_ros.ros.observation import CAMERA_INFO, COMPRESSED, IMAGE, Endpoint, Frame, Info, Observation, Topic
from mono_depth_ros.ros.outputs import DEPTH

_DISCOVERY = (1.0, 6.0)  # seconds: always, and at most, until the node and its topics are known
_NAME = "mono_depth_doctor"


def examine(seconds: float = 4.0, name: str = "depth_node") -> list[doctor.Finding]:
    """Findings about the node of this name and everything it talks to, after so many seconds of looking."""
    profile = any(variable in os.environ for variable in environment.PROFILE_VARIABLES)
    environment.configure(os.environ)
    rclpy.init()
    try:
        node = Node(_NAME)
        try:
            seen = _Observer(node, name, profile).observe(seconds)
        finally:
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
    return doctor.diagnose(seen, tuple(ENCODINGS))


class _Observer:
    def __init__(self, node: Node, name: str, profile: bool) -> None:
        self._node, self._name, self._profile = node, name.split("/")[-1], profile
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._images: list[Frame] = []
        self._depths: list[Frame] = []
        self._infos: list[Info] = []
        self._statuses: dict[str, tuple[bytes, str]] = {}
        self._number, self._lost = 0, 0

    def observe(self, seconds: float) -> Observation:
        """Find the node, subscribe to what it takes and gives, and look."""
        name, namespace = self._discover()
        sim_time = self._node.count_publishers("/clock") > 0
        if sim_time:
            self._node.set_parameters([Parameter("use_sim_time", value=True)])
        taken, given = self._topics_of(name, namespace)
        image = next((topic for topic, kind in taken if kind in (IMAGE, COMPRESSED)), None)
        info = next((topic for topic, kind in taken if kind == CAMERA_INFO), None)
        depth = next((topic for topic, kind in given if kind == IMAGE), None) if image else None
        self._subscribe(DiagnosticArray, "/diagnostics", self._take_diagnostics)
        if image:
            self._subscribe(CompressedImage if (image, COMPRESSED) in taken else Image, image, self._take_image)
        if info:
            self._subscribe(CameraInfo, info, self._take_info)
        if depth:
            self._subscribe(Image, depth, lambda msg: self._depths.append(self._frame(msg)))
        self._spin(seconds)

        full_name = f"{namespace.rstrip('/')}/{name}" if name else ""
        published = self._node.get_topic_names_and_types()
        own = {topic for topic, _ in given}
        return Observation(
            seconds=seconds,
            domain=self._node.context.get_domain_id(),
            depth_node=full_name,
            nodes=tuple(n for n in self._node_names() if not n.endswith(_NAME)),
            image=self._topic(image) if image else None,
            camera_info=self._topic(info) if info else None,
            outputs=tuple(self._topic(topic) for topic in sorted(own)),
            image_topics=self._published(published, (IMAGE, COMPRESSED), own),
            info_topics=self._published(published, (CAMERA_INFO,), own),
            images=tuple(self._images),
            infos=tuple(self._infos),
            depths=tuple(self._depths),
            lost=self._lost,
            statuses=tuple(text for level, text in self._statuses.values() if level > DiagnosticStatus.OK),
            profile=self._profile,
            sim_time=sim_time,
        )

    def _discover(self) -> tuple[str, str]:
        """Name and namespace of the node; both empty if it is not there."""
        soonest, latest = (time.monotonic() + wait for wait in _DISCOVERY)
        while True:
            self._spin(0.2)
            name, namespace = self._find()
            active = any(kind == CAMERA_INFO for _, kind in self._topics_of(name, namespace)[0])
            now = time.monotonic()
            if now > latest or (active and now > soonest):
                return name, namespace

    def _find(self) -> tuple[str, str]:
        found = (pair for pair in self._node.get_node_names_and_namespaces() if pair[0] == self._name)
        return next(found, ("", ""))

    def _node_names(self) -> list[str]:
        return [f"{namespace.rstrip('/')}/{name}" for name, namespace in self._node.get_node_names_and_namespaces()]

    def _topics_of(self, name: str, namespace: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """(topic, type) of what the node subscribes to, and of the sensor_msgs that it publishes, depth first."""
        if not name:
            return [], []
        taken = self._node.get_subscriber_names_and_types_by_node(name, namespace)
        given = self._node.get_publisher_names_and_types_by_node(name, namespace)
        mine = [(topic, kind) for topic, kinds in given for kind in kinds if kind.startswith("sensor_msgs/")]
        mine.sort(key=lambda pair: pair[0].split("/")[-1] != DEPTH)
        return [(topic, kind) for topic, kinds in taken for kind in kinds], mine

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

    def _subscribe(self, kind: type, topic: str, callback: Callable[..., Any]) -> None:
        self._node.create_subscription(kind, topic, callback, qos_profile_sensor_data)

    def _take_image(self, msg: Image | CompressedImage, info: Any) -> None:
        number = info.get("publication_sequence_number") or 0
        if 0 < self._number < number:
            self._lost += number - self._number - 1
        self._number = number
        self._images.append(self._frame(msg))

    def _take_info(self, msg: CameraInfo) -> None:
        try:
            camera_from_info(msg)
            problem = ""
        except ValueError as error:
            problem = str(error)
        stamp = _seconds(msg.header.stamp)
        self._infos.append(Info(stamp, msg.header.frame_id, msg.width, msg.height, float(msg.k[0]), problem))

    def _take_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            if status.name.split(":")[0].split("/")[-1] == self._name:
                self._statuses[status.name] = status.level, status.message

    def _frame(self, msg: Image | CompressedImage) -> Frame:
        stamp = _seconds(msg.header.stamp)
        age = self._node.get_clock().now().nanoseconds / 1e9 - stamp
        if isinstance(msg, CompressedImage):
            return Frame(stamp, age, msg.header.frame_id, size=len(msg.data))
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


def _seconds(stamp: Any) -> float:
    return stamp.sec + stamp.nanosec / 1e9
