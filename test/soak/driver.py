"""The soak's own ROS node: it subscribes, calls depth_node's services, and writes down what depth_node reports."""

import threading
import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.client import Client
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.subscription import Subscription
from rclpy.time import Time
from sensor_msgs.msg import Image

from mono_depth_ros.ros.outputs import DEPTH, TYPES
from mono_depth_ros.ros.statistics import DROPPED, FAILED, LOST, PUBLISHED, RECEIVED, REJECTED
from test.soak.record import ANCHORS, DEPTHS, REPORT, Record

COUNTS = (RECEIVED, PUBLISHED, DROPPED, REJECTED, FAILED, LOST)
NODE = "/depth_node"

_TIMEOUT = 20.0  # seconds
_POLL = 0.05


class Driver:
    """Everything that the soak does to depth_node over DDS. Calls raise TimeoutError when no answer comes.

    Attributes:
        session: to be counted up where the stream of frames is interrupted, and where it goes on; written down with
            each of depth_node's reports.
    """

    def __init__(self, node: Node, record: Record) -> None:
        self.session = 0
        self._node, self._record = node, record
        self._clients: dict[str, Client] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._depths: list[int] = []
        self._report: dict[str, Any] = {}
        self._came = threading.Event()
        node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnosed, 10)

    def subscribed(self) -> frozenset[str]:
        """Outputs that we subscribe to."""
        return frozenset(self._subscriptions)

    def subscribe(self, topic: str) -> None:
        """Subscribe to an output."""
        receive = self._take_depth if topic == DEPTH else lambda _: None
        raw = topic != DEPTH  # nobody looks at the others
        self._subscriptions[topic] = self._node.create_subscription(TYPES[topic], topic, receive, 5, raw=raw)

    def unsubscribe(self, topic: str) -> None:
        """Leave an output; in the executor's thread, which may be about to wait for that very subscription."""
        assert self._node.executor is not None  # it spins
        self._node.executor.create_task(self._node.destroy_subscription, self._subscriptions.pop(topic))

    def depth_subscribers(self) -> frozenset[bytes]:
        """Identities of all subscriptions to the depth, ours as well."""
        return frozenset(bytes(found.endpoint_gid) for found in self._node.get_subscriptions_info_by_topic(DEPTH))

    def expect_depth_subscriber(self, known: frozenset[bytes]) -> None:
        """Wait for one that is not among those known."""
        deadline = time.monotonic() + _TIMEOUT
        while self.depth_subscribers() <= known:
            if time.monotonic() > deadline:
                raise TimeoutError(f"found no new subscriber of {DEPTH} in {_TIMEOUT:.0f} s")
            time.sleep(_POLL)

    def record_depths(self) -> None:
        """Write down the stamps (ns) of the depth images that have come since the last time."""
        taken, self._depths = self._depths, []
        self._record.write(DEPTHS, stamps=taken)

    def set_parameters(self, values: dict[str, Any]) -> str:
        """Set all at once: the reason why they were refused, empty if they were accepted."""
        messages: list[ParameterMessage] = [Parameter(n, value=v).to_parameter_msg() for n, v in values.items()]
        request = SetParametersAtomically.Request(parameters=messages)
        result = self._call(SetParametersAtomically, f"{NODE}/set_parameters_atomically", request).result
        return "" if result.successful else result.reason or "refused without a reason"

    def change_state(self, transition: str) -> bool:
        """Ask for a lifecycle transition by name: whether it succeeded."""
        number = getattr(Transition, f"TRANSITION_{transition.upper()}")
        request = ChangeState.Request(transition=Transition(id=number))
        return bool(self._call(ChangeState, f"{NODE}/change_state", request).success)

    def expect_report(self, is_expected: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """The next report, of those yet to come, that is as expected."""
        deadline = time.monotonic() + _TIMEOUT
        while True:
            self._came.clear()
            if not self._came.wait(max(deadline - time.monotonic(), 0)):
                raise TimeoutError(f"found {self._report} in {_TIMEOUT:.0f} s, expected {what}")
            if is_expected(self._report):
                return self._report

    def summary(self) -> str:
        """The last report in a few words."""
        return ", ".join(f"{self._report[name]} {name}" for name in COUNTS if name in self._report)

    def _call(self, kind: type, name: str, request: Any) -> Any:
        client = self._clients.get(name) or self._clients.setdefault(name, self._node.create_client(kind, name))
        if not client.wait_for_service(_TIMEOUT):
            raise TimeoutError(f"{name}: found no such service in {_TIMEOUT:.0f} s")
        future, answered = client.call_async(request), threading.Event()
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(_TIMEOUT):
            raise TimeoutError(f"{name}: found no answer in {_TIMEOUT:.0f} s")
        return future.result()

    def _take_depth(self, depth: Image) -> None:
        self._depths.append(Time.from_msg(depth.header.stamp).nanoseconds)

    def _diagnosed(self, message: DiagnosticArray) -> None:
        areas = {status.name.removeprefix(f"{NODE}: "): {v.key: v.value for v in status.values}
                 for status in message.status}  # fmt: skip
        image = areas["image"]
        self._report = {
            "stamp": Time.from_msg(message.header.stamp).nanoseconds,
            "state": areas["node"]["state"],
            "publishers": int(image.get("publishers", 0)),
            "subscribed": areas["outputs"]["subscribed"],
            ANCHORS: sum(int(facts["used"]) for facts in areas.values() if "used" in facts),
            **{name: int(image[name]) for name in COUNTS},
        }
        self._record.write(REPORT, session=self.session, **self._report)
        self._came.set()
