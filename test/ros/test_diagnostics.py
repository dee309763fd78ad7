"""What /diagnostics makes of counts, ages and gaps; times are given by hand."""

from dataclasses import replace

import pytest

from mono_depth_ros.ros import diagnostics, statistics
from mono_depth_ros.ros.diagnostics import Input, Reporter, Situation
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.ros.problems import Problems
from mono_depth_ros.ros.statistics import Statistics
from test.ros.harness import ERROR, OK, WARN

SECOND = 1_000_000_000


class Watched:
    """A reporter with a stream whose publishers, work and clock are set by hand."""

    def __init__(self):
        self.statistics, self.problems = Statistics(), Problems(print, print)
        self.reporter = Reporter("/depth_node", self.statistics, self.problems)
        self.matched, self.present, self.busy = 1, 1, 0.0
        self.settings = Settings(age_warning=0.3, age_error=1.0, image_timeout=2.0)
        source = Input("/image", lambda: self.matched, lambda: self.present, lambda: self.busy)
        backend = {"backend": "openvino", "chosen because": "it is the fastest"}
        self.situation = Situation("active", source, backend, subscribed=["depth"])

    def report(self, seconds):
        """Statuses by area at a time of the node's clock."""
        statuses = self.reporter.report(int(seconds * SECOND), self.situation, self.settings)
        return {status.name.removeprefix("/depth_node: "): status for status in statuses}

    def values(self, seconds, area):
        return {value.key: value.value for value in self.report(seconds)[area].values}


def test_all_is_well_while_frames_come_and_go_in_time():
    watched = Watched()
    watched.report(100)
    watched.statistics.count(statistics.RECEIVED, number=30)
    watched.statistics.count(statistics.PUBLISHED, number=20)
    watched.statistics.count(statistics.DROPPED, "a newer one came", number=10)
    watched.statistics.sample("decode", 0.00215)
    watched.statistics.sample(statistics.AGE, 0.1)
    statuses = watched.report(102)
    assert {status.level for status in statuses.values()} == {OK}
    assert {status.hardware_id for status in statuses.values()} == {"/image"}
    image = {value.key: value.value for value in statuses["image"].values}
    assert image["rate in (Hz)"] == "15.0"
    assert image["rate out (Hz)"] == "10.0"
    assert image["dropped: a newer one came"] == "10"
    assert watched.values(102, "backend") == {"backend": "openvino", "chosen because": "it is the fastest"}
    assert statuses["backend"].message == "openvino, it is the fastest"
    assert watched.values(102, "latency") == {
        "decode p50 (ms)": "2.15", "decode p95 (ms)": "2.15",
        "age at publish p50 (ms)": "100.00", "age at publish p95 (ms)": "100.00",
    }  # fmt: skip
    assert watched.values(102, "outputs")["subscribed"] == "depth"


@pytest.mark.parametrize(("age", "level"), [(0.29, OK), (0.31, WARN), (0.99, WARN), (1.01, ERROR), (-0.5, WARN)])
def test_the_level_of_latency_follows_its_thresholds(age, level):
    watched = Watched()
    watched.statistics.sample(statistics.AGE, age)
    status = watched.report(100)["latency"]
    assert status.level == level
    if age < 0:
        assert "0.500 s ahead of the node's clock" in status.message


@pytest.mark.parametrize(
    ("age", "cause"),
    [(40 * 86400.0, "ros2 bag play --clock"), (-7200.0, "not set"), (1.79e9 - 60, "count from the boot")],
)
def test_stamps_of_another_time_are_an_error_with_their_cause(age, cause):
    watched = Watched()
    watched.statistics.sample(statistics.AGE, age)
    status = watched.report(1.79e9)["latency"]
    assert status.level == ERROR and cause in status.message


def test_images_that_come_while_nothing_goes_out_are_an_error_with_what_became_of_them():
    watched = Watched()
    for second in range(100, 104):
        watched.statistics.count(statistics.RECEIVED, number=10)
        watched.statistics.count(statistics.DROPPED, "older than max_age", number=10)
        statuses = watched.report(second)
    assert statuses["outputs"].level == ERROR
    assert "nothing has gone out for 3 s: dropped: older than max_age (10)" in statuses["outputs"].message
    watched.statistics.count(statistics.RECEIVED)
    watched.statistics.count(statistics.PUBLISHED)
    assert Watched().report(104)["outputs"].level == OK


