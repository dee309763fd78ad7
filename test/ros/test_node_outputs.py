"""What the outputs say of what they do not know, in the real node: nothing, and that is an error."""

import array

import numpy as np
import pytest
from sensor_msgs.msg import Image, LaserScan

from test.ros.harness import ERROR, WARN, DepthNode, accepted, depth_of, make_image, make_info, stamp_of, wait_until

BLIND = {
    "black": (np.zeros((240, 320, 3)), "black"),
    "white": (np.full((240, 320, 3), 255.0), "white"),
    "grey": (np.full((240, 320, 3), 128.0), "of one colour"),
    "3 % of the light": (128 + 80 * np.sin(np.mgrid[:240, :320, :3].sum(0) / 23), "black or far too dark"),
}


@pytest.mark.parametrize("name", BLIND)
def test_a_picture_that_shows_nothing_gives_no_depth_and_no_confidence(camera, name):
    confidences, scans = camera.watch(Image, "depth/confidence"), camera.watch(LaserScan, "scan")
    camera.connect()
    pixels, found = BLIND[name]
    image = make_image(camera.stamp())
    dimmed = pixels * (0.03 if "light" in name else 1)
    image.data = array.array("B", dimmed.astype(np.uint8).tobytes())
    stamp = accepted(camera, image, make_info())
    camera.expect_status("image", ERROR, f"/image: the picture is {found}")
    camera.expect_status("outputs", ERROR, "depth says nothing: 0 % of its pixels are known", "the picture is")
    assert np.isnan(depth_of(camera.depths[-1])).all()
    wait_until(lambda: confidences and scans and stamp_of(scans[-1]) == stamp, "the scan")
    assert depth_of(confidences[-1]).max() < 0.01
    assert np.isnan(scans[-1].ranges).all()


def test_an_output_of_which_nothing_is_known_is_an_error(camera):
    assert camera.set_parameter("min_confidence", 1.0).successful
    accepted(camera, make_image(camera.stamp()), make_info())
    camera.expect_status("outputs", ERROR, "depth says nothing", "less sure than min_confidence (1)")
    assert camera.set_parameter("min_confidence", 0.0).successful


def test_two_nodes_on_one_topic_are_said_by_both(peer):
    remaps = ("-r", "scan:=/mavros/obstacle/send")
    with DepthNode("-r", "__ns:=/front", *remaps) as one, DepthNode("-r", "__ns:=/rear", *remaps) as other:
        one.expect_active(), other.expect_active()
        for node in (one, other):
            node.expect_log("/mavros/obstacle/send: 2 publish it")
        wait_until(lambda: "/front/depth_node: outputs" in peer._statuses, "diagnostics")
        assert peer._statuses["/front/depth_node: outputs"].level == WARN
