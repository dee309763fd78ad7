"""The whole demo through real processes and real DDS: real frames in, the right headers out, files that open."""

import json
import signal
import time
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

from demo.measures import read_sent
from demo.recording import INFO, recorded_sets
from demo.run import described
from mono_depth_ros.camera import camera_from_info
from mono_depth_ros.demo.sources import parse_source
from test.runs import TIMEOUT, finish, start


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
def office(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demo on the clip that ships: its folder and what it said."""
    output = tmp_path_factory.mktemp("office")
    code, out, err = finish(demo_of("--output", output))
    assert code == 0, out + err
    return output, out


def test_every_frame_is_accounted_for_and_every_message_arrives(office):
    measured = json.loads((office[0] / "measurements.json").read_text())
    counts = measured["node_counts"]
    assert measured["frames_in"] == 100
    assert measured["frames_out"] == counts["published"] > 0
    assert counts["published"] + counts["dropped"] == counts["received"]
    # A busy machine may let later frames overtake the first ones, which nobody can know of then.
    assert 90 <= counts["received"] + counts["lost"] <= 100
    assert counts["rejected"] == counts["failed"] == 0
    assert set(measured["messages"]) == {"/depth", "/depth/camera_info", "/depth/points", "/depth/color"}
    assert set(measured["messages"].values()) == {measured["frames_out"]}
    assert measured["headers_equal"] is True
    assert 0 < measured["age_p50"] <= measured["age_p95"]


def test_stamps_and_lens_reach_the_node_and_come_back(office):
    kinect = parse_source("clip").camera
    sent, sets = read_sent(office[0] / "sent.csv"), list(recorded_sets(office[0] / "bag"))
    assert len(sent) == 100 and sets and {found.stamp for found in sets} <= sent.keys()
    assert abs(min(sent) / 1e9 - time.time()) < 3600  # as if the camera saw it now
    for found in sets:
        assert camera_from_info(found.messages[INFO].content) == kinect and kinect.is_distorted
        assert not found.depth_camera().is_distorted and found.depth_camera().fx == kinect.rectified().fx
        assert {m.content.header.frame_id for m in found.messages.values()} == {"camera_optical_frame"}


def test_the_office_is_measured_against_the_kinect(office):
    measured = json.loads((office[0] / "measurements.json").read_text())
    errors = measured["errors"]
    assert measured["frames_compared"] == measured["frames_recorded"] > 0
    # A network without sense for the scene is off by more; how good it is, is for the checkpoint's own tests.
    assert 0.01 < errors["abs_rel"] < 0.6 and errors["compared"] > 0.9
    assert f"AbsRel {errors['abs_rel']:.3f}" in office[1]


def test_the_same_scene_is_better_known_with_some_distances(office):
    measured = json.loads((office[0] / "measurements.json").read_text())
    corrected = measured["corrected"]
    assert corrected["frames_in"] == 100 and corrected["headers_equal"] is True
    assert corrected["errors"]["abs_rel"] < 0.85 * measured["errors"]["abs_rel"]
    assert f"AbsRel {corrected['errors']['abs_rel']:.3f}" in office[1]


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


def test_a_second_demo_takes_the_place_of_the_first_and_of_nothing_else(office, walk: Path):
    output = office[0]
    (output / "mine.txt").write_text("keep")
    code, out, err = finish(demo_of("--source", walk, "--frames", "30", "--output", output))
    assert code == 0, out + err
    assert json.loads((output / "measurements.json").read_text())["frames_in"] == 30
    assert "no depth to compare with" in out
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


def test_a_checkpoint_that_is_missing_ends_the_demo_with_the_nodes_own_words(tmp_path: Path):
    demo = demo_of("--checkpoint", tmp_path / "none.safetensors", "--output", tmp_path / "out")
    code, _, err = finish(demo)
    assert code == 1 and "cannot configure" in err and "none.safetensors" in err


def test_ctrl_c_ends_the_stream_early_and_still_reports(tmp_path: Path, walk: Path):
    demo = demo_of("--source", walk, "--frames", "0", "--output", tmp_path / "out")
    children = children_of(demo, 2)
    wait_for_frames(tmp_path / "out", 10, demo)
    demo.send_signal(signal.SIGINT)
    code, out, err = finish(demo)
    assert code == 0, out + err
    measured = json.loads((tmp_path / "out" / "measurements.json").read_text())
    assert 10 <= measured["frames_in"] < 9000 and measured["frames_out"] > 0
    assert not [child for child in children if child.is_running()]


@pytest.mark.parametrize("module", ["mono_depth_ros.ros", "mono_depth_ros.demo.camera"])
def test_a_process_that_dies_ends_the_demo_and_leaves_none_behind(tmp_path: Path, walk: Path, module: str):
    demo = demo_of("--source", walk, "--frames", "0", "--output", tmp_path / "out")
    children = children_of(demo, 2)
    wait_for_frames(tmp_path / "out", 5, demo)
    (victim,) = (child for child in children if module in child.cmdline())
    victim.kill()
    code, _, err = finish(demo)
    name = {"mono_depth_ros.ros": "depth_node"}.get(module, "camera")
    assert code == 1 and f"{name} was killed by signal 9" in err
    assert not [child for child in children if child.is_running()]


def test_the_figures_are_said_in_words(tmp_path: Path):
    (tmp_path / "sheet.png").touch()
    summary = {
        "frames_in": 300, "frames_out": 120, "frames_per_second": 12.34, "age_p50": 0.0812,
        "age_p95": 0.1466, "errors": None, "headers_equal": True, "messages": {"/depth": 120},
        "recording_problem": "disk: 12 MB free",
    }  # fmt: skip
    said = described(summary, tmp_path, 31.4)
    assert "300 in, 120 out, 180 dropped" in said and "12.3 frames per second" in said
    assert "p50 81 ms, p95 147 ms" in said and "no depth to compare with" in said
    assert "Recording stopped early: disk: 12 MB free" in said
    assert str(tmp_path / "sheet.png") in said and "video.mp4" not in said
    assert "All in 31 s" in said
