"""A ROS process of the demo from start to end: middleware settings, signals, a node that spins, a clean exit.

rclpy is imported only where the node is made, so that signals are handled before that.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.node import Node

_POLL = 0.02  # seconds


class StopRequest:
    """Set by SIGINT and SIGTERM, however often they come, instead of ending the process.

    A plain flag: the lock within a threading.Event may be the interrupted thread's own when a handler wants to set it.
    """

    def __init__(self) -> None:
        self._came = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._signalled)

    def is_set(self) -> bool:
        """Whether a signal has come."""
        return self._came

    def wait(self, seconds: float) -> bool:
        """Sleep so long, or until a signal comes; whether one has come."""
        end = time.monotonic() + seconds
        while not self._came and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _POLL))
        return self._came

    def close(self) -> None:
        """Ignore signals from now on, also while Python ends, when a handler would be gone: the process is ending."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)

    def _signalled(self, *_: object) -> None:
        self._came = True


@contextmanager
def spinning_node(name: str, args: Sequence[str]) -> "Iterator[Node]":
    """A node whose callbacks run in a thread of their own until the block is left."""
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    from mono_depth_ros.ros import environment

    def spin() -> None:
        with suppress(ExternalShutdownException):
            executor.spin()

    warning = environment.configure(os.environ)
    rclpy.init(args=list(args), signal_handler_options=SignalHandlerOptions.NO)
    node, executor = rclpy.create_node(name), SingleThreadedExecutor()
    if warning:
        node.get_logger().warning(warning)
    executor.add_node(node)
    spinner = threading.Thread(target=spin)
    spinner.start()
    try:
        yield node
    finally:
        executor.shutdown(timeout_sec=2)
        spinner.join(2)
        node.destroy_node()
        rclpy.try_shutdown()


def fail(name: str, error: object) -> int:
    """Say on stderr what went wrong: exit code 1."""
    print(f"{name}: {error}", file=sys.stderr, flush=True)
    return 1
