"""The whole demo through real processes and real DDS: real frames in, the right headers out, files that open."""

import csv
import json
import os
import signal
import threading
import time
from itertools import count, islice
from pathlib import Path
from subprocess import Popen

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")
pytest.importorskip("tqdm")
pytest.importorskip("psutil")
import psutil
from std_msgs.msg import Header

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.demo import camera_process
from mono_depth_ros.demo.camera_process import ahead, looped, raw_camera_info
from mono_depth_ros.demo.recording import INFO, recorded_sets
from mono_depth_ros.demo.ros_process import StopRequest
from mono_depth_ros.demo.run import described
from mono_depth_ros.io import Frame, SourceError
from mono_depth_ros.ros.images import camera_from_info
from test.demo.runs import TIMEOUT, finish, start


def demo_of(*arguments: object) -> Popen:
    return start("demo", *arguments)


def children_of(demo: Popen, number: int) -> list:
    """The processes that the demo has started, once there are so many."""
    deadline = time.monotonic() + TIMEOUT
    while len(found := psutil.Process(demo.pid).children()) < number:
        assert demo.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    return found


def wait_for_frames(output: Path, number: int, demo: Popen) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not (output / "sent.csv").is_file() or len((output / "sent.csv").read_text().splitlines()) <= number:
        assert demo.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of five minutes, a small picture again and again: it goes on until somebody ends it."""
    path = tmp_path_factory.mktemp("walk") / "walk.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (64, 48))
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    for _ in range(9000):
        writer.write(picture)
    writer.release()
    return path


@pytest.fixture(scope="module")
def office(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demo on the first 25 frames of a hand-held Kinect: its folder and what it said."""
    output = tmp_path_factory.mktemp("office")
    code, out, err = finish(demo_of("--source", shared_data / "tum_fr1_rpy", "--frames", "25", "--output", output))
    assert code == 0, out + err
    return output, out


def test_every_frame_is_accounted_for_and_every_message_arrives(office):
    measured = json.loads((office[0] / "measurements.json").read_text())
    counts = measured["node_counts"]
    assert measured["frames_in"] == 25
    assert measured["frames_out"] == counts["published"] > 0
    assert counts["published"] + counts["dropped"] == counts["received"]
    # A busy machine may let the second frame overtake the first, which nobody can know of then.
    assert 23 <= counts["received"] + counts["lost"] <= 25
    assert counts["rejected"] == counts["failed"] == 0
    assert set(measured["messages"]) == {"/depth", "/depth/camera_info", "/depth/points", "/depth/color"}
    assert set(measured["messages"].values()) == {measured["frames_out"]}
    assert measured["headers_equal"] is True
    assert 0 < measured["age_p50"] <= measured["age_p95"]


def test_stamps_and_lens_of_the_recording_reach_the_node(office, shared_data: Path):
    with open(shared_data / "tum_fr1_rpy" / "stamps.csv", newline="") as file:
        stamps = {int(row["stamp_s"].replace(".", "")) * 1000 for row in csv.DictReader(file)}
    sets = list(recorded_sets(office[0] / "bag"))
    assert sets and {found.stamp for found in sets} <= stamps
    kinect = CameraModel.from_yaml(shared_data / "tum_fr1_rpy" / "camera.yaml")
    for found in sets:
        sent = camera_from_info(found._decoded(INFO))
        assert (sent.fx, sent.cy, sent.distortion) == (517.3, 255.3, (0.2624, -0.9531, -0.0054, 0.0026, 1.1633))
        assert not found.depth_camera().is_distorted and found.depth_camera().fx == kinect.rectified().fx
        assert {message.frame_id for message in found.messages.values()} == {"camera_optical_frame"}


def test_the_office_is_measured_against_the_kinect(office):
    measured = json.loads((office[0] / "measurements.json").read_text())
    errors = measured["errors"]
    assert measured["frames_compared"] == measured["frames_recorded"] > 0
    # A network without sense for the scene is off by more; how good it is, is for the checkpoint's own tests.
    assert 0.01 < errors["abs_rel"] < 0.6 and errors["compared"] > 0.9
    assert f"AbsRel {errors['abs_rel']:.3f}" in office[1]


