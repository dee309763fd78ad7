"""Every DDS participant of the tests stays on this machine and uses the shipped Fast DDS profile."""

import os

import pytest
from sensor_msgs.msg import Image

from mono_depth_ros.ros import environment
from test.ros.harness import DepthNode, Peer

os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
environment.configure(os.environ)  # Fast DDS reads it once in the life of a process


@pytest.fixture(scope="session", autouse=True)
def ros_log_dir(tmp_path_factory):
    """Logs of the tests' nodes stay out of the home folder."""
    os.environ["ROS_LOG_DIR"] = str(tmp_path_factory.mktemp("ros_log"))


@pytest.fixture
def peer():
    """A ROS node in this process that feeds and watches depth_node."""
    with Peer() as started:
        yield started


@pytest.fixture(scope="module")
def running():
    """One depth_node for all tests of a file: what one of them breaks, the next one finds."""
    with DepthNode() as node:
        yield node.expect_active()


@pytest.fixture
def camera(running, peer):
    """A peer of `running` that watches depth; afterwards, the node must still be alive."""
    peer.depths = peer.watch(Image, "depth")
    peer.connect()
    yield peer
    assert running.process.poll() is None, running.log()
