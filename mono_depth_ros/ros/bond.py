"""Nav2's lifecycle manager hears by this that the node lives: bondcpp's messages, where a distribution has them."""

import uuid

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.timer import Timer

try:
    from bond.msg import Status
except ImportError:
    Status = None

_PERIOD, _TIMEOUT = 0.25, 4.0  # seconds


class Bond:
    """Says "alive" on the topic bond, from the executor's thread, between `form` and `end`.

    The manager calls the bond by the node's name, and takes it for formed as soon as it hears us (bondcpp's state
    machine). What it says itself is of no use here: Nav2's own nodes go on, too, when their manager dies.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(Status, "bond", 5)  # stays: the last word needs time to leave
        self._status = Status(id=node.get_name(), heartbeat_timeout=_TIMEOUT, heartbeat_period=_PERIOD)
        self._timer: Timer | None = None

    @staticmethod
    def is_known() -> bool:
        """Whether there are bond's messages here."""
        return Status is not None

    def form(self) -> None:
        """Begin a new bond."""
        self._status.instance_id, self._status.active = str(uuid.uuid4()), True
        self._timer = self._node.create_timer(_PERIOD, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def end(self) -> None:
        """Say that this bond, if there is one, has ended."""
        if self._timer:
            self._node.destroy_timer(self._timer)
            self._timer, self._status.active = None, False
            self._publish()

    def _publish(self) -> None:
        self._status.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(self._status)
