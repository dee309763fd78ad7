"""Bags without a depth camera: what a scanner, a cloud or the robot's motion knows lies where the camera sees it."""

import json

import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from test import test_landmarks
from test.conftest import REPOSITORY
from test.training.test_rosbag2 import (
    CAMERA,
    COLOR,
    INFO,
    RGB,
    START,
    TYPES,
    camera_info,
    header,
    image,
    message,
    write_bag,
)
from training.anchors import bag as scan_bag
from training.cli import main
from training.data.rgbd_folder import RgbdFolder
from training.data.sparse_bag import SparseBag, static_pose

HERE = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def planes(config, tmp_path_factory):
    """Frames of a plane, and the bag that `scan-bag` makes of them."""
    folder = config.parent
    bag = tmp_path_factory.mktemp("bags") / "planes"
    main(["scan-bag", str(folder), str(bag), "--rows", "2", "8"])
    return RgbdFolder(folder, rows=[(2, 8)]), bag


def test_a_scan_is_the_depth_along_a_row(planes):
    truth, bag = planes
    frames = SparseBag(bag, "/image", "/scan", "/camera_info", rows=[(1, 6)], every=2)
    assert len(frames) == 3
    for found, expected in ((frames[0], truth[1]), (frames[2], truth[5])):
        np.testing.assert_array_equal(found.rgb, expected.rgb)
        assert found.camera == expected.camera
        rows, columns = np.nonzero(found.depth)
        assert set(rows) == {round(expected.camera.cy)} and len(set(columns)) > 0.7 * len(expected.depth[0])
        known = found.depth > 0
        assert np.abs(found.depth - expected.depth)[known].mean() < 0.03