def test_nothing_goes_out_where_nobody_listens_and_that_is_well():
    watched = Watched()
    watched.situation = replace(watched.situation, subscribed=[])
    for second in range(100, 110):
        watched.statistics.count(statistics.RECEIVED, number=10)
        watched.statistics.count(statistics.DROPPED, "nobody subscribes", number=10)
        assert watched.report(second)["outputs"].level == OK


@pytest.mark.parametrize("times", [(0, 1000, 1001, 1002), (50, 1052, 1053, 1054), (1000, 5, 6, 7)])
def test_a_clock_that_leaps_is_no_silence(times):
    """Simulated time begins, a recording's clock takes over from none, and one starts anew."""
    watched = Watched()
    assert [watched.report(seconds)["image"].level for seconds in times] == [OK] * len(times)


def test_the_age_of_an_inactive_node_is_nobodys_concern():
    watched = Watched()
    watched.statistics.sample(statistics.AGE, 1000.0)
    watched.situation = Situation("inactive")
    assert watched.report(100)["latency"].level == OK


def test_two_publishers_of_one_output_are_said():
    watched = Watched()
    watched.situation = replace(watched.situation, shared={"/mavros/obstacle/send": 2})
    status = watched.report(100)["outputs"]
    assert status.level == WARN and "/mavros/obstacle/send: 2 publish it" in status.message


@pytest.mark.parametrize(
    ("stage", "area", "found"), [("network", "backend", "the backend hangs"), ("pack", "outputs", "now in pack")]
)
def test_a_frame_that_takes_long_is_said_with_the_stage_that_it_is_in(stage, area, found):
    watched = Watched()
    source = replace(watched.situation.input, busy_seconds=lambda: 8.0, stage=lambda: stage)
    watched.situation = replace(watched.situation, input=source)
    status = watched.report(100)[area]
    assert status.level == ERROR and found in status.message
    assert ("hangs" in status.message) == (stage == "network")


@pytest.mark.parametrize(("load", "is_said"), [(1.0, False), (100_000.0, True)])
def test_a_computer_that_is_overloaded_is_said_beside_a_frame_that_takes_long(monkeypatch, load, is_said):
    monkeypatch.setattr(diagnostics.os, "getloadavg", lambda: (load, load, load))
    watched = Watched()
    watched.busy = 8.0
    assert ("others take the CPU: a load of" in watched.report(100)["backend"].message) == is_said


@pytest.mark.parametrize("limit", [5.0, 2.0])
@pytest.mark.parametrize(
    ("matched", "present", "reason"),
    [(1, 1, "nothing comes"), (0, 1, "incompatible QoS"), (0, 0, "nobody publishes it")],
)
def test_silence_is_an_error_after_its_timeout_and_says_why(matched, present, reason, limit):
    """The first image has 3 s more: a camera and the node start at once."""
    watched = Watched()
    watched.matched, watched.present = matched, present
    assert watched.report(100)["image"].level == OK
    if limit == 2.0:
        watched.statistics.count(statistics.RECEIVED)
    assert watched.report(101)["image"].level == OK
    began = 101 if limit == 2.0 else 100
    assert watched.report(began + limit)["image"].level == OK
    status = watched.report(began + limit + 0.4)["image"]
    assert status.level == ERROR
    assert f"/image: no image for {limit:.0f} s, expected one within {limit} s" in status.message
    assert reason in status.message


def test_silence_ends_with_an_image():
    watched = Watched()
    watched.report(100)
    watched.statistics.count(statistics.RECEIVED)
    watched.report(105.5)
    assert watched.report(107)["image"].level == OK
    assert watched.report(108)["image"].level == ERROR


def test_a_clock_that_stands_or_runs_backwards_is_no_silence_and_gives_no_rates():
    watched = Watched()
    for seconds in (100, 100, 100, 3, 4):
        watched.statistics.count(statistics.RECEIVED)
        status = watched.report(seconds)["image"]
        assert status.level == OK
        assert "-" not in {v.key: v.value for v in status.values}["rate in (Hz)"]


def test_a_backend_that_hangs_is_an_error():
    watched = Watched()
    watched.busy = 6.0
    status = watched.report(100)["backend"]
    assert status.level == ERROR
    assert "one frame has been in work for 6 s" in status.message


def test_an_inactive_node_does_not_miss_images():
    watched = Watched()
    watched.report(100)
    watched.situation = Situation("inactive")
    assert watched.report(200)["image"].level == OK
    assert watched.values(200, "node") == {"state": "inactive"}
