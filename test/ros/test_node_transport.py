"""What the middleware does to messages: large ones that get lost, cameras that died, topics that are latched."""

import os
import subprocess
import sys
from contextlib import contextmanager

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from mono_depth_ros.ros.environment import PROFILE_VARIABLES
from test.conftest import REPOSITORY
from test.ros.harness import DOMAIN, WARN, DepthNode, accepted, make_image, make_info, stamp_of, wait_until


@contextmanager
def killed_in_the_end(script, environ):
    """A process that runs a script, until the block is left."""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, env=environ)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_a_camera_without_the_large_message_profile_is_found_out(peer):
    """Fast DDS's defaults lose nearly every best-effort image of this size between two processes."""
    camera = f"""
import rclpy, time
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from test.ros.harness import make_image
rclpy.init(domain_id={DOMAIN})
node = rclpy.create_node("camera")
images = node.create_publisher(Image, "raw", qos_profile_sensor_data)
while True:
    images.publish(make_image(node.get_clock().now().to_msg(), 1280, 960))
    time.sleep(0.05)
"""
    environment = {name: value for name, value in os.environ.items() if name not in PROFILE_VARIABLES}
    with DepthNode("-r", "image:=raw") as node:
        node.expect_active()
        with killed_in_the_end(camera, environment):
            peer.expect_status("image", WARN, "images were lost on the way", "config/fastdds.xml")


def test_a_camera_that_was_killed_is_forgotten_within_its_lease(peer):
    """10 s in the shipped profile; Fast DDS's own are 20, in which a dead subscriber costs time for every message."""
    camera = f"""
import rclpy, time
from sensor_msgs.msg import Image
rclpy.init(domain_id={DOMAIN})
node = rclpy.create_node("camera")
images = node.create_publisher(Image, "raw", 1)
time.sleep(60)
"""
    with DepthNode("-r", "image:=raw") as node:
        node.expect_active()
        with killed_in_the_end(camera, os.environ):
            wait_until(lambda: peer.value("image", "publishers") == "1", "the camera to be found")
        wait_until(lambda: peer.value("image", "publishers") == "0", "the camera to be forgotten", timeout=14)


def test_a_small_dev_shm_is_said_and_images_still_come(peer):
    fault = (
        "import shutil\nreal = shutil.disk_usage\nshutil.disk_usage = lambda path: real(path)._replace(free=10 << 20)"
    )
    with DepthNode(fault=fault) as node:
        node.expect_active()
        peer.expect_status("node", WARN, "/dev/shm")
        peer.depths = peer.watch(Image, "depth")
        peer.connect()
        accepted(peer, make_image(peer.stamp(), 640, 480), make_info(640, 480))


def test_a_topic_is_latched_where_its_durability_is_overridden(peer):
    qos = {"qos_overrides./depth/camera_info.publisher.durability": "transient_local"}
    with DepthNode(**qos) as node:
        node.expect_active()
        peer.depths = peer.watch(Image, "depth")
        wanted = peer.watch(CameraInfo, "depth/camera_info")
        peer.connect()
        accepted(peer, make_image(peer.stamp()), make_info())
        wait_until(lambda: wanted, "camera_info")
        late: list = []
        # Reliable by name: the middleware's default is best effort, which gets what was sent before by luck.
        latched = QoSProfile(
            depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        peer.node.create_subscription(CameraInfo, "depth/camera_info", late.append, latched)
        wait_until(lambda: late, "what was sent before")
        assert stamp_of(late[0]) == stamp_of(wanted[-1])
