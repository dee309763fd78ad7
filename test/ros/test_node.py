"""depth_node in its own process: what comes out of images over real DDS."""

import time

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, Image, LaserScan, PointCloud2

from test.ros.harness import (
    ERROR,
    FRAME_ID,
    DepthNode,
    Peer,
    depth_of,
    header_of,
    make_compressed,
    make_image,
    make_info,
    stamp_of,
    wait_until,
)

OUTPUTS = {
    "depth": Image,
    "depth/camera_info": CameraInfo,
    "depth/points": PointCloud2,
    "depth/clearing_points": PointCloud2,
    "depth/color": Image,
    "depth/confidence": Image,
    "scan": LaserScan,
}


def test_all_outputs_come_once_for_each_frame_with_its_header(peer):
    with DepthNode() as node:
        node.expect_active()
        outputs = {topic: peer.watch(kind, topic) for topic, kind in OUTPUTS.items()}
        peer.connect()
        sent = []
        for _ in range(5):
            sent.append(peer.send(make_image(peer.stamp()), make_info()))
            wait_until(lambda: all(len(o) == len(sent) for o in outputs.values()), node.log)
        peer.expect_counts(received=5, published=5, dropped=0, rejected=0, failed=0, lost=0)
    for topic, messages in outputs.items():
        frame_id = "camera_frame" if topic == "scan" else FRAME_ID
        assert [header_of(m) for m in messages] == [(*stamp, frame_id) for stamp in sent]


def test_depth_camera_info_and_cloud_are_of_one_camera_and_size(peer):
    with DepthNode() as node:
        node.expect_active()
        depths, infos = peer.watch(Image, "depth"), peer.watch(CameraInfo, "depth/camera_info")
        clouds = peer.watch(PointCloud2, "depth/points")
        peer.connect()
        raw = make_info(focal=200.0, d=(-0.28, 0.07, 0.001, -0.002, 0.0))
        peer.send(make_image(peer.stamp()), raw)
        wait_until(lambda: clouds and infos and depths, node.log)
    depth, info, cloud = depth_of(depths[0]), infos[0], clouds[0]
    assert (info.width, info.height) == (depths[0].width, depths[0].height) == (cloud.width, cloud.height) == (320, 240)
    assert not any(info.d)  # rectified
    points = np.frombuffer(cloud.data, np.float32).reshape(240, 320, 4)
    seen = np.isfinite(points[..., 2])
    assert 0.5 < seen.mean() < 1
    assert np.array_equal(points[seen, 2], depth[seen])
    v, u = np.nonzero(seen)
    fx, fy, cx, cy = info.k[0], info.k[4], info.k[2], info.k[5]
    assert points[seen, 0] == pytest.approx((u - cx) / fx * depth[seen], abs=1e-4)
    assert points[seen, 1] == pytest.approx((v - cy) / fy * depth[seen], abs=1e-4)


def test_depth_outside_the_range_is_infinite_and_invalid_millimetres_are_0(peer):
    with DepthNode() as node:
        node.expect_active()
        depths = peer.watch(Image, "depth")
        peer.connect()
        peer.send(make_image(peer.stamp()), make_info())
        whole = depth_of(wait_until(lambda: depths, node.log)[0])
        low, high = np.percentile(whole[np.isfinite(whole)], [30, 70]).astype(float)
        assert peer.set_parameters_together(min_depth=low, max_depth=high).successful
        peer.send(make_image(peer.stamp()), make_info())
        wait_until(lambda: len(depths) == 2, node.log)
        assert peer.set_parameter("depth_format", "16UC1").successful
        peer.send(make_image(peer.stamp()), make_info())
        wait_until(lambda: len(depths) == 3, node.log)
    limited, millimetres = depth_of(depths[1]), depth_of(depths[2])
    within = (whole >= np.float32(low)) & (whole <= np.float32(high))
    assert np.array_equal(limited == -np.inf, whole < np.float32(low))
    assert np.array_equal(limited == np.inf, whole > np.float32(high))
    assert np.array_equal(limited[within], whole[within])
    assert depths[2].encoding == "16UC1"
    assert not millimetres[~within].any()
    assert np.abs(millimetres[within] - whole[within] * 1000).max() <= 0.51


