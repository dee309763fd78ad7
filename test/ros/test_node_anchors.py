"""Other sensors correct the depth, over real DDS: where each is right, late, wrong, an echo, or says nothing."""

import array
import copy
import math
from contextlib import contextmanager

import numpy as np
import pytest
import rclpy
from nav_msgs.msg import Odometry
from rclpy.time import Time
from sensor_msgs.msg import Image, LaserScan, PointCloud2, PointField, Range

from test.ros.harness import (
    ERROR,
    FRAME_ID,
    WARN,
    DepthNode,
    Peer,
    accepted,
    depth_of,
    make_image,
    make_info,
    wait_until,
)

HERE = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
# A sensor beside the camera that looks along its own x, z up, in the camera's optical frame.
AHEAD = [0.0, 0.0, 0.0, 0.5, -0.5, 0.5, 0.5]
FOCAL, WIDTH, HEIGHT = 260.0, 320, 240
# Frames, 33 ms apart, after which a source that agrees is believed (a second), and some.
ENOUGH = 36


@contextmanager
def robot(*arguments: str, **parameters):
    """A node whose camera is the robot's base, a peer that watches its depth, and a node for the other sensors."""
    parameters = {"camera_pose": HERE, **parameters}
    with DepthNode(*arguments, **parameters) as node, Peer() as peer:
        node.expect_active()
        peer.depths = peer.watch(Image, "depth")
        peer.connect()
        sensors = rclpy.create_node("sensors", context=peer.node.context)
        try:
            yield peer, sensors
        finally:
            sensors.destroy_node()


def publisher(node, kind: type, topic: str):
    """A publisher that depth_node is connected to."""
    made = node.create_publisher(kind, topic, 10)
    wait_until(made.get_subscription_count, f"depth_node listens to {topic}")
    return made


def frame(peer: Peer, send=None) -> np.ndarray:
    """Depth of one more image; `send` gets its header first, and the others' messages are there before the image."""
    image = make_image(peer.stamp(), WIDTH, HEIGHT)
    if send:
        send(image.header)
    accepted(peer, image, make_info(WIDTH, HEIGHT, FOCAL))
    return depth_of(peer.depths[-1]).copy()


def frames(peer: Peer, send, count: int = ENOUGH) -> np.ndarray:
    """Depth of the last of so many images."""
    for _ in range(count):
        depth = frame(peer, send)
    return depth


