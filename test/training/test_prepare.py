"""`python -m training prepare` on files in exactly the layouts that people download, and what it refuses."""

import csv
import json
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mono_depth_ros.camera import CameraModel
from test.training.scenes import DISTANCE, NORMAL, picture, plane_depth, points
from test.training.test_rosbag2 import COLOR, DEPTH, INFO, MS, START, camera_info, image, write_bag
from training.cli import main
from training.data.layouts import SCENES_COLOR_CAMERA, SCENES_DEPTH_CAMERA, SCENES_OFFSET
from training.data.rgbd_folder import RgbdFolder

NYU = CameraModel.nyu()
SMALL = CameraModel(width=80, height=60, fx=70, fy=72, cx=41, cy=29)
TURN = Rotation.from_euler("y", 90, degrees=True)  # quaternion 0, sqrt(1/2), 0, sqrt(1/2)


def write(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)
    return path


def units(camera: CameraModel, metre: float) -> np.ndarray:
    return np.rint(plane_depth(camera) * metre).astype(np.uint16)


def pose_matrix(x: float) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3], pose[0, 3] = TURN.as_matrix(), x
    return pose


def table(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as lines:
        return list(csv.DictReader(lines))


def prepared(source: Path, tmp_path: Path, *flags: str) -> RgbdFolder:
    """What the reader of our layout makes of it."""
    folder = tmp_path / "data/prepared"
    main(["prepare", str(source), str(folder), *flags])
    assert sorted(file.name for file in folder.iterdir() if file.suffix != ".csv") == ["camera.yaml", "depth", "rgb"]
    return RgbdFolder(folder)


def assert_plane(frames: RgbdFolder, index: int, camera: CameraModel, border: int = 0) -> None:
    """The frame has the picture and the camera, and the depth of the plane to a millimetre."""
    frame = frames[index]
    inside = np.s_[border : camera.height - border, border : camera.width - border]
    assert frame.camera == camera
    assert np.abs(frame.rgb.astype(int) - picture(camera, index)).mean() < 2
    np.testing.assert_allclose(frame.depth[inside], plane_depth(camera)[inside], atol=0.0007)  # rounded twice


@pytest.mark.parametrize(("split", "first"), [("train", 2), ("test", 0)])
def test_the_labelled_nyu_in_its_official_split(tmp_path, split, first):
    """The name of a frame is its row in the file; every 600th of 795 and of 654 are two."""
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        options = {"compression": "gzip", "fillvalue": 0}
        images = file.create_dataset("images", (1449, 3, 640, 480), "u1", chunks=(1, 3, 640, 480), **options)
        depths = file.create_dataset("depths", (1449, 640, 480), "f4", chunks=(1, 640, 480), **options)
        images[first], depths[first] = picture(NYU, 0).transpose(2, 1, 0), plane_depth(NYU).T
    frames = prepared(path, tmp_path, f"--split={split}", "--every=600")
    assert frames.files[0][0].stem == f"{first:05d}" and len(frames) == 2
    assert_plane(frames, 0, NYU, border=8)


def test_nyus_sync_list(tmp_path):
    for i, scene in enumerate(("bath_0001", "kitchen_0028b")):
        write(tmp_path / f"sync/{scene}/rgb_00045.jpg", picture(NYU, i))
        write(tmp_path / f"sync/{scene}/sync_depth_00045.png", units(NYU, 1000))
    lines = [f"/{s}/rgb_00045.jpg /{s}/sync_depth_00045.png 518.8579\n" for s in ("kitchen_0028b", "bath_0001")]
    (tmp_path / "list.txt").write_text("".join(lines))
    frames = prepared(tmp_path / "sync", tmp_path, f"--list={tmp_path / 'list.txt'}")
    assert len(frames) == 2
    assert_plane(frames, 1, NYU, border=8)


def test_tum_is_paired_by_time_and_has_5000_units_to_the_metre(tmp_path):
    source = tmp_path / "rgbd_dataset_freiburg2_desk"
    camera = CameraModel(640, 480, 520.9, 521.0, 325.1, 249.7)
    colors, depths = [10.000001, 10.033, 10.066, 10.1], [10.012, 10.045, 10.2]
    for i, stamp in enumerate(colors):
        write(source / f"rgb/{stamp:.6f}.png", picture(camera, i))
    for stamp in depths:
        write(source / f"depth/{stamp:.6f}.png", units(camera, 5000))
    (source / "rgb.txt").write_text("# color images\n" + "".join(f"{s:.6f} rgb/{s:.6f}.png\n" for s in colors))
    (source / "depth.txt").write_text("# depth maps\n" + "".join(f"{s:.6f} depth/{s:.6f}.png\n" for s in depths))
    (source / "groundtruth.txt").write_text("# x\n10.0300 1.5 2.0 -0.5 0 0 0 1\n10.5 0 0 0 0 0 0 1\n")
    frames = prepared(source, tmp_path)
    folder = frames.source
    assert [row["stamp_s"] for row in table(folder / "stamps.csv")] == ["10.000001", "10.033000"]
    assert [(row["frame"], row["tx"]) for row in table(folder / "poses.csv")] == [("00001", "1.500000")]
    assert frames.camera.distortion == (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)
    depth = cv2.imread(str(folder / "depth/00000.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(depth / 1000, plane_depth(camera), atol=0.00061)


def test_seven_scenes_depth_is_brought_to_the_colour_camera(tmp_path):
    """Every point of the plane that the depth camera sees lies on the same plane, seen from where the other is."""
    source = tmp_path / "seq-01"
    write(source / "frame-000007.color.png", picture(SCENES_COLOR_CAMERA))
    seen = units(SCENES_DEPTH_CAMERA, 1000)
    seen[:100] = 65535  # unknown
    write(source / "frame-000007.depth.png", seen)
    np.savetxt(source / "frame-000007.pose.txt", pose_matrix(2.0))
    frames = prepared(source, tmp_path)
    frame = frames[0]
    assert frames.files[0][0].stem == "000007"
    assert 0.4 < (frame.depth > 0).mean() < 0.8 and frame.depth.max() < 6
    from_depth_camera = points(frame) - np.array(SCENES_OFFSET)
    assert np.abs(from_depth_camera @ NORMAL - DISTANCE).max() < 0.01
    (row,) = table(frames.source / "poses.csv")
    assert float(row["tx"]) == pytest.approx(2.0) and float(row["qy"]) == pytest.approx(0.5**0.5)
    assert float(row["tz"]) == pytest.approx(-0.0363)  # 3.63 cm to the right of a camera that looks along x


def test_hololens_as_deep_video_mvs_has_it(tmp_path):
    for i in range(2):
        write(tmp_path / f"000/images/{i:05d}.png", picture(SMALL, i))
        write(tmp_path / f"000/depth/{i:05d}.png", units(SMALL, 1000))
    np.savetxt(tmp_path / "000/K.txt", SMALL.matrix)
    np.savetxt(tmp_path / "000/poses.txt", [pose_matrix(i).ravel() for i in range(2)])
    frames = prepared(tmp_path / "000", tmp_path)
    assert_plane(frames, 1, SMALL)
    assert [row["tx"] for row in table(frames.source / "poses.csv")] == ["0.000000", "1.000000"]


def test_replica_as_nice_slam_renders_it(tmp_path):
    source = tmp_path / "Replica/office0"
    jpegs = [write(source / f"results/frame{i:06d}.jpg", picture(SMALL, i)) for i in range(2)]
    for i in range(2):
        write(source / f"results/depth{i:06d}.png", units(SMALL, 6553.5))  # 16 bits hold 10 m
    np.savetxt(source / "traj.txt", [pose_matrix(i).ravel() for i in range(2)])
    camera = {"w": 80, "h": 60, "fx": 70, "fy": 72, "cx": 41, "cy": 29, "scale": 6553.5}
    (source.parent / "cam_params.json").write_text(json.dumps({"camera": camera}))
    frames = prepared(source, tmp_path)
    assert_plane(frames, 0, SMALL)
    assert frames.files[1][0].read_bytes() == jpegs[1].read_bytes()  # not compressed a second time


def test_realsense_as_open3d_records_it(tmp_path):
    write(tmp_path / "dataset/color/000000.jpg", picture(SMALL))
    write(tmp_path / "dataset/depth/000000.png", units(SMALL, 1000))
    content = {"width": 80, "height": 60, "intrinsic_matrix": SMALL.matrix.T.ravel().tolist()}
    (tmp_path / "dataset/camera_intrinsic.json").write_text(json.dumps(content))
    assert_plane(prepared(tmp_path / "dataset", tmp_path), 0, SMALL)


def test_habitats_pinhole_of_90_degrees(tmp_path):
    camera = CameraModel(width=64, height=64, fx=32, fy=32, cx=31.5, cy=31.5)
    write(tmp_path / "walk/rgb/0.png", picture(camera))
    (tmp_path / "walk/depth").mkdir()
    np.save(tmp_path / "walk/depth/0.npy", np.minimum(plane_depth(camera), 9)[..., None])
    frames = prepared(tmp_path / "walk", tmp_path)
    assert frames[0].camera.fx == pytest.approx(32) and frames[0].camera.cx == 31.5  # half the width is tan 45
    np.testing.assert_allclose(frames[0].depth, np.minimum(plane_depth(camera), 9), atol=0.00051)


def test_a_rosbag2(tmp_path):
    messages = [(INFO, START, camera_info(START, SMALL))]
    for i in range(3):
        stamp = START + i * 33 * MS
        messages += [(COLOR, stamp, image(stamp, picture(SMALL, i), "rgb8")),
                     (DEPTH, stamp + 2 * MS, image(stamp + 2 * MS, units(SMALL, 1000), "16UC1"))]  # fmt: skip
    frames = prepared(write_bag(tmp_path / "bag", messages), tmp_path, "--every=2")
    assert len(frames) == 2
    assert_plane(frames, 0, SMALL)
    recorded = [float(row["stamp_s"]) for row in table(frames.source / "stamps.csv")]
    assert recorded[1] - recorded[0] == pytest.approx(0.066, abs=1e-5)


class TestRefusals:
    def source(self, tmp_path: Path) -> Path:
        write(tmp_path / "set/color/0.jpg", picture(SMALL))
        write(tmp_path / "set/depth/0.png", units(SMALL, 1000))
        content = {"width": 80, "height": 60, "intrinsic_matrix": SMALL.matrix.T.ravel().tolist()}
        (tmp_path / "set/camera_intrinsic.json").write_text(json.dumps(content))
        return tmp_path / "set"

    def test_a_folder_that_is_there_is_left_alone(self, tmp_path, capsys):
        (tmp_path / "there").mkdir()
        with pytest.raises(SystemExit):
            main(["prepare", str(self.source(tmp_path)), str(tmp_path / "there")])
        assert "is there already" in capsys.readouterr().err and not list((tmp_path / "there").iterdir())

    def test_a_bad_frame_leaves_no_folder_that_looks_whole(self, tmp_path):
        source = self.source(tmp_path)
        write(source / "color/1.jpg", picture(SMALL))
        with pytest.raises(ValueError, match=r"depth/1.png: no such file"):
            main(["prepare", str(source), str(tmp_path / "new")])
        assert not (tmp_path / "new").exists()
        write(source / "depth/1.png", units(SMALL, 1000))
        main(["prepare", str(source), str(tmp_path / "new")])
        assert len(RgbdFolder(tmp_path / "new")) == 2

    def test_an_unknown_layout_lists_those_known(self, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(ValueError, match=r"no layout.*--layout.*tum \(depth.txt\)"):
            main(["prepare", str(tmp_path / "empty"), str(tmp_path / "new")])
