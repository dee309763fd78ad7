"""What a new ROS 2 distribution may break: rclpy's private members, and where Humble to Lyrical differ. Only here.

`test/ros/test_distributions.py` holds each of them against the rclpy at hand and says which one has changed.
"""

from collections.abc import Callable, Mapping
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import SetParametersResult
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.subscription import Subscription

try:
    from rclpy.endpoint_info import TopicEndpointInfo
except ImportError:  # before Lyrical
    from rclpy.topic_endpoint_info import TopicEndpointInfo
try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

__all__ = ["SubscriptionEventCallbacks", "TopicEndpointInfo", "given_parameters", "lifecycle_state",
           "matched_publishers", "on_parameters", "refuse_impossible_transitions", "with_message_info"]  # fmt: skip

# Humble's subscriptions say neither what the middleware knows of a message nor who is connected.
_TELLS_INFO = hasattr(Subscription, "CallbackType")


def given_parameters(node: Node) -> set[str]:
    """Names of all parameters that files, the command line or the constructor gave a node, declared or not."""
    return set(node._parameter_overrides)


def lifecycle_state(node: LifecycleNode) -> str:
    """Label of the state that the node is in, also from within a transition."""
    return str(node._state_machine.current_state[1])


def refuse_impossible_transitions(node: LifecycleNode) -> None:
    """Answer a request for a transition that the state does not have: Humble and Jazzy raise, and answer nothing."""
    change = node._service_change_state.callback

    def answer(request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
        try:
            return change(request, response)
        except RuntimeError as error:  # rclpy's RCLError
            node.get_logger().error(f"{error}")
            response.success = False
            return response

    node._service_change_state.callback = answer


def on_parameters(
    node: Node, check: Callable[[list[Parameter]], SetParametersResult], take: Callable[[list[Parameter]], None]
) -> None:
    """Have `check` judge each set of changes, and `take` take it once all have agreed.

    Humble has no callback for the second; there, what `check` agrees to is taken at once.
    """
    if hasattr(node, "add_post_set_parameters_callback"):
        node.add_on_set_parameters_callback(check)
        node.add_post_set_parameters_callback(take)
        return

    def check_and_take(changes: list[Parameter]) -> SetParametersResult:
        result = check(changes)
        if result.successful:
            take(changes)
        return result

    node.add_on_set_parameters_callback(check_and_take)


def with_message_info(receive: Callable[[Any, Mapping[str, Any]], None]) -> Callable[..., None]:
    """A subscription's callback that gets a message and what the middleware knows of it; on Humble, nothing."""

    def told(message: Any, info: Mapping[str, Any]) -> None:  # rclpy looks at the number of arguments
        receive(message, info)

    def untold(message: Any) -> None:
        receive(message, {})

    return told if _TELLS_INFO else untold


def matched_publishers(node: Node, subscription: Subscription) -> int:
    """Number of publishers that the subscription is connected to; on Humble, of all that publish its topic.

    0 where it has been closed: diagnostics ask on while the last frame ends.
    """
    try:
        return subscription.get_publisher_count() if _TELLS_INFO else node.count_publishers(subscription.topic_name)
    except rclpy_implementation.InvalidHandle:
        return 0
