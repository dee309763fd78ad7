"""A source that may be wrong corrects nothing, is named with the evidence, and is trusted again when it has agreed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mono_depth_ros import Anchors, CameraModel
from mono_depth_ros.prediction import Prediction
from mono_depth_ros.source_monitor import SourceMonitor, Verdict
from test.conftest import fuzz

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


def test_readings_that_freeze_are_left_out_when_they_first_repeat_and_named_after_a_second():
    watch = Watch()
    watch.see(3)
    frozen = scene(watch.stamp)[V, U]
    seen = watch.see(5, lambda stamp: frozen, unchanged=True)
    assert seen[0].trusted and not any(verdict.trusted for verdict in seen[2:])  # the first is of its time
    assert "frozen" in alarms(seen)[0] and alarms(seen[:12])


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


class Pair:
    """Two sources, of every second anchor each, beside a network whose scale is off by a factor."""

    def __init__(self, network: float) -> None:
        self.monitor, self.network, self.stamp = SourceMonitor(), network, 0.0

    def see(self, seconds: float, one: float = 1.0, other: float = 1.0) -> list[dict[int, Verdict]]:
        """So many seconds of readings that are the truth times a factor: the verdicts on 0 and 1, frame by frame."""
        factor, source = np.where(np.arange(U.size) % 2, other, one), np.arange(U.size) % 2
        verdicts = []
        for _ in range(round(seconds * RATE)):
            truth = scene(self.stamp)
            anchors = Anchors(U, V, factor * truth[V, U], np.full(U.size, 0.03), source=source)
            verdicts.append(
                self.monitor.judge(Prediction(np.float32(self.network) * truth), anchors, CAMERA, self.stamp)
            )
            self.stamp += 1 / RATE
        return verdicts


@pytest.mark.parametrize("network", [0.4, 0.65, 1.5, 2.5])
def test_two_that_agree_are_used_however_far_off_the_network_is(network):
    seen = Pair(network).see(8)
    assert all(verdict.trusted for frame in seen[50:] for verdict in frame.values())
    assert not alarms([verdict for frame in seen for verdict in frame.values()])
    assert seen[-1][0].scale == pytest.approx(1 / network, rel=0.01)


@pytest.mark.parametrize("network", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_of_two_that_agreed_the_one_that_leaves_is_the_broken_one(network, factor):
    pair = Pair(network)
    pair.see(5)
    seen = pair.see(2, other=factor)
    assert not any(frame[1].trusted for frame in seen)
    assert all(frame[0].trusted for frame in seen[:10])
    assert len(alarms([frame[1] for frame in seen])) == 1


def test_what_contradicts_two_that_agree_is_the_broken_one():
    monitor, factor = SourceMonitor(), np.array([1.0, 1.0, 0.6])
    source = np.arange(U.size) % 3
    for index in range(60):
        truth = scene(index / RATE)
        anchors = Anchors(U, V, factor[source] * truth[V, U], np.full(U.size, 0.03), source=source)
        seen = monitor.judge(Prediction(np.float32(0.6) * truth), anchors, CAMERA, index / RATE)
    assert [seen[number].trusted for number in range(3)] == [True, True, False]  # though it alone fits the network


def test_flat_readings_are_not_said_to_fit_better_aside():
    """A wall across the view says nothing of where the sensor looks, whatever shape the network sees."""
    monitor, seen = SourceMonitor(), []
    for index in range(60):
        v, u = np.mgrid[:120, :160]
        bent = 2 * np.exp(0.15 * np.exp(-(((v - 60) / 10) ** 2)) * np.sin(u / 20 + index / 10)).astype(np.float32)
        anchors = Anchors(U, np.full(U.size, 60), np.full(U.size, 2.0), np.full(U.size, 0.03))
        seen.append(monitor.judge(Prediction(bent), anchors, CAMERA, index / RATE)[0])
    assert not alarms(seen)


ANCHOR = st.tuples(
    st.floats(-5, 165), st.floats(-5, 125), st.floats(1e-3, 1e3), st.floats(0, 1), st.sampled_from([0.0, 9.0]),
    st.sampled_from([-1, 0, 1]), st.integers(0, 3),
)  # fmt: skip
FRAME = st.tuples(st.floats(-2, 2), st.lists(ANCHOR, max_size=12), st.floats(0, 3))


@fuzz(50)
@given(st.lists(FRAME, max_size=12))
def test_whatever_sources_say_there_is_a_verdict_on_each_and_a_scale_above_0(frames):
    monitor, stamp = SourceMonitor(), 0.0
    for step, rows, unchanged in frames:
        stamp += step
        columns = np.array(rows, np.float64).reshape(-1, 7).T
        anchors = Anchors(*columns[:5], bound=columns[5].astype(int), source=columns[6].astype(int))
        seen = monitor.judge(Prediction(scene(stamp)), anchors, CAMERA, stamp, dict.fromkeys(range(4), unchanged))
        assert seen.keys() == set(anchors.source)
        for verdict in seen.values():
            assert math.isnan(verdict.scale) or (0 < verdict.scale < math.inf and math.isfinite(verdict.innovation))
            assert not (verdict.alarm and verdict.trusted)