def test_what_nobody_subscribes_to_is_not_computed(peer):
    with DepthNode() as node:
        node.expect_active()
        peer.connect()
        peer.send(make_image(peer.stamp()), make_info())
        peer.expect_counts(received=1, published=0, **{"dropped: nobody subscribes": 1})
        assert not peer.status("latency").values  # no stage has run


def test_the_newest_of_a_burst_is_published_and_the_rest_is_counted(peer):
    with DepthNode() as node:
        node.expect_active()
        depths = peer.watch(Image, "depth")
        peer.connect()
        for _ in range(60):
            last = peer.send(make_image(peer.stamp()), make_info())
            time.sleep(0.002)
        wait_until(lambda: depths and stamp_of(depths[-1]) == last, node.log)
        counts = wait_until(lambda: (c := peer.counts()) and c["received"] + c["lost"] == 60 and c, peer.counts)
    assert counts["dropped"] > 0
    assert counts["published"] + counts["dropped"] == counts["received"]
    assert counts["published"] == len(depths)
    stamps = [stamp_of(m) for m in depths]
    assert stamps == sorted(set(stamps))


def test_compressed_images_give_the_depth_of_the_same_raw_images():
    image = make_image(Time(sec=1))
    pixels = np.frombuffer(image.data, np.uint8).reshape(240, 320, 3)
    png = make_compressed(
        image.header.stamp, cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
    )
    depths = []
    for message, topic in ((image, "image"), (png, "image/compressed")):
        compressed = message is png
        with (
            Peer(topic, compressed) as peer,
            DepthNode(compressed=compressed, camera_info_timeout=0.0, assume_lens=63.0) as node,
        ):
            node.expect_active()
            received = peer.watch(Image, "depth")
            peer.connect()
            peer.send(message)
            depths.append(depth_of(wait_until(lambda r=received: r, node.log)[0]))
    assert np.array_equal(*depths, equal_nan=True)


def test_remapped_topics_and_a_namespace():
    remaps = ("-r", "__ns:=/robot", "-r", "image:=/camera/image_raw", "-r", "depth:=/front/depth")
    with Peer("/camera/image_raw", name="/robot/depth_node") as peer:
        with DepthNode(*remaps, camera_info_timeout=0.0, assume_lens=63.0) as node:
            node.expect_log("waiting for images on /camera/image_raw")
            depths, colors = peer.watch(Image, "/front/depth"), peer.watch(Image, "/robot/depth/color")
            wait_until(lambda: peer.value("outputs", "subscribed") == "depth, depth/color", "both watched")
            wait_until(lambda: peer.value("image", "publishers") == "1", "the camera")
            image = make_image(peer.stamp())
            peer.send(image)
            wait_until(lambda: depths and colors, node.log)
            assert header_of(depths[0]) == header_of(colors[0]) == header_of(image)


def test_broken_compressed_images_are_rejected_and_the_next_good_one_is_published():
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
    broken = {"0 bytes": b"", "truncated JPEG": jpeg[: len(jpeg) // 2], "47 49 46": b"GIF89a" * 9}
    with Peer("image/compressed", compressed=True) as peer:
        with DepthNode(compressed=True, camera_info_timeout=0.0, assume_lens=63.0) as node:
            node.expect_active()
            depths = peer.watch(Image, "depth")
            peer.connect()
            for found, data in broken.items():
                peer.send(make_compressed(peer.stamp(), data))
                peer.expect_status("image", ERROR, "/image/compressed: frame rejected", found)
            stamp = peer.send(make_compressed(peer.stamp(), jpeg))
            assert [stamp_of(m) for m in wait_until(lambda: depths, node.log)] == [stamp]
            peer.expect_counts(received=4, published=1, rejected=3)