def points_of(depth: np.ndarray, factor: float, every: int = 40) -> np.ndarray:
    """(N, 3) points at factor times the depth, on a grid of pixels; the camera's axis is in the image's middle."""
    v, u = (grid.ravel() for grid in np.mgrid[every // 2 : HEIGHT : every, every // 2 : WIDTH : every])
    z = factor * depth[v, u]
    return np.column_stack(((u - WIDTH / 2) / FOCAL * z, (v - HEIGHT / 2) / FOCAL * z, z))


def cloud(header, points: np.ndarray, names: str = "xyz") -> PointCloud2:
    data = np.ascontiguousarray(points, np.float32)
    message = PointCloud2(
        header=copy.deepcopy(header), height=1, width=len(data), point_step=12, row_step=12 * len(data)
    )
    message.fields = [PointField(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate(names)]
    message.data = array.array("B", data.tobytes())
    return message


def test_points_of_another_sensor_scale_the_depth():
    with robot(anchor_points=True, anchor_points_pose=HERE) as (peer, sensors):
        out = publisher(sensors, PointCloud2, "anchors/points")
        alone = frame(peer)
        corrected = frames(peer, lambda header: out.publish(cloud(header, points_of(alone, 1.15))))
        assert np.median(corrected / alone) == pytest.approx(1.15, abs=0.03)
        wait_until(lambda: int(peer.value("anchors/points", "used") or 0) > 20, "anchors in the diagnostics")
        assert float(peer.value("anchors/points", "scale")) == pytest.approx(1.15, abs=0.02)
        assert abs(float(peer.value("anchors/points", "age (s)"))) < 0.1


def test_a_rangefinder_and_a_laser_scanner_are_placed_by_parameters():
    with robot(anchor_range=True, anchor_range_pose=AHEAD, anchor_scan=True, anchor_scan_pose=AHEAD) as (peer, sensors):
        beam, scanner = publisher(sensors, Range, "anchors/range"), publisher(sensors, LaserScan, "anchors/scan")
        alone = frame(peer)
        row = 1.12 * alone[HEIGHT // 2]
        angles = np.linspace(-0.4, 0.4, 41)  # to the left is positive, and to the left is a smaller column
        columns = np.rint(WIDTH / 2 - FOCAL * np.tan(angles)).astype(int)
        ranges = row[columns] / np.cos(angles)

        def send(header):
            middle = alone[100:140, 140:180]
            distance = 1.12 * float((1 / middle).sum() / (1 / middle**2).sum())
            beam.publish(Range(header=header, field_of_view=0.15, min_range=0.05, max_range=20.0, range=distance))
            scan = LaserScan(header=header, angle_min=-0.4, angle_max=0.4, angle_increment=0.02)
            scan.range_min, scan.range_max, scan.ranges = 0.05, 20.0, ranges.tolist()
            scanner.publish(scan)

        corrected = frames(peer, send)
        near_the_row = np.s_[HEIGHT // 2 - 5 : HEIGHT // 2 + 6, 60:260]
        assert np.median(corrected[near_the_row] / alone[near_the_row]) == pytest.approx(1.12, abs=0.03)
        for name, most in (("anchors/range", 1), ("anchors/scan", 41)):
            wait_until(lambda n=name, m=most: 0 < int(peer.value(n, "used") or 0) <= m, f"{name} is used")


def test_a_wrong_sensor_is_named_and_costs_nothing():
    with robot(anchor_points=True, anchor_points_pose=HERE) as (peer, sensors):
        out = publisher(sensors, PointCloud2, "anchors/points")
        alone = frame(peer)
        after = frames(peer, lambda header: out.publish(cloud(header, points_of(alone, 3.0))), count=45)
        np.testing.assert_allclose(after, frame(peer), rtol=1e-6)
        peer.expect_status("anchors/points", WARN, "not used", "3.0", "blocked")


def test_a_sensor_that_goes_wrong_is_dropped_and_taken_back():
    with robot(anchor_points=True, anchor_points_pose=HERE) as (peer, sensors):
        out = publisher(sensors, PointCloud2, "anchors/points")
        alone = frame(peer)
        frames(peer, lambda header: out.publish(cloud(header, points_of(alone, 1.1))))
        frames(peer, lambda header: out.publish(cloud(header, points_of(alone, 3.0))), count=45)
        peer.expect_status("anchors/points", WARN, "not used")
        back = frames(peer, lambda header: out.publish(cloud(header, points_of(alone, 1.1))), count=220)
        assert np.median(back / alone) == pytest.approx(1.1, abs=0.03)
        peer.expect_status("anchors/points", b"\x00")
        wait_until(lambda: peer.status("anchors/points").level == b"\x00", "the source is fine again")


def test_bad_messages_get_one_clear_line_each_and_cost_nothing():
    """Each comes three times from a sensor that was right until then, and is right again after all of them."""
    poses = {f"anchor_{name}_pose": HERE for name in ("points", "range", "scan")}
    inputs = {"anchor_points": True, "anchor_range": True, "anchor_scan": True, "landmarks": True}
    with robot(anchor_max_age=0.2, **inputs, **poses) as (peer, sensors):
        kinds = {POINTS: PointCloud2, RANGE: Range, SCAN: LaserScan, ODOM: Odometry}
        out = {topic: publisher(sensors, kind, topic) for topic, kind in kinds.items()}
        alone = frame(peer)

        def right(topic: str, header):
            if topic == POINTS:
                return cloud(header, points_of(alone, 1.15))
            if topic == RANGE:
                return Range(header=copy.deepcopy(header), field_of_view=0.2, min_range=0.1, max_range=5.0, range=1.0)
            if topic == SCAN:
                scan = LaserScan(header=copy.deepcopy(header), angle_min=-0.4, angle_increment=0.02)
                scan.range_min, scan.range_max, scan.ranges = 0.1, 5.0, [1.0] * 41
                return scan
            return odometry(header, np.eye(4))

        def corrected() -> float:
            depth = frames(peer, lambda header: out[POINTS].publish(right(POINTS, header)))
            return float(np.median(depth / alone))

        assert corrected() == pytest.approx(1.15, abs=0.03)
        for topic, spoil, area, level, text in BAD_MESSAGES:

            def send(header, topic=topic, spoil=spoil):
                message = right(topic, header)
                if spoil is to_and_fro:
                    out[topic].publish(right(topic, header))
                spoil(message)
                out[topic].publish(message)

            np.testing.assert_allclose(frames(peer, send, 3), alone, rtol=1e-6, err_msg=text)
            peer.expect_status(area, level, f"/{topic}: ", text)
        assert corrected() == pytest.approx(1.15, abs=0.03)


POINTS, RANGE, SCAN, ODOM = "anchors/points", "anchors/range", "anchors/scan", "odom"


def to_and_fro(message) -> None:
    message.header.stamp.sec -= 100


def late(message) -> None:
    message.header.stamp.sec -= 1


def early(message) -> None:
    nanoseconds = Time.from_msg(message.header.stamp).nanoseconds + 300_000_000
    message.header.stamp = Time(nanoseconds=nanoseconds).to_msg()


def nowhere(message) -> None:
    message.pose.pose.position.y = math.nan


def unturned(message) -> None:
    message.pose.pose.orientation.w = 0.0


def without_distances(message) -> None:
    message.data = np.full(len(message.data) // 4, np.nan, np.float32).tobytes()


BAD_MESSAGES = [
    (POINTS, lambda m: setattr(m, "fields", m.fields[:2]), POINTS, ERROR, "expected x, y and z"),
    (POINTS, lambda m: setattr(m, "width", 0), POINTS, ERROR, "points: found none"),
    (POINTS, lambda m: setattr(m, "data", m.data[:-4]), POINTS, ERROR, "data: found"),
    (POINTS, without_distances, POINTS, WARN, "nothing in it is a distance: NaN"),
    (RANGE, lambda m: setattr(m, "range", math.nan), RANGE, WARN, "nothing in it is a distance: NaN"),
    (RANGE, lambda m: setattr(m, "field_of_view", math.nan), RANGE, ERROR, "field_of_view: found nan"),
    (SCAN, lambda m: setattr(m, "ranges", []), SCAN, ERROR, "ranges: found none"),
    (SCAN, lambda m: setattr(m, "ranges", [math.nan] * 41), SCAN, WARN, "nothing in it is a distance: NaN"),
    (SCAN, lambda m: setattr(m, "angle_increment", math.inf), SCAN, ERROR, "angle_min, angle_increment: found"),
    (ODOM, nowhere, "landmarks", WARN, "expected a pose"),
    (ODOM, unturned, "landmarks", WARN, "expected a pose"),
    (ODOM, to_and_fro, "landmarks", WARN, "its stamps go back by 100.000 s"),
    (SCAN, early, SCAN, WARN, "s newer, expected within 0.2 s"),
    (SCAN, late, SCAN, WARN, "s older, expected within 0.2 s"),
    (RANGE, to_and_fro, RANGE, WARN, "its stamps go back by 100.000 s"),
    (POINTS, to_and_fro, POINTS, WARN, "its stamps go back by 100.000 s"),
]


def test_a_sensor_whose_place_nobody_knows_is_named():
    with robot(anchor_points=True) as (peer, sensors):
        out = publisher(sensors, PointCloud2, "anchors/points")
        alone = frame(peer)

        def send(header):
            message = cloud(header, points_of(alone, 1.2))
            message.header.frame_id = "lidar"
            out.publish(message)

        np.testing.assert_allclose(frames(peer, send), alone, rtol=1e-6)
        peer.expect_status("anchors/points", ERROR, "'lidar'", FRAME_ID, "set anchor_points_pose")


def test_the_node_s_own_cloud_is_no_anchor():
    with robot("-r", "anchors/points:=depth/points", anchor_points=True, anchor_points_pose=HERE) as (peer, _):
        alone = frame(peer)
        np.testing.assert_allclose(frames(peer, None), alone, rtol=1e-6)
        peer.expect_status("anchors/points", ERROR, "refused", "this node")


def test_what_listens_to_our_depth_is_no_anchor():
    """The peer watches /depth, so a cloud of its own may be made of it."""
    with robot(anchor_points=True, anchor_points_pose=HERE) as (peer, _):
        publisher(peer.node, PointCloud2, "anchors/points")
        frame(peer)
        peer.expect_status("anchors/points", ERROR, "refused", "peer", "/depth")


def test_a_pose_that_is_none_is_refused_by_name():
    with DepthNode(anchor_points=True, anchor_points_pose=[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0]) as node:
        node.expect_log("anchor_points_pose: found")
        node.expect_log("expected x y z qx qy qz qw")


def test_odometry_alone_anchors_a_moving_camera():
    from test.test_landmarks import CAMERA, flight

    with robot(landmarks=True) as (peer, sensors):
        out = publisher(sensors, Odometry, "odom")
        for gray, _, pose in flight(90):
            image = make_image(peer.stamp(), CAMERA.width, CAMERA.height)
            image.data = array.array("B", np.repeat(gray[..., None], 3, axis=2).tobytes())
            out.publish(odometry(image.header, pose))
            accepted(peer, image, info_of(CAMERA))
        wait_until(lambda: int(peer.value("landmarks", "used") or 0) > 20, lambda: f"{peer.status('landmarks')}")


def odometry(header, pose: np.ndarray) -> Odometry:
    from scipy.spatial.transform import Rotation

    message = Odometry(header=copy.deepcopy(header), child_frame_id="base_link")
    message.header.frame_id = "odom"
    p, q = message.pose.pose.position, message.pose.pose.orientation
    p.x, p.y, p.z = pose[:3, 3].tolist()
    q.x, q.y, q.z, q.w = Rotation.from_matrix(pose[:3, :3]).as_quat().tolist()
    return message


def info_of(camera):
    info = make_info(camera.width, camera.height)
    info.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    return info
