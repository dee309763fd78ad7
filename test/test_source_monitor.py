"""A source that contradicts the images is set aside with a word, and trusted again when it has agreed for a while."""

import math

import numpy as np

from mono_depth_ros.fusion import Anchors, Report, examine, fuse_and_report
from mono_depth_ros.prediction import Prediction
from mono_depth_ros.source_monitor import SourceMonitor

RATE = 10.0


def follow(monitor: SourceMonitor, innovations, start: float = 0.0) -> tuple[list[bool], list[str]]:
    """Whether the source was trusted before each frame, and the alarms."""
    trusted, alarms = [], []
    for i, innovation in enumerate(innovations):
        trusted.append(monitor.trusts(3))
        report = Report(used=10, measured=10, innovation=innovation, scale=1.5)
        alarms += monitor.update({3: report}, start + i / RATE).values()
    return trusted, alarms


def test_a_source_is_used_after_its_first_five_frames():
    trusted, alarms = follow(SourceMonitor(), [0.8] * 10)
    assert trusted == [False] * 5 + [True] * 5
    assert alarms == []


def test_a_source_that_jumps_is_left_out_at_once_and_set_aside_after_five_frames():
    monitor = SourceMonitor()
    follow(monitor, [0.8] * 30)
    trusted, alarms = follow(monitor, [8.0] * 20, start=3.0)
    assert trusted == [True] + [False] * 19
    assert len(alarms) == 1 and "1.50 times" in alarms[0] and "standard deviations" in alarms[0]


def test_a_source_that_is_off_by_little_for_long_is_set_aside_within_two_seconds():
    monitor = SourceMonitor()
    follow(monitor, [0.8] * 30)
    _, alarms = follow(monitor, [1.9] * 20, start=3.0)
    assert len(alarms) == 1


def test_a_view_that_the_network_misjudges_for_a_moment_sets_nothing_aside():
    monitor = SourceMonitor()
    follow(monitor, [0.8] * 30)
    trusted, alarms = follow(monitor, [1.9] * 5 + [0.8] * 10, start=3.0)
    assert all(trusted) and not alarms


def test_a_source_that_was_set_aside_is_trusted_again_after_it_has_agreed_for_two_seconds():
    monitor = SourceMonitor()
    follow(monitor, [0.8] * 30)
    follow(monitor, [8.0] * 10, start=3.0)
    trusted, _ = follow(monitor, [0.8] * 150, start=4.0)
    first = trusted.index(True)
    assert 20 < first < 120 and all(trusted[first:])


def test_frames_without_a_reading_and_time_that_goes_back_change_nothing():
    monitor = SourceMonitor()
    follow(monitor, [0.8] * 30, start=100.0)
    assert monitor.update({3: Report(used=0, dropped={"invalid": 4})}, 103.0) == {}
    trusted, alarms = follow(monitor, [0.8] * 10, start=0.0)
    assert all(trusted) and not alarms


def test_a_sensor_scaled_by_two_is_found_and_one_set_aside_corrects_nothing():
    height, width = 60, 80
    prediction = Prediction(np.full((height, width), 2.0, np.float32), np.full((height, width), 0.2, np.float32))
    u, v = np.meshgrid(np.arange(4, width, 8), np.arange(4, height, 8))
    monitor, alarms = SourceMonitor(), {}
    for i in range(30):
        depth = np.full(u.size, 2.0 if i < 10 else 4.0)
        anchors = Anchors(u.ravel(), v.ravel(), depth, np.full(u.size, 0.02))
        if monitor.trusts(0):
            _, reports = fuse_and_report(prediction, anchors)
        else:
            reports = examine(prediction, anchors)
            assert reports[0].used == 0 and reports[0].dropped == {"set aside": u.size}
        alarms |= monitor.update(reports, i / RATE)
    assert set(alarms) == {0} and "2.00 times" in alarms[0]
    assert math.isclose(reports[0].scale, 2.0, rel_tol=1e-3)
