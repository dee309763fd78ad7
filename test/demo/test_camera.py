"""The demo's camera: when frames go out, with which stamps and lens, and how it ends."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")
from std_msgs.msg import Header

from mono_depth_ros.camera import CameraModel, camera_from_info
from mono_depth_ros.demo import player
from mono_depth_ros.demo.player import odometry, paced, raw_camera_info
from mono_depth_ros.demo.ros_process import StopRequest
from mono_depth_ros.demo.tof import NOISE, TimeOfFlight
from mono_depth_ros.io import Frame
from test.conftest import REPOSITORY


class FakeTime:
    """A clock that only waiting moves, in place of the time module and of a StopRequest."""

    def __init__(self) -> None:
        self.now = 1_750_000_000.0

    def time(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += max(seconds, 0.0)
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


def published(monkeypatch, stamps: list, fetching: list[float], is_live: bool = False, rate: int = 0):
    """Seconds between the frames as they go out, and how much later each goes out than its stamp says."""
    clock = FakeTime()
    monkeypatch.setattr(player, "time", clock)
    source = Recording(clock, stamps, fetching, is_live)
    frames = paced(enumerate(source.frames()), source, clock, rate)
    out = [(clock.now, stamp / 1e9) for stamp, _, _ in frames]
    return np.diff([now for now, _ in out]).tolist(), [now - stamp for now, stamp in out]


def approx(values):
    return pytest.approx(values, abs=1e-6)


def test_frames_go_out_at_the_pace_of_their_stamps_from_the_first_one_on_with_the_time_of_now(monkeypatch):
    stamps = [10**18 + int(s * 1e9) for s in (0, 0.03, 0.07, 0.1)]
    gaps, late = published(monkeypatch, stamps, [5.0, 0.0, 0.0, 0.0])
    assert gaps == approx([0.03, 0.04, 0.03]) and late == approx([0.0] * 4)


def test_frames_without_stamps_go_out_at_the_rate_of_the_source(monkeypatch):
    assert published(monkeypatch, [None] * 4, [1.0, 0.01, 0.02, 0.0])[0] == approx([0.05] * 3)


def test_pauses_are_cut_and_where_stamps_run_backwards_the_rate_goes_on(monkeypatch):
    stamps = [10**18 + s * 10**9 for s in (0, 3600, 1800, 1801)]
    assert published(monkeypatch, stamps, [0.0] * 4)[0] == approx([1.0, 0.05, 1.0])


def test_after_a_delay_the_stream_catches_up_by_one_frame_and_not_in_a_burst(monkeypatch):
    gaps, late = published(monkeypatch, [None] * 5, [0.0, 0.0, 2.0, 0.0, 0.0])
    assert gaps == approx([0.05, 2.0, 0.0, 0.05])
    assert late == approx([0.0, 0.0, 0.05, 0.0, 0.0])  # by the stamp, which never repeats


def test_a_given_rate_is_kept_whatever_the_stamps_say(monkeypatch):
    stamps = [10**18 + s * 10**9 for s in range(4)]
    assert published(monkeypatch, stamps, [0.0] * 4, rate=40)[0] == approx([0.025] * 3)


def test_a_live_camera_sets_the_pace_itself(monkeypatch):
    assert published(monkeypatch, [None] * 3, [0.0, 0.3, 0.01], is_live=True)[0] == approx([0.3, 0.01])


def test_the_raw_camera_info_tells_the_whole_calibration():
    camera = CameraModel(
        640, 480, 500.0, 505.0, 320.0, 240.0, "plumb_bob", (0.1, 0.0, 0.0, 0.0, 0.0),
        (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0), (480.0, 480.0, 319.0, 239.0),
    )  # fmt: skip
    assert camera_from_info(raw_camera_info(Header(frame_id="lens"), camera)) == camera


def test_the_motion_is_that_of_the_cameras_frame():
    message = odometry(Header(frame_id="lens"), (1.0, 2.0, 3.0, 0.0, 0.6, 0.0, 0.8))
    assert (message.header.frame_id, message.child_frame_id) == ("odom", "lens")
    position, turn = message.pose.pose.position, message.pose.pose.orientation
    assert (position.x, position.y, position.z) == (1.0, 2.0, 3.0) and (turn.y, turn.w) == (0.6, 0.8)


def test_the_sensor_of_zones_reads_the_distance_where_it_is_known():
    camera = CameraModel(640, 480, 500.0, 500.0, 320.0, 240.0)
    truth = np.full((480, 640), 2.0, np.float32)
    truth[:, 320:] = 4.0
    truth[240:] = 0.0
    points = TimeOfFlight(camera).read(truth)
    # 4 rows of 8 zones within 22.5 degrees of the axis; the outermost from tan 16.875 = 0.3033 to tan 22.5 = 0.4142.
    assert len(points) == 32
    u = points["x"] / points["z"] * 500 + 320
    assert u.min() == pytest.approx(320 - 500 * 0.3588, abs=1) and (points["y"] < 0).all()
    near, far = points["z"][u < 320], points["z"][u > 320]
    assert near.mean() == pytest.approx(2.0, rel=0.04) and far.mean() == pytest.approx(4.0, rel=0.04)
    distance = np.linalg.norm([points[axis] for axis in "xyz"], axis=0)
    np.testing.assert_allclose(points["sigma"], NOISE * distance, rtol=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_it_ends_cleanly_at_any_moment_however_often_it_is_told(seed: int):
    """From its first line on; a launch delivers Ctrl-C twice."""
    choose = random.Random(seed)
    says_when_it_listens = (
        "import sys\nfrom mono_depth_ros.demo import camera\nlisten = camera.StopRequest\n"
        "def told():\n    stop = listen()\n    print('listening', flush=True)\n    return stop\n"
        "camera.StopRequest = told\nsys.exit(camera.main())"
    )
    environ = os.environ | {"ROS_DOMAIN_ID": str(1 + os.getpid() % 100)}
    command = [sys.executable, "-c", says_when_it_listens]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "listening\n"
        time.sleep(choose.choice([0, choose.uniform(0, 0.6), choose.uniform(0, 3)]))
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(choose.choice([signal.SIGINT, signal.SIGTERM]))
            time.sleep(choose.choice([0.01, 0.05]))
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0 and err == "", err
    finally:
        process.kill()


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
