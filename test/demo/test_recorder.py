"""What the demo measures and records: messages made by ROS itself, written, read back, and worked out by hand."""

import json
from collections import namedtuple
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")
from builtin_interfaces.msg import Time
from rclpy.serialization import serialize_message
from rosbags.highlevel import AnyReader
from std_msgs.msg import Header

from demo import recording
from demo.measures import Arrival, Errors, read_sent, summary
from demo.pictures import colored_error, open_video
from demo.recording import TYPES, Assembler, FrameSet, Message, Recorder, recorded_sets
from demo.report import CLOUD, SHEET, VIDEO, Recording, _nearest, write_pictures
from demo.session import BAG, SENT
from mono_depth_ros.camera import CameraModel
from mono_depth_ros.demo.player import raw_camera_info
from mono_depth_ros.pointcloud import CloudBuilder
from mono_depth_ros.ros.messages import camera_info_message, cloud_message, depth_message, rgb_message

CAMERA = CameraModel(32, 24, 30.0, 31.0, 15.5, 11.5)
DISTORTED = CameraModel(32, 24, 30.0, 31.0, 15.5, 11.5, "plumb_bob", (0.1, -0.02, 0.001, 0.002, 0.0))


def frame_set(number: int, nanoseconds: int = 0) -> FrameSet:
    """All messages of one image, as rclpy serialises them, published `nanoseconds` into the recording."""
    rng = np.random.default_rng(number)
    rgb = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    depth = rng.uniform(1, 5, (24, 32)).astype(np.float32)
    depth[0, :3] = (np.nan, np.inf, -np.inf)
    header = Header(stamp=Time(sec=1_700_000_000 + number, nanosec=7), frame_id="camera_optical_frame")
    messages = {
        recording.IMAGE: rgb_message(header, rgb),
        recording.INFO: raw_camera_info(header, DISTORTED),
        recording.DEPTH: depth_message(header, depth),
        recording.DEPTH_INFO: camera_info_message(header, CAMERA),
        recording.POINTS: cloud_message(header, CloudBuilder(CAMERA, stride=2).build(depth, rgb)),
    }
    published = 1_750_000_000 * 10**9 + nanoseconds
    serialised = {topic: Message(TYPES[topic], serialize_message(m), published) for topic, m in messages.items()}
    return FrameSet((1_700_000_000 + number) * 10**9 + 7, serialised)


def test_a_set_gives_back_what_was_published():
    rng = np.random.default_rng(3)
    rgb = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    depth = rng.uniform(1, 5, (24, 32)).astype(np.float32)
    depth[0, :3] = (np.nan, np.inf, -np.inf)
    found = frame_set(3)
    np.testing.assert_array_equal(found.rgb(), rgb)
    np.testing.assert_array_equal(found.depth(), depth)
    assert found.depth_camera().rectified() == CAMERA and not found.depth_camera().is_distorted
    expected = CloudBuilder(CAMERA, stride=2).build(depth, rgb)
    assert found.cloud().dtype == expected.dtype and found.cloud().tobytes() == expected.tobytes()


@given(st.permutations([(number, topic) for number in range(3) for topic in sorted(frame_set(0).messages)]))
def test_messages_are_put_together_in_whatever_order_they_come(order):
    sets = [frame_set(number) for number in range(3)]
    assembler, complete = Assembler(), []
    for number, topic in order:
        if found := assembler.add(topic, sets[number].messages[topic]):
            complete.append(found)
    assert sorted(found.stamp for found in complete) == [found.stamp for found in sets]
    for found in complete:
        assert {message.stamp for message in found.messages.values()} == {found.stamp}


def test_images_of_which_nothing_came_do_not_fill_the_memory():
    assembler = Assembler()
    first = frame_set(0)
    assembler.add(recording.IMAGE, first.messages[recording.IMAGE])
    for number in range(1, 200):
        assembler.add(recording.IMAGE, frame_set(number).messages[recording.IMAGE])
    rest = [topic for topic in first.messages if topic != recording.IMAGE]
    assert [assembler.add(topic, first.messages[topic]) for topic in rest] == [None] * 4


def recorded(bag: Path, sets: list[FrameSet]) -> Recorder:
    recorder = Recorder(bag)
    for found in sets:
        recorder.write(found)
    recorder.close()
    return recorder


