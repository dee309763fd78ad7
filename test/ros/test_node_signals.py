"""Ctrl-C and SIGTERM end depth_node with exit code 0 at any moment, also when they come twice."""

import os
import random
import signal
import time

import pytest
from sensor_msgs.msg import Image

from test.ros.harness import ERROR, DepthNode, accepted, make_image, make_info, wait_until

# Says when the process has come as far as its own first line: before it, Python and the shell are in charge.
SAYS_WHEN_IT_BLOCKS = """
import signal
block = signal.pthread_sigmask
signal.pthread_sigmask = lambda *args: (block(*args), print("signals are blocked", flush=True))
"""


@pytest.mark.parametrize("seed", range(int(os.environ.get("SIGNAL_TRIALS", 12))))  # `python -m test.fuzz`: more
def test_it_ends_cleanly_at_any_moment_of_its_start(seed):
    choose = random.Random(seed)
    with DepthNode(fault=SAYS_WHEN_IT_BLOCKS) as node:
        node.expect_log("signals are blocked")
        time.sleep(choose.choice([0, choose.uniform(0, 0.6), choose.uniform(0, 3)]))
        for _ in range(choose.choice([1, 2, 3])):
            node.process.send_signal(choose.choice([signal.SIGINT, signal.SIGTERM]))
            time.sleep(choose.choice([0, 0, 0.01, 0.1]))
            if node.process.poll() is not None:
                break
        assert node.process.wait(15) == 0, node.log()
        assert "Traceback" not in node.log()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_while_frames_are_processed(peer, number):
    with DepthNode() as node:
        node.expect_active()
        for _ in range(20):
            peer.send(make_image(peer.stamp()), make_info())
            time.sleep(0.01)
        node.process.send_signal(number)
        assert node.end(number) == 0, node.log()
        assert "Traceback" not in node.log()


@pytest.mark.parametrize("stage", ["__init__", "predict"])
def test_a_backend_that_hangs_cannot_keep_it_alive_and_its_end_is_no_success(peer, stage):
    hang = "import time\nfrom mono_depth_ros.ros.estimator import NodeEstimator\n"
    hang += f"NodeEstimator.{stage} = lambda *_: time.sleep(1e6)"
    with DepthNode(fault=hang, camera_info_timeout=0.0, assume_lens=63.0) as node:
        if stage == "predict":
            node.expect_active()
            peer.watch(Image, "depth")
            peer.connect()
            peer.send(make_image(peer.stamp()))
            peer.expect_status("backend", ERROR, "one frame has been in work for", "the backend hangs")
        else:
            wait_until(lambda: peer.node.count_publishers("/diagnostics"), "the node")
            time.sleep(0.5)
        assert node.end() == 1, node.log()
        assert "depth_node: ended by force" in node.log()


def test_an_error_in_a_callback_does_not_end_it(peer):
    fault = "from mono_depth_ros.ros.cameras import Cameras\nCameras.receive = lambda *_: 1 / 0"
    with DepthNode(fault=fault, camera_info_timeout=0.0, assume_lens=63.0) as node:
        node.expect_active()
        peer.depths = peer.watch(Image, "depth")
        peer.connect()
        accepted(peer, make_image(peer.stamp()), make_info())
        node.expect_log("ZeroDivisionError")
        accepted(peer, make_image(peer.stamp()), make_info())
        assert node.end() == 0
