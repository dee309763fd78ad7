"""Frames are counted on arrival: received, lost on the way, displaced."""

import time

import pytest
from builtin_interfaces.msg import Time

from mono_depth_ros.ros import intake as module
from mono_depth_ros.ros.intake import Intake
from mono_depth_ros.ros.journal import Journal
from mono_depth_ros.ros.problems import Problems
from mono_depth_ros.ros.statistics import Statistics
from test.ros.harness import make_image


class Slot:
    """Stands for the worker while it is busy: the newest frame waits."""

    def __init__(self):
        self.waiting = None

    def offer(self, frame):
        displaced, self.waiting = self.waiting, frame
        return displaced


def counts_after(numbers, publishers=1):
    """Counts after frames with these publication sequence numbers, 1 s apart."""
    statistics = Statistics()
    intake = Intake("/image", Slot(), lambda: publishers, lambda: 0.0, Journal(statistics, Problems(print, print)))
    for second, number in enumerate(numbers, start=1):
        intake.receive(make_image(Time(sec=second)), {"publication_sequence_number": number})
    return statistics.counts()


@pytest.mark.parametrize(
    ("numbers", "lost"),
    [
        ([1, 2, 3], 0),
        ([7, 8, 9], 0),  # the node came later
        ([1, 3, 7], 4),
        ([5, 6, 1, 2], 0),  # the camera was restarted
        ([0, 0, 0], 0),  # a middleware that does not number
        ([None, None], 0),
    ],
)
def test_lost_frames_are_the_gaps_in_the_publishers_numbers(numbers, lost):
    counts = counts_after(numbers)
    assert counts["received"] == len(numbers)
    assert counts["lost"] == lost


def test_the_numbers_of_two_publishers_say_nothing():
    assert counts_after([1, 100, 2, 101], publishers=2)["lost"] == 0


def test_an_arrival_knows_how_long_its_way_was_where_the_middleware_says_when_it_began():
    slot = Slot()
    intake = Intake("/image", slot, lambda: 1, lambda: 0.0, Journal(Statistics(), Problems(print, print)))
    before = time.perf_counter()
    intake.receive(make_image(Time(sec=1)), {"source_timestamp": time.time_ns() - 50_000_000})
    assert slot.waiting.message.header.stamp.sec == 1
    assert before <= slot.waiting.at <= time.perf_counter()
    assert 0.05 <= slot.waiting.transit < 10
    for second, info in enumerate(({}, {"source_timestamp": 0}), start=2):
        intake.receive(make_image(Time(sec=second)), info)
        assert slot.waiting.transit is None


@pytest.mark.parametrize(
    ("stamps", "said"),
    [
        ([(0, 0), (0, 0)], ["carry no stamp", "stamp repeats"]),
        ([(5, 0), (5, 0)], ["stamp repeats"]),
        ([(5, 0), (4, 999_999_999)], ["stamp runs backwards"]),
        ([(5, 1), (0, 0)], ["carry no stamp", "stamp runs backwards"]),
        ([(0, 1), (0, 2)], []),
    ],
)
def test_stamps_that_cannot_be_are_said(stamps, said):
    problems = Problems(lambda text: None, lambda text: None)
    intake = Intake("/image", Slot(), lambda: 1, lambda: 0.0, Journal(Statistics(), problems))
    for sec, nanosec in stamps:
        intake.receive(make_image(Time(sec=sec, nanosec=nanosec)), {})
    found = " ".join(text for _, text in problems.current("image"))
    assert [text for text in ("carry no stamp", "stamp repeats", "stamp runs backwards") if text in found] == said


def test_displaced_frames_are_dropped():
    counts = counts_after([1, 2, 3, 4])
    assert counts["dropped: a newer one came"] == counts["dropped"] == 3


@pytest.mark.parametrize(("rate", "taken"), [(0.0, 90), (10.0, 30), (20.0, 60), (30.0, 90), (100.0, 90)])
def test_the_greatest_rate_is_kept_to_on_average(rate, taken, monkeypatch):
    """3 s of a 30 Hz camera whose images come up to 4 ms early or late."""
    statistics = Statistics()
    intake = Intake("/image", Slot(), lambda: 1, lambda: rate, Journal(statistics, Problems(print, print)))
    for number in range(90):
        at = 100 + number / 30 + 0.004 * (-1) ** (number // 3)
        monkeypatch.setattr(module.time, "perf_counter", lambda at=at: at)
        intake.receive(make_image(Time(sec=1 + number)), {})
    dropped = statistics.counts().get("dropped: faster than max_rate", 0)
    assert 90 - dropped == pytest.approx(taken, abs=2)
