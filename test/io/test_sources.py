"""Sources of frames: real folders, bags and videos written here, and clear errors for all that is none."""

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.io import SourceError, parse_source
from mono_depth_ros.io.folder import FolderSource
from mono_depth_ros.io.video import VideoSource

YAML = """
image_width: {width}
image_height: {height}
camera_matrix: {{rows: 3, cols: 3, data: [50.0, 0, 31.5, 0, 51.0, 23.5, 0, 0, 1]}}
distortion_model: plumb_bob
distortion_coefficients: {{rows: 1, cols: 5, data: [0.1, 0, 0, 0, 0]}}
"""


def write_folder(folder: Path, names: list[str], width: int = 64, height: int = 48) -> Path:
    """Images whose grey value is 10 times their number in the list."""
    (folder / "rgb").mkdir(parents=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / "rgb" / name), np.full((height, width, 3), 10 * number, np.uint8))
    return folder


def greys(source) -> list[int]:
    return [int(frame.rgb[0, 0, 0]) for frame in source.frames()]


def test_real_frames_come_with_their_stamps_camera_and_depth(real_frames: Path):
    source = parse_source(str(real_frames / "tum_fr1_rpy"))
    frames = list(islice(source.frames(), 3))
    assert [frame.stamp for frame in frames] == [1305031229528748000, 1305031229564425000, 1305031229596600000]
    assert source.camera == CameraModel.from_yaml(real_frames / "tum_fr1_rpy" / "camera.yaml")
    assert source.camera.is_distorted and source.remark == ""
    bgr = cv2.imread(str(real_frames / "tum_fr1_rpy" / "rgb" / "00002.jpg"))
    np.testing.assert_array_equal(frames[2].rgb, bgr[..., ::-1])
    raw = cv2.imread(str(real_frames / "tum_fr1_rpy" / "depth" / "00002.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(source.truth(2), raw / 1000, rtol=1e-6)


def test_images_come_in_the_order_of_their_numbers(tmp_path: Path):
    names = [f"frame{i}.png" for i in range(12)]
    assert greys(FolderSource(write_folder(tmp_path, names))) == [10 * i for i in range(12)]


def test_a_plain_folder_of_images_gets_an_assumed_lens_and_no_truth(tmp_path: Path):
    images = write_folder(tmp_path, ["a.png", "b.png"]) / "rgb"
    source = parse_source(str(images))
    assert "63 degrees" in source.remark
    # tan(63.3 / 2) = 0.617 for NYU Depth V2's lens: half of 64 pixels / fx.
    assert 32 / source.camera.fx == pytest.approx(0.617, abs=0.001)
    assert [frame.stamp for frame in source.frames()] == [None, None]
    assert source.truth(0) is None


def test_stamps_are_exact_to_the_nanosecond(tmp_path: Path):
    folder = write_folder(tmp_path, ["a.png", "b.png", "c.png"])
    (folder / "stamps.csv").write_text("frame,stamp_s\nb,1700000000.1\na,1700000000.000000001\nc,1700000001\n")
    stamps = [frame.stamp for frame in FolderSource(folder).frames()]
    assert stamps == [1700000000000000001, 1700000000100000000, 1700000001000000000]


def test_poses_come_with_their_frames(tmp_path: Path):
    folder = write_folder(tmp_path, ["a.png", "b.png"])
    (folder / "poses.csv").write_text("frame,tx,ty,tz,qx,qy,qz,qw\nb,1,2,3,0,0,1,0\na,-0.5,0,0,0,0,0,1\n")
    assert [frame.pose for frame in parse_source(str(folder)).frames()] == [
        (-0.5, 0, 0, 0, 0, 0, 1), (1, 2, 3, 0, 0, 1, 0)
    ]  # fmt: skip


@given(st.integers(0, 2**62))
def test_any_stamp_survives_being_written_as_seconds(nanoseconds: int):
    from mono_depth_ros.io.folder import _nanoseconds

    assert _nanoseconds(f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}") == nanoseconds


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("stamps.csv", "frame,time\na,1\n", "expected frame, stamp_s"),
        ("stamps.csv", "frame,stamp_s\na,1\n", "found no row for image b"),
        ("stamps.csv", "frame,stamp_s\na,soon\nb,2\n", "found the stamp 'soon'"),
        ("poses.csv", "frame,tx,ty,tz,qx,qy,qz,qw\na,0,0,0,0,0,0,1\nb,0,0,0,0,0,0\n", "could not convert string"),
        ("camera.yaml", YAML.format(width=640, height=480), "found a calibration for 640x480, the images are 64x48"),
        ("camera.yaml", "image_width: 64\n", "expected a camera_calibration file"),
    ],
)
def test_files_beside_the_images_that_do_not_fit_are_refused(tmp_path: Path, name, content, complaint):
    folder = write_folder(tmp_path, ["a.png", "b.png"])
    (folder / name).write_text(content)
    with pytest.raises(SourceError, match=complaint) as error:
        parse_source(str(folder))
    assert str(folder / name) in str(error.value)


