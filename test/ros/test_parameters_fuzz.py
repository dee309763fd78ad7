"""Any set of parameter values: accepted as it is, or refused with a reason and without a trace."""

import math

import pytest
import rclpy
from hypothesis import given
from hypothesis import strategies as st
from rclpy.parameter import Parameter

from mono_depth_ros.ros.node import DepthNode
from mono_depth_ros.ros.parameters import Settings
from test.conftest import fuzz

NAMES = [*vars(Settings()), "use_sim_time"]

anything = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=8),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=3),
    st.lists(st.floats(), min_size=1, max_size=3),
    st.lists(st.text(max_size=3), min_size=1, max_size=3),
)
likely = st.one_of(
    st.floats(-10, 1100),
    st.integers(-1, 70),
    st.sampled_from(["auto", "16UC1", "32FC1", "cpu", "cuda", "torch", "fp16", "mavlink", "raw", ""]),
    st.lists(st.sampled_from([0, 32, 64, 8192]), min_size=2, max_size=2),
    st.booleans(),
)
changes = st.dictionaries(st.sampled_from(NAMES), likely | anything, min_size=1, max_size=4)


@pytest.fixture(scope="module")
def node():
    context = rclpy.Context()
    rclpy.init(context=context)
    made = DepthNode(context=context)
    yield made
    made.destroy_node()
    context.try_shutdown()


@fuzz(300)
@given(changes)
def test_any_values_hold_as_a_whole_or_are_refused_as_a_whole(node, values):
    before = settings_of(node)
    result = node.set_parameters_atomically([Parameter(name, value=value) for name, value in values.items()])
    after = settings_of(node)
    if not result.successful:
        assert result.reason
        assert after == before == vars(node._settings)
        return
    for name in values.keys() & after.keys():
        assert after[name] == (tuple(values[name]) if isinstance(values[name], list) else values[name])
    assert after == vars(node._settings)
    assert after["min_depth"] < after["max_depth"] and after["scan_min_height"] < after["scan_max_height"]
    assert after["age_warning"] < after["age_error"]
    assert all(math.isfinite(value) for value in after.values() if isinstance(value, float))


def settings_of(node) -> dict:
    """What the parameter services say, as Settings has it."""
    values = {name: node.get_parameter(name).value for name in vars(Settings())}
    return {
        name: tuple(value) if not isinstance(value, (bool, int, float, str)) else value
        for name, value in values.items()
    }
