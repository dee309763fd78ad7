"""Parameters: what can be set, what is refused and why, and names that do not exist."""

import pytest
import rclpy
import yaml
from rclpy.exceptions import InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from mono_depth_ros.ros.parameters import Settings, declare, unknown_names
from test.conftest import REPOSITORY


@pytest.fixture
def make_node():
    """Nodes with parameters given from outside, in a context of their own without peers."""
    context = rclpy.Context()
    rclpy.init(context=context)
    nodes = []

    def make(**values):
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        nodes.append(Node("depth_node", context=context, parameter_overrides=overrides))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    context.try_shutdown()


def test_the_defaults_make_a_valid_set(make_node):
    assert declare(make_node()) == Settings()


def test_values_given_from_outside_are_read(make_node):
    node = make_node(max_depth=4.5, points_stride=3, input_size=[240, 320], compressed=True, backend="torch")
    settings = declare(node)
    assert settings.max_depth == 4.5
    assert settings.points_stride == 3
    assert settings.input_size == (240, 320)
    assert settings.compressed is True
    assert settings.backend == "torch"


def test_every_parameter_is_described_and_every_number_has_a_range(make_node):
    node = make_node()
    declare(node)
    for name in vars(Settings()):
        descriptor = node.describe_parameter(name)
        assert len(descriptor.description) > 10, name
        if descriptor.type == Parameter.Type.DOUBLE.value:
            assert descriptor.floating_point_range, name
        if descriptor.type == Parameter.Type.INTEGER.value:
            assert descriptor.integer_range, name
    assert node.describe_parameter("autostart").read_only


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("points_stride", 0, InvalidParameterValueException),
        ("min_confidence", 1.5, InvalidParameterValueException),
        ("max_age", -1.0, InvalidParameterValueException),
        ("max_depth", float("nan"), InvalidParameterValueException),
        ("max_depth", 5000, ValueError),
        ("max_depth", "far", ValueError),
        ("points_stride", 1.5, ValueError),
        ("compressed", 1, ValueError),
        ("backend", True, ValueError),
        ("input_size", "480x640", ValueError),
        ("input_size", [480.5, 640.0], ValueError),
        ("backend", "tensorflow", ValueError),
        ("depth_format", "mono8", ValueError),
        ("input_size", [480], ValueError),
        ("input_size", [0, 640], ValueError),
        ("max_depth", 0.1, ValueError),
    ],
)
def test_a_bad_value_is_refused_by_name(make_node, name, value, error):
    with pytest.raises(error, match=name):
        declare(make_node(**{name: value}))


def test_a_whole_number_is_taken_for_a_floating_parameter(make_node):
    pose = [0, 0, 1, 0, 0, 0, 1]
    settings = declare(make_node(max_depth=5, camera_pose=pose))
    assert (settings.max_depth, settings.camera_pose) == (5.0, (0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    assert all(type(number) is float for number in (settings.max_depth, *settings.camera_pose))


def test_values_are_judged_together():
    settings = Settings(min_depth=0.5, max_depth=3.0)
    assert settings.changed({"min_depth": 4.0, "max_depth": 5.0}).min_depth == 4.0
    with pytest.raises(ValueError, match=r"min_depth: found 4.0, expected less than max_depth \(3.0\)"):
        settings.changed({"min_depth": 4.0})
    with pytest.raises(ValueError, match="scan_min_height"):
        settings.changed({"scan_min_height": 0.2, "scan_max_height": 0.2})


def test_only_what_is_loaded_at_configure_is_fixed():
    settings = Settings()
    changed = settings.changed({"device": "cuda", "input_size": [240, 320], "max_depth": 5.0, "compressed": True})
    assert settings.fixed_changes(changed) == ["device", "input_size", "compressed"]


def test_a_name_that_does_not_exist_is_found_with_the_one_that_was_meant(make_node):
    node = make_node(max_deph=5.0, max_depth=6.0, wheel_radius=0.1)
    declare(node)
    assert unknown_names(node) == {"max_deph": "max_depth", "wheel_radius": None}


def test_the_shipped_parameter_file_lists_every_parameter_with_its_default():
    content = yaml.safe_load((REPOSITORY / "config" / "depth.yaml").read_text())
    values = content["/**"]["ros__parameters"]
    assert Settings().changed(values) == Settings()
    assert list(values) == list(vars(Settings()))