def test_a_damaged_image_is_named(tmp_path: Path):
    folder = write_folder(tmp_path, ["a.png", "b.png"])
    (folder / "rgb" / "b.png").write_bytes(b"not a picture")
    with pytest.raises(SourceError, match=r"b\.png: found no picture"):
        list(FolderSource(folder).frames())


def test_an_image_of_another_size_is_named(tmp_path: Path):
    folder = write_folder(tmp_path, ["a.png"])
    cv2.imwrite(str(folder / "rgb" / "b.png"), np.zeros((10, 20, 3), np.uint8))
    with pytest.raises(SourceError, match="b.png: found 20x10 pixels, expected 64x48"):
        list(FolderSource(folder).frames())


def test_depth_of_another_kind_is_refused(tmp_path: Path):
    folder = write_folder(tmp_path, ["a.png"])
    (folder / "depth").mkdir()
    cv2.imwrite(str(folder / "depth" / "a.png"), np.zeros((48, 64), np.uint8))
    with pytest.raises(SourceError, match=r"a\.png: found 1 channel.* of uint8; expected .*uint16"):
        FolderSource(folder).truth(0)


def test_one_image_is_a_source_with_the_lens_beside_it(tmp_path: Path):
    folder = write_folder(tmp_path, ["a.png", "b.png"])
    (folder / "camera.yaml").write_text(YAML.format(width=64, height=48))
    source = parse_source(str(folder / "rgb" / "b.png"))
    (frame,) = source.frames()
    assert (frame.name, int(frame.rgb[0, 0, 0]), source.camera.fx, source.length) == ("b", 10, 50.0, 1)


@pytest.mark.parametrize("text", ["", "nothing/here", "999", "virtual2"])
def test_what_is_no_source_is_refused_with_the_choices(text: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # "" is the folder one is in, and it holds no image
    with pytest.raises(SourceError, match="expected"):
        parse_source(text)


def test_a_text_file_is_no_video(tmp_path: Path):
    (tmp_path / "film.mp4").write_text("Once upon a time")
    with pytest.raises(SourceError, match=r"film\.mp4.*expected a file that FFmpeg can decode"):
        parse_source(str(tmp_path / "film.mp4"))


def test_a_video_gives_its_frames_its_rate_and_the_lens_beside_it(tmp_path: Path):
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (64, 48))
    for number in range(5):
        writer.write(np.full((48, 64, 3), (0, 0, 40 * number), np.uint8))  # BGR: red
    writer.release()
    (tmp_path / "camera.yaml").write_text(YAML.format(width=64, height=48))
    source = parse_source(str(path))
    assert isinstance(source, VideoSource) and source.rate == pytest.approx(12)
    assert (source.camera.fx, source.is_live) == (50.0, False)
    reds = [frame.rgb[10, 10].astype(int) for frame in source.frames()]
    np.testing.assert_allclose(reds, [[40 * n, 0, 0] for n in range(5)], atol=6)


rosbags = pytest.importorskip("rosbags")


