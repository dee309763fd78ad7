"""A source that may be wrong corrects nothing, is named with the evidence, and is trusted again when it has agreed."""

import math

import numpy as np
import pytest

from mono_depth_ros import Anchors, CameraModel
from mono_depth_ros.prediction import Prediction
from mono_depth_ros.source_monitor import SourceMonitor, Verdict

RATE = 10.0
CAMERA = CameraModel(160, 120, 130.0, 130.0, 80.0, 60.0)
U, V = (x.ravel() for x in np.meshgrid(np.arange(4, 160, 12), np.arange(4, 120, 12)))


def scene(seconds: float) -> np.ndarray:
    """Depth (120, 160) of a wavy wall that a camera moves along, a metre in three seconds."""
    v, u = np.mgrid[:120, :160]
    return (2 + 0.6 * np.sin(u / 18 + 2 * seconds) + 0.4 * np.cos(v / 25 + seconds)).astype(np.float32)


class Watch:
    """A monitor, and what it says of one source beside a network whose scale drifts a little."""

    def __init__(self) -> None:
        self.monitor, self.verdicts, self.stamp = SourceMonitor(), [], 0.0

    def see(self, seconds: float, read=lambda stamp: scene(stamp)[V, U], unchanged: bool = False) -> list[Verdict]:
        """So many seconds of a sensor that reads this at the image's stamp: a verdict a frame."""
        new = []
        begin = self.stamp
        for _ in range(round(seconds * RATE)):
            predicted = scene(self.stamp) * np.float32(math.exp(0.08 * math.sin(1.7 * self.stamp)))
            anchors = Anchors(U, V, read(self.stamp), np.full(U.size, 0.03), source=3)
            same = {3: self.stamp - begin} if unchanged else {}
            new.append(self.monitor.judge(Prediction(predicted), anchors, CAMERA, self.stamp, same)[3])
            self.stamp += 1 / RATE
        return new


def alarms(verdicts: list[Verdict]) -> list[str]:
    return [verdict.alarm for verdict in verdicts if verdict.alarm]


def test_a_source_that_agrees_is_used_after_a_second_and_stays_so():
    seen = Watch().see(10)
    assert [verdict.trusted for verdict in seen] == [False] * 10 + [True] * 90
    assert not alarms(seen)
    assert 0.9 < seen[-1].scale < 1.1 and seen[-1].innovation < 0.5


def test_an_extrinsic_error_of_a_degree_and_a_clock_20_ms_off_are_no_fault():
    assert not alarms(Watch().see(10, lambda stamp: scene(stamp - 0.02)[V, np.clip(U + 2, 0, 159)] + 0.02))


FAULTS = {
    "blocked": (lambda stamp: np.full(U.size, 0.1), "blocked", 2.0),
    "scaled": (lambda stamp: 1.5 * scene(stamp)[V, U], "jumped from|times the image's for seconds", 2.0),
    "late": (lambda stamp: scene(stamp - 1)[V, U], "a second ago better than this one", 2.0),
    "turned": (lambda stamp: scene(stamp)[V, np.clip(U + 23, 0, 159)], "ten degrees to the side", 3.0),
}


@pytest.mark.parametrize(("read", "text", "seconds"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_soon_and_its_anchors_are_not_used_then(read, text, seconds):
    watch = Watch()
    assert watch.see(3)[-1].trusted
    seen = watch.see(10, read)
    said = alarms(seen)
    assert len(said) == 1 and any(part in said[0] for part in text.split("|"))
    assert [verdict.alarm for verdict in seen].index(said[0]) < seconds * RATE
    assert not any(verdict.trusted for verdict in seen[round(seconds * RATE) :])


@pytest.mark.parametrize("fault", ["blocked", "scaled"])
def test_what_jumps_is_not_used_in_its_first_frame(fault):
    watch = Watch()
    watch.see(3)
    assert not any(verdict.trusted for verdict in watch.see(10, FAULTS[fault][0]))


def test_readings_that_freeze_are_found_after_a_second():
    watch = Watch()
    watch.see(3)
    frozen = scene(watch.stamp)[V, U]
    seen = watch.see(5, lambda stamp: frozen, unchanged=True)
    assert "frozen" in alarms(seen)[0] and not any(verdict.trusted for verdict in seen[15:])


def test_readings_that_stay_before_a_camera_that_stands_are_no_fault():
    monitor, depth = SourceMonitor(), scene(0)
    anchors = Anchors(U, V, depth[V, U], np.full(U.size, 0.03))
    seen = [monitor.judge(Prediction(depth), anchors, CAMERA, i / RATE, {0: i / RATE})[0] for i in range(100)]
    assert seen[-1].trusted and not alarms(seen)


def test_a_source_that_is_wrong_from_the_start_is_never_used_and_named():
    seen = Watch().see(10, FAULTS["scaled"][0])
    assert not any(verdict.trusted for verdict in seen) and len(alarms(seen)) == 1


def test_a_source_that_comes_back_is_trusted_again_after_three_seconds():
    watch = Watch()
    watch.see(3)
    watch.see(3, FAULTS["blocked"][0])
    trusted = [verdict.trusted for verdict in watch.see(15)]
    first = trusted.index(True)
    assert 3 * RATE <= first < 10 * RATE and all(trusted[first:])


def test_one_frame_that_the_network_misreads_is_left_out_and_forgiven():
    watch = Watch()
    watch.see(3)
    wrong = watch.see(0.1, lambda stamp: 2.2 * scene(stamp)[V, U])
    after = watch.see(12)
    assert not wrong[0].trusted and not alarms(wrong + after) and after[-1].trusted


def test_a_frame_without_a_measurement_changes_nothing():
    watch = Watch()
    watch.see(3)
    bounds = Anchors(U, V, np.full(U.size, 9.0), np.full(U.size, 0.03), bound=1, source=3)
    said = watch.monitor.judge(Prediction(scene(3)), bounds, CAMERA, watch.stamp)[3]
    assert said.trusted and not said.alarm and math.isnan(said.scale)


@pytest.mark.parametrize("stamp", [3.0, 0.0, -100.0])
def test_time_that_stands_or_goes_back_does_not_stop_it(stamp):
    watch = Watch()
    watch.see(3)
    watch.stamp = stamp
    seen = watch.see(8)
    assert seen[-1].trusted
