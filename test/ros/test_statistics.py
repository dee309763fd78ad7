"""Counts add up by outcome and reason; measurements are those of the last frames."""

import pytest

from mono_depth_ros.ros import statistics
from mono_depth_ros.ros.statistics import Laps, Statistics


def test_counts_by_outcome_and_by_reason():
    stats = Statistics()
    stats.count(statistics.RECEIVED, number=4)
    stats.count(statistics.PUBLISHED)
    stats.count(statistics.DROPPED, "a newer one came")
    stats.count(statistics.DROPPED, "a newer one came")
    stats.count(statistics.DROPPED, "nobody subscribes")
    assert stats.counts() == {
        "received": 4,
        "published": 1,
        "dropped": 3,
        "rejected": 0,
        "failed": 0,
        "lost": 0,
        "dropped: a newer one came": 2,
        "dropped: nobody subscribes": 1,
    }


def test_median_and_95th_percentile_of_the_last_300():
    stats = Statistics()
    for _ in range(50):
        stats.sample("age", 1e9)
    for value in range(300):
        stats.sample("age", float(value))
    assert stats.percentiles() == {"age": (149.5, pytest.approx(284.05))}
    stats.forget_samples()
    assert stats.percentiles() == {}


def test_stages_follow_each_other_without_a_gap(monkeypatch):
    clock = iter((10.5, 12.0, 15.0, 15.0, 15.25))
    monkeypatch.setattr(statistics, "perf_counter", lambda: next(clock))
    laps = Laps(arrived=10.0)
    laps.begin(statistics.DECODE)
    laps.begin(statistics.NETWORK)
    assert laps.stage == "network"
    laps.end_measured({"resize": 0.5, "network": 2.5})
    laps.begin(statistics.PACK)
    laps.begin(statistics.PUBLISH)
    assert laps.seconds == {"wait": 0.5, "decode": 1.5, "resize": 0.5, "network": 2.5, "pack": 0.25}
    stats = Statistics()
    stats.sample_stages(laps)
    medians = {name: p50 for name, (p50, _) in stats.percentiles().items()}
    assert medians == laps.seconds | {"all but the network": 1.5 + 0.5 + 0.25}