def write_bag(
    bag: Path, images: list, infos: list, topic: str, storage: str = "MCAP", info_topic: str = "/cam/camera_info"
):
    """A rosbag2 of (stamp in ns, message) by rosbags, written as a recorder would."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    with Writer(bag, version=9, storage_plugin=StoragePlugin[storage]) as writer:
        for name, messages in ((topic, images), (info_topic, infos)):
            if messages:
                connection = writer.add_connection(name, messages[0].__msgtype__, typestore=store)
                for number, message in enumerate(messages):
                    writer.write(connection, 10**18 + number, store.serialize_cdr(message, message.__msgtype__))
    return bag


def bag_messages(count: int, encoding: str, width: int = 8, height: int = 6) -> tuple[list, list]:
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_JAZZY).types
    time, header, image, info, roi = (types[n] for n in (
        "builtin_interfaces/msg/Time", "std_msgs/msg/Header", "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo",
        "sensor_msgs/msg/RegionOfInterest"))  # fmt: skip
    images, infos = [], []
    for number in range(count):
        head = header(time(1700000000 + number, 5), "cam_optical")
        pixels = np.tile(np.array([10 * number, 0, 200], np.uint8), height * width)
        images.append(image(head, height, width, encoding, 0, 3 * width, pixels))
        infos.append(info(head, height, width, "plumb_bob", np.array([0.1, 0, 0, 0, 0]),
                          np.array([9.0, 0, 3.5, 0, 9.5, 2.5, 0, 0, 1]), np.eye(3).ravel(), np.zeros(12), 0, 0,
                          roi(0, 0, 0, 0, False)))  # fmt: skip
    return images, infos


@pytest.mark.parametrize("storage", ["MCAP", "SQLITE3"])
def test_a_bag_gives_images_stamps_and_lens(tmp_path: Path, storage: str):
    images, infos = bag_messages(4, "bgr8")
    bag = write_bag(tmp_path / "bag", images, infos, "/cam/image_raw", storage)
    source = parse_source(str(bag))
    frames = list(source.frames())
    assert [frame.stamp for frame in frames] == [(1700000000 + n) * 10**9 + 5 for n in range(4)]
    assert frames[3].rgb[2, 2].tolist() == [200, 0, 30]  # bgr8 (30, 0, 200)
    assert (source.camera.fx, source.camera.cy, source.camera.distortion) == (9.0, 2.5, (0.1, 0, 0, 0, 0))
    (file,) = (path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    assert len(list(parse_source(str(file)).frames())) == 4


def test_depth_images_of_a_bag_are_not_taken_for_the_camera(tmp_path: Path):
    images, infos = bag_messages(1, "32FC1")
    bag = write_bag(tmp_path / "bag", images, infos, "/cam/depth")
    with pytest.raises(SourceError, match=r"found /cam/camera_info .*/cam/depth .*expected a topic of colour images"):
        parse_source(str(bag))


def test_an_already_rectified_topic_has_a_lens_without_distortion(tmp_path: Path):
    images, infos = bag_messages(1, "rgb8")
    bag = write_bag(tmp_path / "bag", images, infos, "/cam/image_rect_color")
    assert not parse_source(str(bag)).camera.is_distorted


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.95])
def test_a_truncated_bag_is_an_error(tmp_path: Path, share: float):
    images, infos = bag_messages(3, "rgb8")
    bag = write_bag(tmp_path / "bag", images, infos, "/cam/image_raw")
    (file,) = bag.glob("*.mcap")
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(SourceError, match="bag"):
        list(parse_source(str(bag)).frames())


def test_white_of_a_12_bit_camera_is_found_in_bags_and_folders(tmp_path: Path):
    values = np.tile(np.linspace(0, 2000, 64).astype(np.uint16), (48, 1))
    values[:8] = 4095
    (tmp_path / "rgb").mkdir()
    cv2.imwrite(str(tmp_path / "rgb" / "a.png"), values)
    (frame,) = parse_source(str(tmp_path)).frames()
    np.testing.assert_allclose(frame.rgb[..., 1], values * (255 / 4095), atol=0.51)
