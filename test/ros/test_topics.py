"""Topic names: where camera_info lies, which transport an image has, and whether it is rectified."""

import sys

import pytest
import rclpy

from mono_depth_ros.io.topics import looks_rectified
from mono_depth_ros.ros.topics import camera_info_topic, image_topic
from test.ros.harness import DOMAIN


def names(*remaps, compressed=False, namespace="/robot"):
    """(image topic, is compressed, camera_info topic) of a node with these remappings."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    arguments = ["--ros-args", *(part for remap in remaps for part in ("-r", remap))]
    node = rclpy.create_node("names", context=context, namespace=namespace, cli_args=arguments)
    try:
        image, is_compressed = image_topic(node, compressed)
        return image, is_compressed, camera_info_topic(node, image)
    finally:
        node.destroy_node()
        context.try_shutdown()


@pytest.mark.parametrize(
    ("remaps", "compressed", "expected"),
    [
        ((), False, ("/robot/image", False, "/robot/camera_info")),
        ((), True, ("/robot/image/compressed", True, "/robot/camera_info")),
        (("image:=/cam/image_raw",), False, ("/cam/image_raw", False, "/cam/camera_info")),
        (("image:=cam/image_raw",), False, ("/robot/cam/image_raw", False, "/robot/cam/camera_info")),
        (("image:=/image_raw",), False, ("/image_raw", False, "/camera_info")),
        (("image:=/cam/image_raw",), True, ("/cam/image_raw/compressed", True, "/cam/camera_info")),
        (("image:=/cam/image_raw/compressed",), False, ("/cam/image_raw/compressed", True, "/cam/camera_info")),
        (("image:=/cam/image_raw/compressed",), True, ("/cam/image_raw/compressed", True, "/cam/camera_info")),
        (
            ("image:=/cam/left/image_raw/compressed",),
            False,
            ("/cam/left/image_raw/compressed", True, "/cam/left/camera_info"),
        ),
        (("image:=image_raw",), True, ("/robot/image_raw/compressed", True, "/robot/camera_info")),
        (("camera_info:=/cam/info",), True, ("/robot/image/compressed", True, "/cam/info")),
        (("image/compressed:=/cam/jpeg",), True, ("/cam/jpeg", True, "/cam/camera_info")),
        (("image:=/cam/image_raw", "camera_info:=/other/info"), False, ("/cam/image_raw", False, "/other/info")),
    ],
)
def test_camera_info_lies_beside_the_image_unless_it_is_remapped(remaps, compressed, expected):
    assert names(*remaps, compressed=compressed) == expected


@pytest.mark.parametrize("rule", ["camera_info:=/camera_info", "depth_node:camera_info:=camera_info"])
def test_a_camera_info_that_is_remapped_to_its_own_name_is_not_looked_for_elsewhere(monkeypatch, rule):
    """As the doctor advises where it is published without a namespace, and the image with one."""
    monkeypatch.setattr(sys, "argv", ["depth_node", "--ros-args", "-r", "image:=/cam/image_raw", "-r", rule])
    assert names("image:=/cam/image_raw", namespace="")[2] == "/camera_info"
    monkeypatch.setattr(sys, "argv", ["depth_node", "--ros-args", "-r", "depth/camera_info:=/other"])
    assert names("image:=/cam/image_raw", namespace="")[2] == "/cam/camera_info"


@pytest.mark.parametrize("transport", ["theora", "compressedDepth", "ffmpeg", "zstd"])
def test_a_topic_of_another_transport_is_refused_by_name(transport):
    with pytest.raises(ValueError, match=f"of the transport {transport}, expected /cam/image_raw or"):
        names(f"image:=/cam/image_raw/{transport}")


@pytest.mark.parametrize(
    ("topic", "is_rectified"),
    [
        ("/camera/image_raw", False),
        ("/camera/image", False),
        ("/image", False),
        ("/camera/image_rect", True),
        ("/camera/image_rect_color/compressed", True),
        ("/camera/image_rect_raw", True),  # RealSense's infrared images
        ("/camera/image_rectified", True),
        ("/camera/imageRect", True),
        ("/camera/undistorted", True),
        ("/camera/image_undistorted", True),
        ("/rect/image", True),
        ("/camera/rectified/image", True),
        ("/camera/rectified/image_raw", False),
        ("/camera/rect/image/compressed", True),
        ("/camera/rectify/image", True),
        ("/camera/dewarped/image", True),
        ("/camera/image_rect2", True),
        ("/camera/imageRect640x480", True),
        ("/camera/image_not_rectified", False),
        ("/camera/non_rect/image", False),
        ("/camera/image_unrectified", False),
        ("/zed/rgb_raw/image_raw_color", False),
        ("/direct/image", False),  # not every rect is a word
        ("/corrected_rectangle/image", False),
    ],
)
def test_a_name_that_says_rectified_is_believed_and_the_last_word_decides(topic, is_rectified):
    found, why = looks_rectified(topic)
    assert found == is_rectified and why