def test_the_bag_has_the_topics_types_and_bytes_of_the_stream(tmp_path: Path):
    sets = [frame_set(number, number * 100_000_000) for number in range(4)]
    recorder = recorded(tmp_path / BAG, sets)
    assert (recorder.count, recorder.problem) == (4, "")
    with AnyReader([tmp_path / BAG]) as reader:  # without a type store: the bag must hold the definitions itself
        assert {(c.topic, c.msgtype, c.msgcount) for c in reader.connections} == {
            ("/image", "sensor_msgs/msg/Image", 4),
            ("/camera_info", "sensor_msgs/msg/CameraInfo", 4),
            ("/depth", "sensor_msgs/msg/Image", 4),
            ("/depth/camera_info", "sensor_msgs/msg/CameraInfo", 4),
            ("/depth/points", "sensor_msgs/msg/PointCloud2", 4),
        }
        assert all(c.msgdef.data and c.digest for c in reader.connections)
        (connection,) = (c for c in reader.connections if c.topic == "/camera_info")
        info = reader.deserialize(next(reader.messages([connection]))[2], connection.msgtype)
        assert (info.distortion_model, list(info.d)) == ("plumb_bob", list(DISTORTED.distortion))
        assert info.header.frame_id == "camera_optical_frame"
    metadata = (tmp_path / BAG / "metadata.yaml").read_text()
    assert "storage_identifier: mcap" in metadata and "message_count: 20" in metadata
    back = list(recorded_sets(tmp_path / BAG))
    assert [found.stamp for found in back] == [found.stamp for found in sets]
    assert [found.messages for found in back] == [found.messages for found in sets]


