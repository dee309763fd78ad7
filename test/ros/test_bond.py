"""The bond with Nav2's lifecycle manager: what bondcpp's state machine needs of us. Its messages are not on PyPI."""

import pytest

from mono_depth_ros.ros.bond import Bond
from test.ros.harness import DepthNode, wait_until

messages = pytest.importorskip("bond.msg", reason="bond (ros-<distribution>-bond) is not installed")


def test_a_managed_node_says_that_it_lives_while_it_is_active(peer):
    with DepthNode(autostart=False):
        heard = peer.watch(messages.Status, "bond")
        assert peer.change_state("configure") and not heard
        assert peer.change_state("activate")
        wait_until(lambda: len(heard) > 3, "heartbeats")
        assert {(status.id, status.active) for status in heard} == {("depth_node", True)}
        assert len({status.instance_id for status in heard}) == 1
        assert heard[0].heartbeat_period < heard[0].heartbeat_timeout / 4
        assert peer.change_state("deactivate")
        wait_until(lambda: not heard[-1].active, "the end of the bond")
        first = heard[0].instance_id
        heard.clear()
        assert peer.change_state("activate")
        wait_until(lambda: heard and heard[-1].active, "another bond")
        assert heard[-1].instance_id != first


def test_a_node_that_nobody_manages_has_no_bond(peer):
    assert Bond.is_known()
    with DepthNode() as node:
        node.expect_active()
        assert peer.node.count_publishers("bond") == 0
