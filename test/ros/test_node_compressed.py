"""Compressed images that are not what they seem, to the real node: right, or refused by name in /diagnostics."""

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from test.ros.harness import ERROR, WARN, DepthNode, Peer, accepted, make_compressed, make_info, stamp_of


def encoded(suffix: str, pixels: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(suffix, pixels, options)[1].tobytes()


@pytest.fixture(scope="module")
def compressed_node():
    with DepthNode(compressed=True) as node:
        yield node.expect_active()


@pytest.fixture
def compressed_camera(compressed_node):
    with Peer("image/compressed", compressed=True) as peer:
        peer.depths = peer.watch(Image, "depth")
        peer.connect()
        yield peer
    assert compressed_node.process.poll() is None, compressed_node.log()


PICTURE = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
JPEG, PNG = encoded(".jpg", PICTURE), encoded(".png", PICTURE)
PROGRESSIVE = encoded(".jpg", PICTURE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
DEPTH = np.full((240, 320), 2000, np.uint16)


@pytest.mark.parametrize(
    ("format", "data", "found"),
    [
        (
            "16UC1; jpeg compressed mono8",
            encoded(".jpg", (DEPTH // 16).astype(np.uint8)),
            "a depth image is no picture",
        ),
        ("16UC1; compressedDepth png", bytes(12) + encoded(".png", DEPTH), "a depth image is no picture"),
        ("32FC1; compressedDepth", bytes(12) + encoded(".png", DEPTH), "a depth image is no picture"),
        ("png", encoded(".png", DEPTH), "may be depth"),
        ("rgb8; png compressed bgr8", encoded(".png", DEPTH), "may be depth"),
        ("8UC1; png", encoded(".png", DEPTH), "may be depth"),
        ("jpeg", PROGRESSIVE[: PROGRESSIVE.rindex(b"\xff\xda")] + b"\xff\xd9", "its last scans"),
        ("jpeg", JPEG.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"), "JPEG"),  # says 12 bits
        ("webp", encoded(".webp", PICTURE), "expected a JPEG or PNG"),
        ("zstd", b"\x28\xb5\x2f\xfd" + bytes(99), "expected a JPEG or PNG"),
        ("rgb8; jpeg compressed bgr8", JPEG[: len(JPEG) // 2] + JPEG[-2:], "damaged JPEG"),
        ("rgb8; png compressed bgr8", PNG[:500] + bytes([PNG[500] ^ 1]) + PNG[501:], "damaged PNG"),
    ],
)
def test_a_compressed_image_that_is_no_whole_picture(compressed_camera, format, data, found):
    camera = compressed_camera
    before = accepted(camera, make_compressed(camera.stamp(), JPEG), make_info())
    bad: CompressedImage = make_compressed(camera.stamp(), data)
    bad.format = format
    camera.send(bad, make_info())
    camera.expect_status("image", ERROR, "frame rejected", repr(format), found)
    after = accepted(camera, make_compressed(camera.stamp(), JPEG), make_info())
    assert [stamp_of(m) for m in camera.depths] == [before, after]


def test_a_format_that_contradicts_the_bytes(compressed_camera):
    image = make_compressed(compressed_camera.stamp(), JPEG)
    image.format = "png"
    accepted(compressed_camera, image, make_info())
    compressed_camera.expect_status("image", WARN, "format 'png' with the bytes of a JPEG")
