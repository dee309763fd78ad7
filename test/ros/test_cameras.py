"""camera_info finds its image by the stamp, whichever comes first, and never delays a stream that has none."""

import threading
import time

import pytest
from builtin_interfaces.msg import Time

from mono_depth_ros.ros.cameras import Cameras
from mono_depth_ros.ros.problems import Problems
from test.ros.harness import make_info


@pytest.fixture
def cameras():
    return Cameras("/camera_info", "/image", Problems(print, print))


def info(second: int, focal: float):
    message = make_info(focal=focal)
    message.header.stamp = Time(sec=second)
    return message


def focal_at(cameras, second: int) -> float:
    return cameras.view(Time(sec=second), 320, 240, False).camera.fx


def test_each_image_gets_the_camera_info_of_its_stamp(cameras):
    for second in range(1, 6):
        cameras.receive(info(second, 200.0 + second))
    assert [focal_at(cameras, second) for second in (3, 5, 1)] == [203.0, 205.0, 201.0]


def test_a_camera_info_that_comes_just_after_its_image_is_waited_for(cameras):
    cameras.receive(info(1, 201.0))
    assert focal_at(cameras, 1) == 201.0
    threading.Timer(0.01, cameras.receive, [info(2, 202.0)]).start()
    assert focal_at(cameras, 2) == 202.0


def test_one_that_is_sent_once_serves_all_and_is_waited_for_once_at_most(cameras):
    cameras.receive(info(1, 201.0))
    assert focal_at(cameras, 100) == 201.0
    start = time.perf_counter()
    for second in range(101, 201):
        assert focal_at(cameras, second) == 201.0
    assert time.perf_counter() - start < 100 * 0.05  # the wait, had it been made each time


def test_pairs_are_found_again_after_one_was_lost(cameras):
    cameras.receive(info(1, 201.0))
    assert focal_at(cameras, 1) == 201.0
    assert focal_at(cameras, 2) == 201.0  # lost on the way: the last one serves
    cameras.receive(info(3, 203.0))
    assert focal_at(cameras, 3) == 203.0
    threading.Timer(0.01, cameras.receive, [info(4, 204.0)]).start()
    assert focal_at(cameras, 4) == 204.0


def test_the_first_is_awaited_for_its_timeout_and_no_longer(cameras):
    assert cameras.are_awaited(0.2)
    time.sleep(0.2)
    assert not cameras.are_awaited(0.2)
    cameras.receive(info(1, 201.0))
    assert not cameras.are_awaited(60.0)


def test_without_camera_info_the_camera_is_unknown(cameras):
    assert cameras.view(Time(sec=1), 320, 240, False).camera is None
    assert cameras.description() == "none in use"
