"""Counts add up by outcome and reason; measurements are those of the last frames."""

import pytest

from mono_depth_ros.ros import statistics
from mono_depth_ros.ros.statistics import Statistics


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


def test_a_stage_that_fails_is_no_measurement():
    stats = Statistics()
    with pytest.raises(RuntimeError), stats.stage("predict"):
        raise RuntimeError
    with stats.stage("decode"):
        pass
    assert list(stats.percentiles()) == ["decode"]
