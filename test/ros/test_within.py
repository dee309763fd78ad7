"""What takes too long is left to itself, and what fails says why."""

import threading

import pytest

from mono_depth_ros.ros.node import within


def test_a_result_and_an_error_come_through():
    assert within(10.0, lambda: 7) == 7
    with pytest.raises(KeyError, match="why"):
        within(10.0, lambda: {}["why"])


def test_what_does_not_end_is_left_to_itself():
    go_on = threading.Event()
    with pytest.raises(TimeoutError, match="not done in 0 s"):
        within(0.05, go_on.wait)
    go_on.set()
