"""Start-up, transitions and parameters of depth_node, as a manager and an operator see them."""

import shutil

import psutil
import pytest
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image

from mono_depth_ros import checkpoint
from test.ros.harness import ERROR, WARN, DepthNode, accepted, make_image, make_info, parameter_file, wait_until


def test_a_manager_takes_it_through_all_states_and_back(peer):
    with DepthNode(autostart=False) as node:
        assert peer.state() == "unconfigured"
        assert peer.node.count_publishers("depth") == 0
        for round_trip in range(2):
            assert peer.change_state("configure")
            assert peer.state() == "inactive"
            wait_until(lambda: peer.node.count_publishers("depth") == 1, "the publisher of depth")
            assert peer.change_state("activate")
            peer.depths = peer.watch(Image, "depth") if round_trip == 0 else peer.depths
            peer.connect()
            accepted(peer, make_image(peer.stamp()), make_info())
            assert peer.change_state("deactivate")
            peer.send(make_image(peer.stamp()), make_info())
            process = psutil.Process(node.process.pid)
            active = process.memory_info().rss
            assert peer.change_state("cleanup")
            assert process.memory_info().rss < active - 10_000_000  # the network's weights are more
            wait_until(lambda: peer.node.count_publishers("depth") == 0, "the publisher of depth to go")
        assert len(peer.depths) == 2
        assert peer.change_state("unconfigured_shutdown")
        assert node.end() == 0


def test_a_transition_that_the_state_does_not_have_is_refused_and_does_no_harm(peer):
    with DepthNode(autostart=False):
        assert not peer.change_state("activate")
        assert not peer.change_state("cleanup")
        assert peer.change_state("configure")
        assert not peer.change_state("configure")
        assert peer.state() == "inactive"


HANGING = """
import time
from mono_depth_ros.ros.estimator import NodeEstimator
{method} = lambda *_: time.sleep(1e6)
"""


def test_a_backend_that_hangs_holds_no_transition_up_and_the_diagnostics_go_on(peer):
    with DepthNode(fault=HANGING.format(method="NodeEstimator.predict")) as node:
        node.expect_active()
        peer.watch(Image, "depth")
        peer.connect()
        peer.send(make_image(peer.stamp()), make_info())
        wait_until(lambda: peer.counts().get("received") == 1, node.log)
        assert peer.change_state("deactivate") and peer.state() == "inactive"
        peer.expect_status("backend", ERROR, "in network", "did not end; it is left to itself")
        assert not peer.change_state("activate")
        peer.expect_status("node", ERROR, "cannot activate", "has not ended the last frame", "clean up and configure")
        assert peer.change_state("cleanup") and peer.change_state("configure") and peer.change_state("activate")
        wait_until(lambda: peer.status("node").message == "active", lambda: peer.status("node"))
        assert "Traceback" not in node.log()  # nor is any report lost while the subscriptions close


def test_diagnostics_go_on_while_a_network_loads_and_a_forced_end_is_no_success(peer):
    with DepthNode(fault=HANGING.format(method="NodeEstimator.__init__")) as node:
        wait_until(lambda: peer.status("node"), node.log)
        assert peer.status("node").message == "configuring"
        assert node.end() == 1
        assert "depth_node: ended by force: it did not end in" in node.log()


def missing(path):
    path.unlink()


def truncated(path):
    path.write_bytes(path.read_bytes()[:-1000])


def tampered(path):
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


def pickled(path):
    path.write_bytes(b"\x80\x04\x95" + b"." * 100)


