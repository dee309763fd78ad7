"""What consumers and operators rely on: names beside each other, order, depth on demand."""

import struct

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool

from test.ros.harness import accepted, depth_of, make_image, make_info, stamp_of, wait_until


def test_the_depth_beside_its_camera_info_is_the_depth_also_compressed(camera):
    rects = camera.watch(Image, "depth/image_rect")
    packed, pictures = (
        camera.watch(CompressedImage, topic) for topic in ("depth/image_rect/compressedDepth", "depth/color/compressed")
    )
    camera.connect()
    stamp = accepted(camera, make_image(camera.stamp()), make_info())
    wait_until(lambda: rects and packed and pictures, lambda: camera.counts())
    depth = depth_of(camera.depths[-1])
    assert stamp_of(rects[0]) == stamp_of(packed[0]) == stamp_of(pictures[0]) == stamp
    np.testing.assert_array_equal(depth_of(rects[0]), depth)
    _, a, b = struct.unpack("<iff", bytes(packed[0].data[:12]))
    codes = cv2.imdecode(np.frombuffer(packed[0].data[12:], np.uint8), cv2.IMREAD_UNCHANGED).astype(np.float32)
    seen = np.isfinite(depth)
    np.testing.assert_allclose(a / (codes[seen] - b), depth[seen], atol=0.02)
    assert (codes[np.isposinf(depth)] == b).all() and not codes[np.isnan(depth)].any()
    assert cv2.imdecode(np.frombuffer(pictures[0].data, np.uint8), cv2.IMREAD_COLOR).shape[0] == 240


def test_the_camera_info_of_a_depth_comes_before_it(camera):
    order: list = []
    for kind, topic in ((CameraInfo, "depth/camera_info"), (Image, "depth")):
        camera.watch_with(kind, topic, lambda message, kind=kind: order.append((kind, stamp_of(message))))
    camera.connect()
    stamps = [accepted(camera, make_image(camera.stamp()), make_info()) for _ in range(3)]
    wait_until(lambda: len(order) == 6, lambda: order)
    assert sorted(order, key=lambda pair: pair[1]) == [
        (kind, stamp) for stamp in stamps for kind in (CameraInfo, Image)
    ]


def test_depth_on_demand(camera):
    def enable(value):
        return camera.call(SetBool, "set_enabled", SetBool.Request(data=value))

    accepted(camera, make_image(camera.stamp()), make_info())
    assert enable(False).success and camera.state() == "active"
    for _ in range(2):
        wait_until(lambda: camera.value("node", "state") == "active, disabled", lambda: camera.status("node"))
        wait_until(lambda: camera.value("image", "topic") is None, "no subscription")
        assert camera.change_state("deactivate") and camera.change_state("activate")
    assert enable(True).success
    camera.connect()
    accepted(camera, make_image(camera.stamp()), make_info())
