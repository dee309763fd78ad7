"""The depth_node process: signals from the first line on, start-up, and a clean end with exit code 0."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rclpy.executors import Executor

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A launch sends SIGTERM five seconds after SIGINT, and SIGKILL after five more.
_LONGEST_END = 8.0  # seconds


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM: 0, or 1 where arguments or parameters make no node, or it does not end.

    A launch delivers Ctrl-C twice, and a signal may come at any moment. So both are blocked from here on, in all
    threads to come, and one that comes waits until it is asked for. A handler would be interrupted by the next signal,
    and one that sets a threading.Event then waits for its lock for ever.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    return _run(list(sys.argv if args is None else args))


def _run(args: list[str]) -> int:
    import rclpy
    from rclpy.exceptions import ParameterException
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions

    from mono_depth_ros.ros import environment
    from mono_depth_ros.ros.distributions import given_parameters
    from mono_depth_ros.ros.node import DepthNode

    warning = environment.configure(os.environ)
    if signal.sigpending().intersection(_SIGNALS):
        return 0
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = DepthNode()
    except (ParameterException, ValueError, RuntimeError) as error:
        print(f"depth_node: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    if warning:
        node.problems.stand("node", "transport", warning)
    if "--params-file" in args and not given_parameters(node):
        text = (
            f"--params-file: found nothing for {node.get_fully_qualified_name()}, expected its name (or /**) as a key"
        )
        node.problems.stand("node", "parameter file", text)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.create_task(node.bring_up)
    stop = threading.Event()
    spinner = threading.Thread(target=_spin, args=(executor, stop, node.get_logger().error))
    spinner.start()
    signal.sigwait(_SIGNALS)

    stop.set()
    deadline = threading.Timer(_LONGEST_END, _end_by_force, args=(f"it did not end in {_LONGEST_END:.0f} s",))
    deadline.daemon = True
    deadline.start()
    executor.shutdown(timeout_sec=2)
    spinner.join()
    if not node.close():
        _end_by_force("a frame did not end")
    node.destroy_node()
    rclpy.try_shutdown()
    deadline.cancel()
    return 0


def _end_by_force(reason: str) -> None:
    """A network that loads, or hangs, cannot be stopped; and that is no success."""
    print(f"depth_node: ended by force: {reason}", file=sys.stderr, flush=True)
    os._exit(1)


def _spin(executor: "Executor", stop: threading.Event, log: Callable[[str], Any]) -> None:
    """Spin until told to stop: an error in one callback is logged, and the others go on."""
    while not stop.is_set() and executor.context.ok():
        try:
            executor.spin()
        except Exception:
            if not stop.is_set():
                log(traceback.format_exc())
