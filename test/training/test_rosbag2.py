"""The bag reader on bags written message by message: encodings, padding, stamps, and what it says of a wrong bag."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from mono_depth_ros.camera import CameraModel
from test.training.scenes import picture, plane_depth
from training.data.frame import BadFrameError
from training.data.rosbag2 import Rosbag2, nearest_pairs

TYPES = get_typestore(Stores.ROS2_JAZZY)
CAMERA = CameraModel(width=80, height=60, fx=70, fy=72, cx=41, cy=29)
COLOR, DEPTH, INFO = "/camera/color/image_raw", "/camera/aligned_depth_to_color/image_raw", "/camera/color/camera_info"
MS = 1_000_000
START = 1_700_000_000_000 * MS

Stamped = tuple[str, int, Any]  # topic, stamp in ns, message


def message(name: str, **fields: Any) -> Any:
    return TYPES.types[name](**fields)


def header(stamp: int) -> Any:
    time = message("builtin_interfaces/msg/Time", sec=stamp // 10**9, nanosec=stamp % 10**9)
    return message("std_msgs/msg/Header", stamp=time, frame_id="camera_color_optical_frame")


def image(stamp: int, pixels: np.ndarray, encoding: str, padding: int = 0, big_endian: bool = False) -> Any:
    """Raw image whose rows end in ``padding`` bytes of 0xAB."""
    pixels = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<"))
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)
    return message(
        "sensor_msgs/msg/Image", header=header(stamp), height=len(pixels), width=pixels.shape[1], encoding=encoding,
        is_bigendian=int(big_endian), step=rows.shape[1], data=rows.reshape(-1),
    )  # fmt: skip


def compressed(stamp: int, data: bytes, form: str) -> Any:
    content = np.frombuffer(data, np.uint8)
    return message("sensor_msgs/msg/CompressedImage", header=header(stamp), format=form, data=content)


def camera_info(stamp: int, camera: CameraModel = CAMERA, fx: float | None = None) -> Any:
    roi = message("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    k = camera.matrix.reshape(-1)
    k[0] = camera.fx if fx is None else fx
    return message(
        "sensor_msgs/msg/CameraInfo", header=header(stamp), height=camera.height, width=camera.width,
        distortion_model="plumb_bob", d=np.zeros(5), k=k, r=np.eye(3).reshape(-1), p=np.zeros(12),
        binning_x=0, binning_y=0, roi=roi,
    )  # fmt: skip


def write_bag(bag: Path, messages: list[Stamped], storage: StoragePlugin = StoragePlugin.SQLITE3) -> Path:
    """Write messages in order, each recorded 5 ms after its stamp."""
    with Writer(bag, version=9, storage_plugin=storage) as writer:
        connections = {}
        for topic, stamp, content in messages:
            kind = content.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=TYPES)
            writer.write(connections[topic], stamp + 5 * MS, TYPES.serialize_cdr(content, kind))
    return bag


def write_cut_message(bag: Path) -> Path:
    """A bag whose second colour message ends half-way."""
    color = image(START, RGB, "rgb8")
    whole = TYPES.serialize_cdr(color, color.__msgtype__)
    with Writer(bag, version=9) as writer:
        info = writer.add_connection(INFO, "sensor_msgs/msg/CameraInfo", typestore=TYPES)
        writer.write(info, START, TYPES.serialize_cdr(camera_info(START), "sensor_msgs/msg/CameraInfo"))
        connection = writer.add_connection(COLOR, color.__msgtype__, typestore=TYPES)
        writer.write(connection, START, whole)
        writer.write(connection, START + MS, bytes(whole[: len(whole) // 2]))
    return bag


def millimetres(camera: CameraModel = CAMERA) -> np.ndarray:
    return (plane_depth(camera) * 1000).round().astype(np.uint16)


def one_pair(color: Any, depth: Any) -> list[Stamped]:
    return [(INFO, START, camera_info(START)), (COLOR, START, color), (DEPTH, START, depth)]


@pytest.mark.parametrize("storage", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
def test_pairs_of_a_walk(tmp_path, storage):
    messages: list[Stamped] = [(INFO, START, camera_info(START))]
    for i in range(6):
        stamp = START + 33 * i * MS
        messages.append((COLOR, stamp, image(stamp, picture(CAMERA, i), "rgb8")))
        messages.append((DEPTH, stamp + 4 * MS, image(stamp + 4 * MS, millimetres() + i, "16UC1")))
    frames = Rosbag2(write_bag(tmp_path / "walk", messages, storage), COLOR, DEPTH, INFO, rows=[(2, 6)], every=2)
    assert len(frames) == 2
    for frame, i in ((frames[1], 4), (frames[0], 2)):
        assert frame.camera == CAMERA
        np.testing.assert_array_equal(frame.rgb, picture(CAMERA, i))
        np.testing.assert_allclose(frame.depth, plane_depth(CAMERA) + i / 1000, atol=0.00051)


RGB = picture(CAMERA)
JPEG = cv2.imencode(".jpg", RGB[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()


@pytest.mark.parametrize(
    ("color", "tolerance"),
    [
        (image(START, RGB, "rgb8", padding=8), 0),
        (image(START, RGB[..., ::-1], "bgr8"), 0),
        (image(START, np.dstack([RGB, RGB[..., 0]]), "rgba8"), 0),
        (image(START, np.dstack([RGB[..., ::-1], RGB[..., 0]]), "bgra8", padding=12), 0),
        (compressed(START, JPEG, "rgb8; jpeg compressed bgr8"), 3),
    ],
    ids=["rgb8 padded", "bgr8", "rgba8", "bgra8 padded", "jpeg"],
)
def test_colour_encodings(tmp_path, color, tolerance):
    bag = write_bag(tmp_path / "bag", one_pair(color, image(START, millimetres(), "16UC1")))
    found = Rosbag2(bag, COLOR, DEPTH, INFO)[0].rgb
    assert found.shape == RGB.shape and np.abs(found.astype(int) - RGB).mean() <= tolerance


def test_colour_encodings_are_those_of_the_node(tmp_path):
    """A grey yuy2 picture: luma 16 to 235 is black to white."""
    luma = np.linspace(16, 235, 60 * 80).reshape(60, 80).round().astype(np.uint8)
    color = image(START, np.dstack([luma, np.full_like(luma, 128)]), "yuv422_yuy2")
    bag = write_bag(tmp_path / "bag", one_pair(color, image(START, millimetres(), "16UC1")))
    expected = np.dstack([(luma - 16.0) / 219 * 255] * 3)
    assert np.abs(Rosbag2(bag, COLOR, DEPTH, INFO)[0].rgb - expected).max() <= 1.5


def test_a_12_bit_camera_gives_the_same_frame_in_whatever_order(tmp_path):
    """White is found on one frame of three, and holds for all."""
    dark = np.linspace(0, 1600, 60 * 80).reshape(60, 80).astype(np.uint16)
    bright = dark.copy()
    bright[:4] = 4095
    messages: list[Stamped] = [(INFO, START, camera_info(START))]
    for i, samples in enumerate((dark, dark, bright)):
        stamp = START + 33 * i * MS
        messages.append((COLOR, stamp, image(stamp, samples, "mono16")))
        messages.append((DEPTH, stamp, image(stamp, millimetres(), "16UC1")))
    frames = Rosbag2(write_bag(tmp_path / "bag", messages), COLOR, DEPTH, INFO)
    expected = np.dstack([(dark * (255 / 4095)).round()] * 3)
    for index in (0, 1, 0):
        np.testing.assert_allclose(frames[index].rgb, expected, atol=1)


def test_grey_becomes_three_equal_channels(tmp_path):
    color = image(START, RGB[..., 0], "mono8", padding=3)
    bag = write_bag(tmp_path / "bag", one_pair(color, image(START, millimetres(), "16UC1")))
    np.testing.assert_array_equal(Rosbag2(bag, COLOR, DEPTH, INFO)[0].rgb, np.dstack([RGB[..., 0]] * 3))


def compressed_depth(units: np.ndarray) -> Any:
    return compressed(START, bytes(12) + cv2.imencode(".png", units)[1].tobytes(), "16UC1; compressedDepth png")


@pytest.mark.parametrize(
    "depth",
    [
        image(START, millimetres(), "16UC1", padding=6),
        image(START, millimetres(), "16UC1", big_endian=True),
        image(START, plane_depth(CAMERA), "32FC1", padding=4),
        image(START, plane_depth(CAMERA), "32FC1", big_endian=True),
        compressed_depth(millimetres()),
    ],
    ids=["16UC1 padded", "16UC1 big-endian", "32FC1 padded", "32FC1 big-endian", "compressedDepth"],
)
def test_depth_encodings(tmp_path, depth):
    bag = write_bag(tmp_path / "bag", one_pair(image(START, RGB, "rgb8"), depth))
    np.testing.assert_allclose(Rosbag2(bag, COLOR, DEPTH, INFO)[0].depth, plane_depth(CAMERA), atol=0.00051)


@pytest.mark.parametrize(
    ("pixels", "encoding", "metre"), [(5 * millimetres(), "16UC1", 5000), (millimetres() * 1.0, "32FC1", 1000)]
)
def test_depth_in_another_unit_is_right_where_it_is_named(tmp_path, pixels, encoding, metre):
    pixels = pixels.astype(np.float32 if encoding == "32FC1" else np.uint16)
    bag = write_bag(tmp_path / "bag", one_pair(image(START, RGB, "rgb8"), image(START, pixels, encoding)))
    np.testing.assert_allclose(Rosbag2(bag, COLOR, DEPTH, INFO, metre=metre)[0].depth, plane_depth(CAMERA), atol=1e-3)


def test_nan_infinite_and_negative_depth_is_unknown(tmp_path):
    depth = plane_depth(CAMERA)
    depth[3, :4] = np.nan, np.inf, -np.inf, -1
    bag = write_bag(tmp_path / "bag", one_pair(image(START, RGB, "rgb8"), image(START, depth, "32FC1")))
    found = Rosbag2(bag, COLOR, DEPTH, INFO)[0].depth
    assert (found[3, :4] == 0).all() and np.count_nonzero(found) == 80 * 60 - 4


def test_nearest_stamps_within_the_tolerance_are_paired():
    """10 is nearest to 12, 44 to 40 (48 is as near: the earlier), 80 has nothing within 5, 100 has 105."""
    color = [(10, 70), (44, 71), (80, 72), (100, 73)]
    depth = [(12, 1), (40, 2), (48, 3), (105, 4)]
    assert nearest_pairs(color, depth, 5) == [(70, 1), (71, 2), (73, 4)]


@settings(deadline=None)
@given(st.lists(st.integers(0, 500), unique=True).map(sorted), st.lists(st.integers(0, 500)).map(sorted))
def test_pairing_agrees_with_trying_all(first, second):
    found = dict(nearest_pairs([(s, s) for s in first], [(s, s) for s in second], 9))
    for stamp in first:
        best = min((abs(other - stamp) for other in second), default=10)
        assert (abs(found[stamp] - stamp) == best) if best <= 9 else (stamp not in found)


def test_a_missing_topic_lists_those_there(tmp_path):
    bag = write_bag(tmp_path / "bag", one_pair(image(START, RGB, "rgb8"), image(START, millimetres(), "16UC1")))
    with pytest.raises(ValueError, match=f"bag: found no topic /depth, expected one of .*{DEPTH}"):
        Rosbag2(bag, COLOR, "/depth", INFO)


def test_an_uncalibrated_camera_is_refused(tmp_path):
    bag = write_bag(tmp_path / "bag", [(INFO, START, camera_info(START, fx=0.0))])
    with pytest.raises(ValueError, match=f"bag: {INFO}: .*uncalibrated"):
        Rosbag2(bag, COLOR, DEPTH, INFO)


def test_stamps_too_far_apart_leave_nothing(tmp_path):
    late = START + 40 * MS
    messages = one_pair(image(START, RGB, "rgb8"), image(late, millimetres(), "16UC1"))
    with pytest.raises(ValueError, match=r"within 0.02 s: found no frames"):
        Rosbag2(write_bag(tmp_path / "bag", messages), COLOR, DEPTH, INFO)


@pytest.mark.parametrize(
    ("color", "depth", "message"),
    [
        (image(START, RGB, "rgb8"), image(START, millimetres()[:30, :40], "16UC1"), f"{DEPTH} at .* found 40x30"),
        (image(START, RGB, "rgb8"), image(START, plane_depth(CAMERA) * 1000, "32FC1"), f"{DEPTH} at .* another unit"),
        (
            image(START, RGB, "rgb8"),
            image(START, millimetres(), "8UC2"),
            f"{DEPTH} at .* '8UC2' is unknown; expected .* 16UC1",
        ),
        (
            image(START, RGB, "rgb565"),
            image(START, millimetres(), "16UC1"),
            f"{COLOR} at .* 'rgb565' is unknown; expected .* rgb8",
        ),
        (compressed(START, JPEG[:-60], "jpeg"), image(START, millimetres(), "16UC1"), f"{COLOR} at .* truncated JPEG"),
        (image(START, RGB[:, :70], "bgra8"), image(START, millimetres(), "16UC1"), f"{COLOR} at .* step of 210"),
    ],
    ids=["size", "unit", "depth encoding", "colour encoding", "cut short", "step"],
)
def test_a_bad_pair_names_bag_and_topic(tmp_path, color, depth, message):
    frames = Rosbag2(write_bag(tmp_path / "walk", one_pair(color, depth)), COLOR, DEPTH, INFO)
    with pytest.raises(BadFrameError, match=f"walk: {message}"):
        frames[0]


def test_a_message_cut_short_is_named(tmp_path):
    with pytest.raises(ValueError, match=f"walk: {COLOR} at {START + MS}: "):
        Rosbag2(write_cut_message(tmp_path / "walk"), COLOR, DEPTH, INFO)


@pytest.mark.parametrize(
    ("storage", "file"), [(StoragePlugin.SQLITE3, "bag.db3"), (StoragePlugin.MCAP, "bag.mcap")], ids=["SQLite", "MCAP"]
)
@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2]], ids=["empty", "half"])
def test_a_damaged_bag_is_named(tmp_path, storage: StoragePlugin, file: str, damage: Callable[[bytes], bytes]):
    messages = one_pair(image(START, RGB, "rgb8"), image(START, millimetres(), "16UC1"))
    bag = write_bag(tmp_path / "bag", messages, storage)
    (bag / file).write_bytes(damage((bag / file).read_bytes()))
    with pytest.raises(ValueError, match="bag: not a readable rosbag2"):
        Rosbag2(bag, COLOR, DEPTH, INFO)