def test_what_is_left_to_look_at_opens(office):
    output, said = office
    measured = json.loads((output / "measurements.json").read_text())
    for name in ("sheet.png", "video.mp4", "cloud.ply", "bag", "measurements.json"):
        assert str(output / name) in said
    assert cv2.imread(str(output / "sheet.png")).std() > 20
    video = cv2.VideoCapture(str(output / "video.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == measured["frames_recorded"]
    assert (output / "cloud.ply").read_bytes().startswith(b"ply\nformat binary_little_endian 1.0\n")
    cloud = next(recorded_sets(output / "bag")).cloud()
    assert cloud.shape == (240, 320) and np.isfinite(cloud["z"]).mean() > 0.5


def test_a_second_demo_takes_the_place_of_the_first_and_of_nothing_else(office, shared_data: Path):
    output = office[0]
    (output / "mine.txt").write_text("keep")
    code, out, err = finish(demo_of("--source", shared_data / "realsense_home", "--frames", "3", "--output", output))
    assert code == 0, out + err
    assert json.loads((output / "measurements.json").read_text())["frames_in"] == 3
    assert (output / "mine.txt").read_text() == "keep"


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path):
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "thesis.txt").write_text("years of work")
    code, _, err = finish(demo_of("--output", tmp_path))
    assert code == 1 and "holds files that are not of a demo" in err
    assert (tmp_path / "bag" / "thesis.txt").read_text() == "years of work"


def test_a_source_that_is_none_is_said_before_anything_starts(tmp_path: Path):
    code, out, err = finish(demo_of("--source", "no/such/thing", "--output", tmp_path))
    assert code == 1 and "The demo failed: source 'no/such/thing': found no such file or folder" in err
    assert "Starting" not in out


def test_a_checkpoint_that_is_missing_ends_the_demo_with_the_nodes_own_words(tmp_path: Path, shared_data: Path):
    source = shared_data / "realsense_home"
    demo = demo_of("--source", source, "--checkpoint", tmp_path / "none.safetensors", "--output", tmp_path / "out")
    code, _, err = finish(demo)
    assert code == 1 and "cannot configure" in err and "none.safetensors" in err


def test_ctrl_c_ends_the_stream_early_and_still_reports(tmp_path: Path, walk: Path):
    demo = demo_of("--source", walk, "--frames", "0", "--output", tmp_path / "out")
    children = children_of(demo, 3)
    wait_for_frames(tmp_path / "out", 10, demo)
    demo.send_signal(signal.SIGINT)
    code, out, err = finish(demo)
    assert code == 0, out + err
    measured = json.loads((tmp_path / "out" / "measurements.json").read_text())
    assert 10 <= measured["frames_in"] < 9000 and measured["frames_out"] > 0
    assert not [child for child in children if child.is_running()]


@pytest.mark.parametrize("module", ["mono_depth_ros.ros", "mono_depth_ros.demo.camera_process"])
def test_a_process_that_dies_ends_the_demo_and_leaves_none_behind(tmp_path: Path, walk: Path, module: str):
    demo = demo_of("--source", walk, "--frames", "0", "--output", tmp_path / "out")
    children = children_of(demo, 3)
    wait_for_frames(tmp_path / "out", 5, demo)
    (victim,) = (child for child in children if module in child.cmdline())
    victim.kill()
    code, _, err = finish(demo)
    name = {"mono_depth_ros.ros": "depth_node"}.get(module, "camera")
    assert code == 1 and f"{name} was killed by signal 9" in err
    assert not [child for child in children if child.is_running()]