def test_ten_sets_a_second_are_recorded_of_thirty(tmp_path: Path):
    sets = [frame_set(number, number * 33_333_333) for number in range(31)]
    assert recorded(tmp_path / BAG, sets).count == 11
    stamps = [found.stamp // 10**9 - 1_700_000_000 for found in recorded_sets(tmp_path / BAG)]
    assert stamps == list(range(0, 31, 3))


def test_recording_stops_before_the_disk_is_full_and_what_it_has_stays_readable(tmp_path: Path, monkeypatch):
    recorder = Recorder(tmp_path / BAG)
    recorder.write(frame_set(0))
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(recording.shutil, "disk_usage", lambda path: usage(recording.RESERVE - 1))
    for number in range(1, 4):
        recorder.write(frame_set(number, number * 10**9))
    recorder.close()
    assert recorder.count == 1 and "499 MB free" in recorder.problem
    assert [found.stamp for found in recorded_sets(tmp_path / BAG)] == [frame_set(0).stamp]


def test_without_room_from_the_start_no_bag_is_left(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(recording.shutil, "disk_usage", lambda path: namedtuple("usage", "free")(0))
    recorder = recorded(tmp_path / BAG, [frame_set(0)])
    assert recorder.count == 0 and "0 MB free" in recorder.problem
    assert not (tmp_path / BAG).exists()


def test_errors_by_hand():
    depth = np.array([[1.0, 3.0, np.nan], [4.0, 2.0, np.inf]], np.float32)
    truth = np.array([[1.0, 2.0, 3.0], [5.0, 0.0, 1.0]], np.float32)
    # Compared: 1 with 1, 3 with 2, 4 with 5. Ratios 1, 1.5, 0.8 (1.25 the other way, which is not below 1.25).
    assert Errors.between(depth, truth) == Errors(
        abs_rel=pytest.approx((0 + 0.5 + 0.2) / 3),
        rmse=pytest.approx(np.sqrt((0 + 1 + 1) / 3)),
        delta1=pytest.approx(1 / 3),
        compared=pytest.approx(3 / 5),
    )
    assert Errors.between(depth, np.zeros((2, 3), np.float32)) is None
    assert Errors.mean([]) is None
    assert Errors.mean([Errors(0, 0, 1, 1), Errors(1, 2, 0, 0.5)]) == Errors(0.5, 1, 0.5, 0.75)


def test_a_summary_by_hand():
    # Frames that were due at 1, 2 and 4 s came out 0.1, 0.2 and 0.6 s later; that of 3 s did not.
    sent = {number * 10**9: number - 1 for number in (1, 2, 3, 4)}
    arrivals = [
        Arrival(at * 10**9, "lens", at * 10**9 + late) for at, late in ((1, 10**8), (2, 2 * 10**8), (4, 6 * 10**8))
    ]
    found = summary({"/depth": arrivals, "/depth/points": arrivals[:2]}, {"lens"}, sent)
    assert (found["frames_in"], found["frames_out"]) == (4, 3)
    assert found["frames_per_second"] == pytest.approx(2 / 3.5)
    assert found["age_p50"] == pytest.approx(0.2)
    assert found["age_p95"] == pytest.approx(0.56)  # 0.2 + 0.9 (0.6 - 0.2)
    assert found["headers_equal"] is True
    assert found["messages"] == {"/depth": 3, "/depth/points": 2}


@pytest.mark.parametrize("stranger", [Arrival(101, "lens", 0), Arrival(100, "lense", 0)])
def test_one_header_of_another_stamp_or_frame_is_enough_to_be_unequal(stranger: Arrival):
    outputs = {"/depth": [Arrival(100, "lens", 0)], "/depth/points": [stranger]}
    assert summary(outputs, {"lens"}, {100: 0})["headers_equal"] is False


def test_nothing_that_came_out_is_a_summary_too():
    found = summary({"/depth": []}, set(), {1: 0})
    assert (found["frames_out"], found["age_p50"], found["headers_equal"]) == (0, None, False)
    json.dumps(found)


def test_the_sent_frames_are_read_by_stamp(tmp_path: Path):
    (tmp_path / "sent.csv").write_text("frame,stamp_ns\n0,5\n1,7\n")
    assert read_sent(tmp_path / "sent.csv") == {5: 0, 7: 1}
    (tmp_path / "sent.csv").write_text("")
    assert read_sent(tmp_path / "sent.csv") == {}


def test_the_colours_of_the_error():
    depth = np.array([[2.0, 3.0, 4.0, 1.0, np.nan]], np.float32)
    truth = np.array([[2.0, 2.0, 2.0, 0.0, 2.0]], np.float32)
    exact, half, double, *unknown = colored_error(depth, truth)[0].astype(int)
    assert exact.sum() < 30 < half.sum()
    np.testing.assert_array_equal(half, double)  # 50 % and more
    assert [color.tolist() for color in unknown] == [[90, 90, 90]] * 2


class Source:
    """Knows a depth a tenth nearer than that of each frame."""

    camera = CAMERA

    def truth(self, index: int) -> np.ndarray:
        known = np.nan_to_num(frame_set(index).depth(), nan=0, posinf=0, neginf=0)
        return known / np.float32(1.1)


class BlindSource(Source):
    def truth(self, index: int) -> None:
        return None


def session(folder: Path, numbers) -> Path:
    """What a session leaves in its folder, with these frames, five a second."""
    sets = [frame_set(number, number * 200_000_000) for number in numbers]
    assert recorded(folder / BAG, sets).count == len(sets)
    rows = [f"{number},{found.stamp}" for number, found in zip(numbers, sets, strict=True)]
    (folder / SENT).write_text("\n".join(["frame,stamp_ns", *rows]))
    return folder


def test_the_report_leaves_a_sheet_a_video_and_a_cloud(tmp_path: Path):
    recording = Recording(session(tmp_path, range(7)), Source())
    mean = Errors.mean(recording.errors())
    assert len(recording.errors()) == 7
    assert (mean.abs_rel, mean.delta1, mean.compared) == (pytest.approx(0.1, abs=1e-6), 1.0, 1.0)

    write_pictures(tmp_path, recording, None)
    sheet = cv2.imread(str(tmp_path / SHEET))
    video = cv2.VideoCapture(str(tmp_path / VIDEO))
    size = tuple(round(video.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 7
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(35 / 6, rel=0.01)  # 7 sets in 1.2 s
    assert size == sheet.shape[1::-1][:1] + (384,) and sheet.shape[0] == 5 * 384
    # The first row's first cell is the first image: compare away from the caption.
    shown = cv2.resize(sheet[24:384, :480, ::-1], (32, 24), interpolation=cv2.INTER_AREA)
    assert np.abs(shown.astype(int) - frame_set(0).rgb()).mean() < 12

    header, _, body = (tmp_path / CLOUD).read_bytes().partition(b"end_header\n")
    good = int(np.isfinite(frame_set(6).cloud()["z"]).sum())
    assert f"element vertex {good}\n".encode() in header and len(body) == good * 15


def test_the_sheet_grows_by_what_is_known(tmp_path: Path):
    one, other = session(tmp_path / "one", range(3)), session(tmp_path / "other", (0, 2))
    widths = []
    for source, corrected in ((BlindSource(), None), (Source(), None), (Source(), Recording(other, Source()))):
        write_pictures(tmp_path, Recording(one, source), corrected)
        widths.append(cv2.imread(str(tmp_path / SHEET)).shape[1])
    assert widths[1] > 1.9 * widths[0] and widths[2] > 1.4 * widths[1]


def test_a_frame_is_shown_beside_the_nearest_of_the_other_session(tmp_path: Path):
    one, other = (Recording(session(tmp_path / name, numbers), Source()) for name, numbers in (
        ("one", (0, 3, 7, 20)), ("other", (1, 2, 9, 10))))  # fmt: skip
    assert [(a.number, b.number) for a, b in _nearest(one, other)] == [(0, 1), (3, 2), (7, 9), (20, 10)]


def test_a_video_that_cannot_be_written_is_an_error(tmp_path: Path):
    with pytest.raises(OSError, match="nowhere"):
        open_video(tmp_path / "nowhere" / "video.mp4", 10, np.zeros((40, 60, 3), np.uint8))


def test_rerun_gets_the_image_the_depth_and_the_points(tmp_path: Path):
    rerun = pytest.importorskip("rerun")
    from demo import viewer

    rerun.init("test", strict=True)
    rerun.save(tmp_path / "live.rrd")
    viewer.show(frame_set(0), farthest=6.0)
    rerun.disconnect()
    content = (tmp_path / "live.rrd").read_bytes()
    for entity in (b"camera/image", b"camera/depth", b"camera/points"):
        assert entity in content


def test_without_a_screen_the_viewer_says_so_and_starts_nothing(monkeypatch):
    pytest.importorskip("rerun")
    from demo import viewer

    for screen in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(screen, raising=False)
    monkeypatch.setattr(viewer.subprocess, "Popen", lambda *_, **__: pytest.fail("a viewer was started"))
    assert viewer.open_viewer(6.0) is False
