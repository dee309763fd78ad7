"""rclpy as this distribution has it: what is private there and used here, one test for each; and what Humble lacks."""

import ast
from types import SimpleNamespace

import pytest
import rclpy
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter

from mono_depth_ros.ros import distributions
from test.conftest import REPOSITORY
from test.ros.harness import DOMAIN

ROS = REPOSITORY / "mono_depth_ros" / "ros"


@pytest.fixture
def node():
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    made = LifecycleNode("private", context=context, parameter_overrides=[Parameter("given", value=1)])
    yield made
    made.destroy_node()
    context.try_shutdown()


def has(owner, member: str, purpose: str):
    """The member; a failure that says what to look for in the new rclpy."""
    gone = f"{type(owner).__name__}.{member} is gone from this rclpy"
    assert hasattr(owner, member), f"{gone}; mono_depth_ros/ros/distributions.py needs it to {purpose}"
    return getattr(owner, member)


def test_the_names_of_the_parameters_that_were_given(node):
    has(node, "_parameter_overrides", "name parameters that nobody declared")
    assert distributions.given_parameters(node) == {"given"}
    assert not node.has_parameter("given")


def test_the_lifecycle_state(node):
    has(node, "_state_machine", "say the lifecycle state in the diagnostics")
    assert distributions.lifecycle_state(node) == "unconfigured"
    node.trigger_configure()
    assert distributions.lifecycle_state(node) == "inactive"


def test_an_impossible_transition_is_answered(node):
    service = has(node, "_service_change_state", "answer a request that the state does not allow")
    has(service, "callback", "answer a request that the state does not allow")
    distributions.refuse_impossible_transitions(node)
    request = ChangeState.Request()
    request.transition.id = 3  # activate, which `unconfigured` does not have
    assert service.callback(request, ChangeState.Response()).success is False
    assert distributions.lifecycle_state(node) == "unconfigured"


def judge(changes):
    bad = [c.name for c in changes if c.value == 13]
    return SetParametersResult(successful=not bad, reason=f"refused: {bad}" if bad else "")


def test_changes_are_taken_only_when_everybody_has_agreed(node):
    taken: list[str] = []
    for name in ("a", "b"):
        node.declare_parameter(name, 0)
    distributions.on_parameters(node, judge, lambda changes: taken.extend(c.name for c in changes))
    assert not node.set_parameters_atomically([Parameter("a", value=1), Parameter("b", value=13)]).successful
    assert taken == []
    node.add_on_set_parameters_callback(lambda _: SetParametersResult(successful=False, reason="another's no"))
    assert not node.set_parameters_atomically([Parameter("a", value=1)]).successful
    assert taken == [] and node.get_parameter("a").value == 0


def test_changes_are_taken_on_a_distribution_without_a_second_callback():
    """Humble's Node, of which this is the part in question."""
    callbacks: list = []
    taken: list[str] = []
    humble = SimpleNamespace(add_on_set_parameters_callback=callbacks.append)
    distributions.on_parameters(humble, judge, lambda changes: taken.extend(c.name for c in changes))
    assert not callbacks[0]([Parameter("a", value=13)]).successful and taken == []
    assert callbacks[0]([Parameter("a", value=1)]).successful and taken == ["a"]


def test_a_subscription_tells_what_the_middleware_knows_or_nothing(monkeypatch):
    told = []
    for tells, message in ((True, ("image", {"source_timestamp": 1})), (False, ("image",))):
        monkeypatch.setattr(distributions, "_TELLS_INFO", tells)
        distributions.with_message_info(lambda *both: told.append(both))(*message)
    assert told == [("image", {"source_timestamp": 1}), ("image", {})]


def test_private_members_of_others_are_used_in_that_file_only():
    found = []
    for path in sorted(ROS.glob("*.py")):
        for part in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            private = isinstance(part, ast.Attribute) and part.attr.startswith("_") and not part.attr.startswith("__")
            private = private and part.attr not in ("_replace", "_asdict")  # a NamedTuple's, which are public
            if private and not (isinstance(part.value, ast.Name) and part.value.id in ("self", "os")):
                found.append((path.name, part.attr))
    assert {file for file, _ in found} == {"distributions.py"}, found
