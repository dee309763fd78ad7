"""Old frames, a clock of its own and a clock that stands: what depth_node does with the age of images."""

import time

from builtin_interfaces.msg import Time
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from test.ros.harness import ERROR, WARN, DepthNode, accepted, make_image, make_info


def old(seconds: float) -> Time:
    sec, nanosec = divmod(time.time_ns() - int(seconds * 1e9), 10**9)
    return Time(sec=sec, nanosec=nanosec)


def test_sim_time_that_has_not_begun_and_then_runs_and_stands(peer):
    clock = peer.node.create_publisher(Clock, "/clock", 10)
    with DepthNode(use_sim_time=True, max_age=1.0) as node:
        node.expect_active()
        peer.depths = peer.watch(Image, "depth")
        peer.connect()
        accepted(peer, make_image(Time(sec=1000)), make_info())
        peer.expect_status("latency", WARN, "no time came on /clock")
        clock.publish(Clock(clock=Time(sec=1001, nanosec=500_000_000)))
        time.sleep(0.5)
        for second in (1001, 1002, 1003):  # the clock stands: stamps ahead of it are not old
            accepted(peer, make_image(Time(sec=second)), make_info())
        clock.publish(Clock(clock=Time(sec=1010)))
        time.sleep(0.5)
        peer.send(make_image(Time(sec=1004)), make_info())
        peer.expect_status("latency", WARN, "frame dropped 6.000 s after its stamp")
        assert [m.header.stamp.sec for m in peer.depths] == [1000, 1001, 1002, 1003]


def test_frames_older_than_max_age_are_dropped_and_counted(camera):
    assert camera.set_parameter("max_age", 5.0).successful
    camera.send(make_image(old(60)), make_info())
    camera.expect_status("latency", WARN, "/image: frame dropped 6", "expected within 5.0 s (max_age)")
    assert camera.counts()["dropped: older than max_age"] == 1
    accepted(camera, make_image(old(0)), make_info())
    assert len(camera.depths) == 1
    assert camera.set_parameter("max_age", 0.0).successful


def test_late_frames_raise_the_level_of_latency(camera):
    camera.send(make_image(old(8)), make_info())  # rejected: its stamp runs backwards
    for _ in range(3):
        accepted(camera, make_image(old(7)), make_info())
    camera.expect_status("latency", ERROR, "after their stamp, expected at most 1.0 s (age_error)")


def test_silence_of_the_camera_is_said(camera, running):
    camera.expect_status("image", ERROR, "/image: no image for", "its publisher is connected, but nothing comes")
    assert "/image: no image for" in running.log()
