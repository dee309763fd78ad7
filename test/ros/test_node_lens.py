"""Where metres come from: camera_info whenever it was sent, a calibration file, a lens that is chosen; else nowhere."""

import time

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from test.ros.harness import (
    ERROR,
    TIMEOUT,
    WARN,
    DepthNode,
    Peer,
    accepted,
    depth_of,
    make_image,
    make_info,
    stamp_of,
    wait_until,
)
from test.ros.test_calibration import FILE


def send_until(peer, condition, info=None):
    """Send an image now and then, until something is so."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, peer.counts()
        peer.send(make_image(peer.stamp()), info)
        time.sleep(0.1)


def test_without_a_camera_nothing_goes_out_and_with_one_that_comes_late_everything(peer):
    with DepthNode() as node:
        node.expect_active()
        peer.depths, clouds = peer.watch(Image, "depth"), peer.watch(PointCloud2, "depth/points")
        peer.connect()
        send_until(peer, lambda: peer.counts().get("dropped: its camera is not known"))
        peer.expect_status("camera_info", ERROR, "/camera_info: no camera_info has come", "/image", "remap camera_info")
        assert peer.counts()["dropped: camera_info is awaited"] > 0
        send_until(peer, lambda: (status := peer.status("outputs")) and status.level == ERROR)
        peer.expect_status("outputs", ERROR, "images come, but nothing has gone out", "its camera is not known")
        assert "/camera_info: no camera_info has come" in node.log()
        assert not clouds and not peer.depths
        late = accepted(peer, make_image(peer.stamp()), make_info())
        wait_until(lambda: clouds and stamp_of(clouds[-1]) == late, "a cloud")


def test_a_lens_is_assumed_by_choice_only_and_said(peer):
    with DepthNode(assume_lens=90.0, camera_info_timeout=0.2) as node:
        node.expect_active()
        peer.depths, infos = peer.watch(Image, "depth"), peer.watch(CameraInfo, "depth/camera_info")
        peer.connect()
        send_until(peer, lambda: infos)
        assert infos[-1].k[0] == pytest.approx(160.0)
        peer.expect_status("camera_info", WARN, "a view of 90 degrees is assumed (assume_lens)")
        assert peer.value("camera_info", "from") == "assume_lens"
        accepted(peer, make_image(peer.stamp()), make_info(focal=260.0))
        wait_until(lambda: infos[-1].k[0] == 260.0, "the camera's own")


def test_a_camera_info_that_was_sent_once_holds_through_every_transition(peer):
    with DepthNode() as node:
        node.expect_active()
        peer.depths = peer.watch(Image, "depth")
        peer.connect()
        image = make_image(peer.stamp())
        accepted(peer, image, make_info(focal=160.0))
        first = depth_of(peer.depths[-1])
        for way in (("deactivate", "activate"), ("deactivate", "cleanup", "configure", "activate")):
            assert all(peer.change_state(transition) for transition in way)
            peer.connect()
            image.header.stamp = peer.stamp()
            accepted(peer, image)
            np.testing.assert_array_equal(depth_of(peer.depths[-1]), first)


def test_a_camera_info_that_was_sent_before_the_node_came_is_received(peer):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    once = peer.node.create_publisher(CameraInfo, "/cam/camera_info", latched)
    once.publish(make_info(focal=200.0))
    with Peer("/cam/image_raw", name="/depth_node") as camera, DepthNode("-r", "image:=/cam/image_raw") as node:
        node.expect_active()
        infos = camera.watch(CameraInfo, "depth/camera_info")
        wait_until(lambda: camera.value("outputs", "subscribed") == "depth/camera_info", node.log)
        send_until(camera, lambda: infos)
        assert infos[-1].k[0] == 200.0


def test_a_calibration_file_wins_over_a_wrong_camera_info(peer, tmp_path):
    path = tmp_path / "camera.yaml"
    path.write_text(FILE)
    with DepthNode(camera_info_url=path.as_uri()) as node:
        node.expect_active()
        peer.depths, infos = peer.watch(Image, "depth"), peer.watch(CameraInfo, "depth/camera_info")
        peer.connect()
        accepted(peer, make_image(peer.stamp()), make_info(focal=99.0))
        wait_until(lambda: infos, "the camera_info")
        assert infos[-1].k[0] == 262.5  # P of the file, for an image of half the size
        wait_until(lambda: peer.value("camera_info", "from") == "the calibration file", node.log)


def test_a_calibration_file_that_is_not_there_is_a_failure_that_names_it(peer):
    with DepthNode(camera_info_url="file:///nowhere/camera.yaml") as node:
        node.expect_log("cannot configure: ValueError: camera_info_url: /nowhere/camera.yaml cannot be read")


@pytest.mark.parametrize(("topic", "expected"), [("/cam/undistorted", "rectified"), ("/cam/image_raw", "raw")])
def test_what_the_image_is_taken_for_is_said(peer, topic, expected):
    with DepthNode("-r", f"image:={topic}") as node:
        node.expect_log(f"the images are taken for {expected} (")
        wait_until(lambda: (peer.value("camera_info", "the image is") or "").startswith(expected), node.log)
        assert peer.value("camera_info", "topic") == "/cam/camera_info"