class FakeTime:
    """A clock that only waiting moves, in place of the time module and of a StopRequest."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False

    def is_set(self) -> bool:
        return False


class Recording:
    """Frames with stamps, each of which takes some seconds to fetch."""

    def __init__(self, clock: FakeTime, stamps: list, fetching: list[float], is_live: bool = False) -> None:
        self.rate, self.is_live = 20.0, is_live
        self._clock, self._frames = clock, list(zip(stamps, fetching, strict=True))

    def frames(self):
        for stamp, seconds in self._frames:
            self._clock.now += seconds
            yield Frame(np.zeros((1, 1, 3), np.uint8), stamp)


def published(monkeypatch, stamps: list, fetching: list[float], is_live: bool = False, rate: int = 0) -> list[float]:
    """Seconds between the frames as they go out."""
    clock = FakeTime()
    monkeypatch.setattr(camera_process, "time", clock)
    source = Recording(clock, stamps, fetching, is_live)
    times = [clock.now for _ in camera_process.paced(source.frames(), source, clock, rate)]
    return np.diff(times).tolist()


def test_frames_go_out_at_the_pace_of_their_stamps_from_the_first_one_on(monkeypatch):
    stamps = [10**18 + int(s * 1e9) for s in (0, 0.03, 0.07, 0.1)]
    assert published(monkeypatch, stamps, [5.0, 0.0, 0.0, 0.0]) == pytest.approx([0.03, 0.04, 0.03])


def test_frames_without_stamps_go_out_at_the_rate_of_the_source(monkeypatch):
    assert published(monkeypatch, [None] * 4, [1.0, 0.01, 0.02, 0.0]) == pytest.approx([0.05] * 3)


def test_pauses_are_cut_and_stamps_that_run_backwards_do_not_wait(monkeypatch):
    stamps = [10**18 + s * 10**9 for s in (0, 3600, 1800, 1801)]
    assert published(monkeypatch, stamps, [0.0] * 4) == pytest.approx([1.0, 0.0, 1.0])


def test_after_a_delay_the_stream_catches_up_by_one_frame_and_not_in_a_burst(monkeypatch):
    gaps = published(monkeypatch, [None] * 5, [0.0, 0.0, 2.0, 0.0, 0.0])
    assert gaps == pytest.approx([0.05, 2.0, 0.0, 0.05])


def test_a_given_rate_is_kept_whatever_the_stamps_say(monkeypatch):
    stamps = [10**18 + s * 10**9 for s in range(4)]
    assert published(monkeypatch, stamps, [0.0] * 4, rate=40) == pytest.approx([0.025] * 3)


def test_looped_frames_are_all_there_before_the_first_and_have_no_stamp_that_could_repeat():
    fetched = []
    frames = (fetched.append(n) or Frame(np.full((1, 1, 3), n, np.uint8), 10**18 + n) for n in count())
    played = list(islice(looped(frames, 3), 7))
    assert [frame.rgb[0, 0, 0] for frame in played] == [0, 1, 2, 0, 1, 2, 0]
    assert {frame.stamp for frame in played} == {None}
    assert fetched == [0, 1, 2]


def test_a_live_camera_sets_the_pace_itself(monkeypatch):
    assert published(monkeypatch, [None] * 3, [0.0, 0.3, 0.01], is_live=True) == pytest.approx([0.3, 0.01])


def test_frames_fetched_ahead_keep_their_order_and_are_there_before_the_first_is_used():
    fetched = []

    def frames():
        for number in range(8):
            fetched.append(number)
            yield number

    with ahead(frames(), 5, StopRequest()) as played:
        assert next(played) == 0 and len(fetched) >= 5
        assert list(played) == [1, 2, 3, 4, 5, 6, 7]


def test_an_error_while_fetching_is_raised_where_the_frames_are_used():
    def frames():
        yield 1
        raise SourceError("image 2: found no picture")

    with ahead(frames(), 10, StopRequest()) as played:
        assert next(played) == 1
        with pytest.raises(SourceError, match="image 2"):
            next(played)


def test_an_endless_source_is_fetched_no_further_than_asked_and_no_longer_than_used():
    fetched = []
    before = threading.active_count()
    with ahead((fetched.append(number) or number for number in count()), 5, StopRequest()) as played:
        assert list(islice(played, 20)) == list(range(20))
        assert len(fetched) <= 20 + 5 + 2
    assert threading.active_count() == before


def test_the_raw_camera_info_tells_the_whole_calibration():
    camera = CameraModel(
        640, 480, 500.0, 505.0, 320.0, 240.0, "plumb_bob", (0.1, 0.0, 0.0, 0.0, 0.0),
        (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0), (480.0, 480.0, 319.0, 239.0),
    )  # fmt: skip
    assert camera_from_info(raw_camera_info(Header(frame_id="lens"), camera)) == camera


def test_signals_stop_a_wait_however_often_they_come():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        stop = StopRequest()
        assert not stop.wait(0.01)
        senders = [threading.Timer(0.1, os.kill, (os.getpid(), number)) for number in (signal.SIGINT, signal.SIGTERM)]
        for sender in senders:
            sender.start()
        assert stop.wait(60) and stop.is_set()
        for sender in senders:
            sender.join()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_the_figures_are_said_in_words(tmp_path: Path):
    (tmp_path / "sheet.png").touch()
    summary = {
        "frames_in": 300, "frames_out": 120, "frames_dropped": 180, "frames_per_second": 12.34, "age_p50": 0.0812,
        "age_p95": 0.1466, "errors": None, "frames_compared": 0, "headers_equal": True, "messages": {"/depth": 120},
        "recording_problem": "disk: 12 MB free",
    }  # fmt: skip
    said = described(summary, tmp_path, 31.4)
    assert "300 in, 120 out, 180 dropped" in said and "12.3 frames per second" in said
    assert "p50 81 ms, p95 147 ms" in said and "no depth to compare with" in said
    assert "Recording stopped early: disk: 12 MB free" in said
    assert str(tmp_path / "sheet.png") in said and "video.mp4" not in said
    assert "All in 31 s" in said