@pytest.mark.parametrize(
    ("spoil", "found"),
    [(missing, "no such checkpoint"), (truncated, "truncated"), (tampered, "changed"), (pickled, "never loaded")],
)
def test_a_checkpoint_that_is_not_whole_is_a_failure_that_can_be_mended(peer, tmp_path, spoil, found):
    shipped = checkpoint.shipped()
    copy = tmp_path / shipped.name
    shutil.copy(shipped, copy)
    spoil(copy)
    with DepthNode(checkpoint=str(copy)) as node:
        peer.expect_status("node", ERROR, "cannot configure", str(copy), found)
        assert f"cannot configure: CheckpointError: {copy}" in node.log()
        assert peer.state() == "unconfigured"
        for suffix in (".safetensors", ".onnx", ".int8.onnx"):
            if (file := shipped.with_suffix(suffix)).exists():
                shutil.copy(file, copy.with_suffix(suffix))
        assert peer.change_state("configure")
        assert peer.change_state("activate")
        wait_until(lambda: peer.status("node").level == b"\x00", lambda: peer.status("node"))


def test_a_misspelt_parameter_is_a_failure_that_names_the_right_one(peer, tmp_path):
    file = parameter_file(tmp_path, max_deph=3.0)
    with DepthNode("--params-file", file) as node:
        node.expect_log("cannot configure: ValueError: parameter max_deph does not exist, max_depth does")
        peer.expect_status("node", ERROR, "max_deph")
        assert peer.state() == "unconfigured"


def test_a_parameter_of_another_node_is_a_warning(peer, tmp_path):
    file = parameter_file(tmp_path, wheel_radius=0.3, max_depth=3.0)
    with DepthNode("--params-file", file) as node:
        node.expect_active()
        peer.expect_status("node", WARN, "parameters that do not exist", "wheel_radius")


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("max_depth", 2000.0, "2000.0"),
        ("points_stride", "two", "points_stride"),
        ("backend", "tensorflow", "tensorflow"),
    ],
)
def test_an_impossible_value_ends_the_process_with_one_line(name, value, found):
    with DepthNode(**{name: value}) as node:
        assert node.process.wait(30) == 1
        assert name in node.log() and found in node.log()
        assert "Traceback" not in node.log()


def test_a_launch_file_may_override_the_quality_of_service(peer):
    good, misspelt = ("qos_overrides./dept" + name + ".publisher.reliability:=best_effort" for name in ("h", ""))
    with DepthNode("-p", good, "-p", misspelt) as node:
        node.expect_active()
        peer.expect_status("node", WARN, "not used: qos_overrides./dept.publisher.reliability")
        (depth,) = peer.node.get_publishers_info_by_topic("/depth")
        assert depth.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


def test_a_parameter_file_for_a_node_of_another_name_is_a_warning(peer, tmp_path):
    path = tmp_path / "parameters.yaml"
    path.write_text("deph_node:\n  ros__parameters:\n    max_depth: 3.0\n")
    with DepthNode("--params-file", str(path)) as node:
        node.expect_log("--params-file: found nothing for /depth_node")
        peer.expect_status("node", WARN, "found nothing for /depth_node")


def test_a_parameter_file_that_does_not_exist_ends_the_process_with_one_line():
    with DepthNode("--params-file", "/nowhere/depth.yaml") as node:
        assert node.process.wait(30) == 1
        assert "/nowhere/depth.yaml" in node.log()
        assert "Traceback" not in node.log()


def test_parameters_change_while_it_runs_or_are_refused_with_the_reason(camera):
    assert camera.set_parameter("points_stride", 2).successful
    assert camera.set_parameters_together(min_depth=1, max_depth=2.0).successful
    for name, value, reason in (
        ("points_stride", 0, "out of range"),
        ("min_depth", 3.0, "min_depth: found 3.0, expected less than max_depth (2.0)"),
        ("depth_format", "mono8", "expected one of 32FC1, 16UC1"),
        ("checkpoint", "other.safetensors", "clean up first"),
        ("autostart", False, "read-only"),
        ("max_depth", "far", "max_depth: found 'far', expected a number"),
        ("max_depth", None, "max_depth: found None"),
        ("no_such_parameter", 1, "undeclared"),
    ):
        result = camera.set_parameter(name, value)
        assert not result.successful
        assert reason in result.reason, (name, result.reason)
    accepted(camera, make_image(camera.stamp()), make_info())
