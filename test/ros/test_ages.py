"""Ages that no queue explains name their cause by the evidence; ordinary ones name none."""

import time

import pytest

from mono_depth_ros.ros.ages import cause_of_age

NOW = time.time()


@pytest.mark.parametrize(
    ("stamp", "now", "cause"),
    [
        (NOW - 0.5, NOW, ""),
        (NOW + 2, NOW, ""),
        (NOW - 40 * 86400, NOW, "ros2 bag play --clock"),
        (3600.0, NOW, "count from the boot"),
        (0.0, NOW, "count from the boot"),
        (NOW + 86400, NOW, "not set"),
        (NOW, 12.5, "the clock is a simulation's, the stamps are not"),
    ],
)
def test_a_difference_of_another_time_names_its_cause(stamp, now, cause):
    found = cause_of_age(now - stamp, now)
    assert (cause in found) if cause else not found