def test_where_the_frame_has_no_depth_the_simulated_lidar_says_nothing():
    """+Inf would say that nothing is there (REP-117), and the node would believe it."""
    depth = np.full((CAMERA.height, CAMERA.width), 2.0, np.float32)
    depth[:, : CAMERA.width // 2] = 0
    _, ranges = scan_bag.scan(depth, CAMERA, np.random.default_rng(0))
    right, left = ranges[: len(ranges) // 2 - 4], ranges[len(ranges) // 2 + 4 :]
    assert np.isfinite(right).all() and np.isnan(left).all()


def test_a_scan_whose_sensor_hangs_elsewhere_is_seen_from_the_camera(planes):
    """A metre ahead of where it was: everything is a metre farther."""
    truth, bag = planes
    x, y, z, *turn = scan_bag.MOUNT
    moved = SparseBag(bag, "/image", "/scan", "/camera_info", sensor_pose=(x, y, z + 1, *turn), camera_pose=HERE)[0]
    row = round(truth.camera.cy)
    middle = slice(60, 100)
    known = moved.depth[row, middle] > 0
    farther = moved.depth[row, middle][known] - truth[0].depth[row, middle][known]
    assert np.median(farther) == pytest.approx(1, abs=0.15)


def cloud(stamp: int, points: np.ndarray):
    field = TYPES.types["sensor_msgs/msg/PointField"]
    fields = [field(name=name, offset=4 * i, datatype=7, count=1) for i, name in enumerate("xyz")]
    return message(
        "sensor_msgs/msg/PointCloud2", header=header(stamp), height=1, width=len(points), fields=fields,
        is_bigendian=False, point_step=12, row_step=12 * len(points), is_dense=True,
        data=np.ascontiguousarray(points, np.float32).view(np.uint8).reshape(-1),
    )  # fmt: skip


def bag_with(tmp_path, topic: str, content):
    return write_bag(
        tmp_path / "bag",
        [(INFO, START, camera_info(START)), (COLOR, START, image(START, RGB, "rgb8")), (topic, START, content)],
    )


def test_of_two_points_on_one_pixel_the_nearer_counts(tmp_path):
    """The sensor sees past an edge that hides the farther one from the camera; what is behind is not seen."""
    ray = np.array([(50 - CAMERA.cx) / CAMERA.fx, (20 - CAMERA.cy) / CAMERA.fy, 1])
    points = np.array([3 * ray, 2 * ray, -2 * ray])
    depth = SparseBag(bag_with(tmp_path, "/cloud", cloud(START, points)), COLOR, "/cloud", INFO)[0].depth
    assert depth[20, 50] == pytest.approx(2) and np.count_nonzero(depth) == 1


@pytest.mark.parametrize(
    ("topic", "content", "error"),
    [
        ("/depth", image(START, RGB[..., 0], "mono8"), "/depth: found sensor_msgs/msg/Image, expected .*LaserScan"),
        ("/cloud", None, "where is 'lidar' in 'camera_color_optical_frame'. /tf_static does not .* set sensor_pose"),
    ],
)
def test_what_nobody_can_place_or_read_is_named(tmp_path, topic, content, error):
    if content is None:
        content = cloud(START, np.ones((1, 3)))
        content.header.frame_id = "lidar"
    with pytest.raises(ValueError, match=error):
        SparseBag(bag_with(tmp_path, topic, content), COLOR, topic, INFO)


def test_static_frames_are_followed_over_their_common_root():
    def transform(parent: str, child: str, xyz, degrees: float):
        turn = dict(zip("xyzw", Rotation.from_euler("z", degrees, degrees=True).as_quat(), strict=True))
        place = message(
            "geometry_msgs/msg/Transform",
            translation=message("geometry_msgs/msg/Vector3", **dict(zip("xyz", xyz, strict=True))),
            rotation=message("geometry_msgs/msg/Quaternion", **turn),
        )
        head = header(0)
        head.frame_id = parent
        return message("geometry_msgs/msg/TransformStamped", header=head, child_frame_id=child, transform=place)

    tree = [transform("base", "mast", (0, 0, 1.0), 90), transform("mast", "camera", (1.0, 0, 0), 0)]
    tree.append(transform("base", "lidar", (0.0, 3.0, 1.0), 0))
    # The camera is at (0, 1, 1) and looks along its own x, the base's y: the lidar is two metres ahead.
    np.testing.assert_allclose(static_pose(tree, "lidar", "camera")[:3, 3], [2, 0, 0], atol=1e-12)


def test_corners_seen_from_a_moving_robot_are_its_depth(tmp_path):
    camera, flight = test_landmarks.CAMERA, test_landmarks.flight()[:30]
    messages = [(INFO, START, camera_info(START, camera))]
    for index, (gray, _, pose) in enumerate(flight):
        stamp = START + round(index * 1e9 / test_landmarks.RATE)
        messages.append(("/odom", stamp, odometry(stamp, pose)))
        messages.append((COLOR, stamp, image(stamp, np.repeat(gray[..., None], 3, axis=2), "rgb8")))
    frames = SparseBag(write_bag(tmp_path / "walk", messages), COLOR, "/odom", INFO, camera_pose=HERE)
    found, truth = frames[len(frames) - 1].depth, flight[-1][1]
    known = found > 0
    assert np.count_nonzero(known) > 40
    assert np.median(np.abs(np.log(found[known] / truth[known]))) < 0.05


def odometry(stamp: int, pose: np.ndarray):
    turn = dict(zip("xyzw", Rotation.from_matrix(pose[:3, :3]).as_quat(), strict=True))
    place = message(
        "geometry_msgs/msg/Pose",
        position=message("geometry_msgs/msg/Point", **dict(zip("xyz", pose[:3, 3], strict=True))),
        orientation=message("geometry_msgs/msg/Quaternion", **turn),
    )
    still = message("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
    twist = message("geometry_msgs/msg/Twist", linear=still, angular=still)
    none = np.zeros(36)
    return message(
        "nav_msgs/msg/Odometry", header=header(stamp), child_frame_id="base_link",
        pose=message("geometry_msgs/msg/PoseWithCovariance", pose=place, covariance=none),
        twist=message("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=none),
    )  # fmt: skip


def test_a_drive_with_a_2d_lidar_fine_tunes_the_camera(real_frames, tmp_path):
    """At a size at which the shipped network is far off, a few steps on scans of a room mend it on later frames."""
    kitchen, bag = real_frames / "redkitchen_video", tmp_path / "bag"
    main(["scan-bag", str(kitchen), str(bag), "--rows", "0", "96"])
    configs = REPOSITORY / "training/configs"
    layer = yaml.safe_load((configs / "finetune_scan.yaml").read_text())
    for use, rows, every in (("train", [[0, 96]], 6), ("val", [[0, 96]], 48)):
        layer["data"][use][0]["init_args"] |= {"bag": str(bag), "rows": rows, "every": every}
    layer["data"]["test"][0]["init_args"] |= {"folder": str(kitchen), "rows": [[130, 240]], "every": 22}
    layer["data"] |= {"workers": 0, "transform": {"input_size": [96, 128], "crop_size": [96, 128], "zoom": [1, 1]}}
    layer["trainer"] = {"default_root_dir": str(tmp_path / "run"), "max_epochs": 4, "enable_progress_bar": False}
    (tmp_path / "layer.yaml").write_text(yaml.safe_dump(layer))
    both = [f"--config={configs / 'finetune_bag.yaml'}", f"--config={tmp_path / 'layer.yaml'}"]

    def absrel(*more: str) -> float:
        main(["test", *both, f"--trainer.default_root_dir={tmp_path / more[-1]}", *more[:-1]])
        return json.loads((tmp_path / more[-1] / "test.json").read_text())["results"]["AbsRel"]

    before = absrel("before")
    main(["fit", *both])
    assert absrel(f"--ckpt_path={tmp_path / 'run/checkpoints/last.ckpt'}", "after") < 0.8 * before
