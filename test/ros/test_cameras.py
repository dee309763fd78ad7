"""camera_info finds its image by the stamp, whichever comes first, and never delays a stream that has none."""

import threading
import time

import pytest
from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from std_msgs.msg import Header

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.ros.cameras import Cameras
from mono_depth_ros.ros.problems import Problems
from test.ros.harness import FRAME_ID, make_info

FULL = (240, 320)


@pytest.fixture
def cameras():
    made = Cameras("/camera_info", Problems(print, print))
    made.start("/image")
    return made


def info(second: int, focal: float):
    message = make_info(focal=focal)
    message.header = Header(stamp=Time(sec=second), frame_id=FRAME_ID)
    return message


def view(cameras, second=1, size=FULL, rectified=False, timeout=0.0, lens=0.0):
    return cameras.view(Header(stamp=Time(sec=second), frame_id=FRAME_ID), size, rectified, timeout, lens)


def focal_at(cameras, second: int) -> float:
    return view(cameras, second).camera.fx


def test_each_image_gets_the_camera_info_of_its_stamp(cameras):
    for second in range(1, 6):
        cameras.receive(info(second, 200.0 + second))
    assert [focal_at(cameras, second) for second in (3, 5, 1)] == [203.0, 205.0, 201.0]


def test_a_camera_info_that_comes_just_after_its_image_is_waited_for(cameras):
    cameras.receive(info(1, 201.0))
    assert focal_at(cameras, 1) == 201.0
    threading.Timer(0.01, cameras.receive, [info(2, 202.0)]).start()
    assert focal_at(cameras, 2) == 202.0


class Waits:
    """Counts how often somebody waits for a camera_info, for how long at most; what is awaited comes, or does not."""

    def __init__(self, cameras, monkeypatch):
        self.number = 0
        wait = cameras._came.wait_for

        def counted(condition, timeout):
            self.number += 1
            return wait(condition, timeout=timeout)

        monkeypatch.setattr(cameras._came, "wait_for", counted)


def test_one_that_is_sent_once_serves_all_and_is_waited_for_once_at_most(cameras, monkeypatch):
    cameras.receive(info(1, 201.0))
    waits = Waits(cameras, monkeypatch)
    assert [focal_at(cameras, second) for second in range(100, 200)] == [201.0] * 100
    assert waits.number <= 1


@pytest.mark.parametrize("each", [1, 3], ids=["always late", "for one image in three"])
def test_no_frame_waits_for_a_camera_info_that_says_what_the_last_one_said(cameras, monkeypatch, each):
    waits = Waits(cameras, monkeypatch)
    cameras.receive(info(1, 201.0))
    for second in range(2, 100):
        if second % 3 == 0 and each == 3:
            cameras.receive(info(second, 201.0))
        assert focal_at(cameras, second) == 201.0
        if each == 1:
            cameras.receive(info(second, 201.0))  # after its image
    assert waits.number <= 1


def test_no_stream_waits_on_and_on_for_stamps_that_never_are_its_own(cameras, monkeypatch):
    """A zoom whose camera_info is stamped by another clock; the last one serves, as soon as it comes."""
    waits = Waits(cameras, monkeypatch)
    for second in range(1, 100):
        cameras.receive(info(1000 + second, 200.0 + second))
        assert focal_at(cameras, second) == 200.0 + second
    assert waits.number < 10


def test_pairs_are_found_again_after_one_was_lost(cameras):
    cameras.receive(info(1, 201.0))
    assert focal_at(cameras, 1) == 201.0
    assert focal_at(cameras, 2) == 201.0  # lost on the way: the last one serves
    cameras.receive(info(3, 203.0))
    assert focal_at(cameras, 3) == 203.0
    threading.Timer(0.01, cameras.receive, [info(4, 204.0)]).start()
    assert focal_at(cameras, 4) == 204.0


def test_the_first_is_awaited_for_its_timeout_and_no_longer(cameras):
    assert view(cameras, timeout=0.2) is None
    time.sleep(0.2)
    assert view(cameras, timeout=0.2).camera is None
    cameras.receive(info(1, 201.0))
    assert view(cameras, timeout=60.0).camera.fx == 201.0


def test_what_came_before_a_new_start_still_holds(cameras):
    cameras.receive(info(1, 201.0))
    cameras.start("/image")
    assert view(cameras, 50, timeout=60.0).camera.fx == 201.0


def test_the_first_image_of_a_new_start_waits_for_its_own_lens(cameras):
    """A zoom that moved while the node was inactive: what the last ones all said is no longer steady."""
    for second in range(1, 8):
        cameras.receive(info(second, 200.0))
        view(cameras, second)
    cameras.start("/image")
    later = threading.Timer(0.01, cameras.receive, [info(9, 400.0)])
    later.start()
    assert focal_at(cameras, 9) == 400.0
    later.join()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["image", "restart", "file", "no file", "bad", *(f"info {f}" for f in (90, 180, 700))]))
)
def test_in_every_order_of_starts_and_messages_metres_are_those_of_the_last_camera_that_spoke(steps):
    """A file while there is one, else the last camera_info, else nothing; one that is no camera makes no metres."""
    cameras = Cameras("/camera_info", Problems(lambda text: None, lambda text: None))
    cameras.start("/image")
    file, last = None, None
    for second, step in enumerate(steps, 1):
        if step == "restart":
            cameras.start("/image")
        elif "file" in step:
            file = CameraModel(320, 240, 300.0, 300.0, 160.0, 120.0) if step == "file" else None
            cameras.calibrate(file)
        elif step != "image":
            last = 0.0 if step == "bad" else float(step.split()[1])
            cameras.receive(info(second, last))
        else:
            seen = view(cameras, second=10_000)  # of a stamp that nobody has: it is not waited for twice
            expected = 300.0 if file else last
            assert (seen.camera.fx if seen.camera else None) == (expected or None)


def test_without_camera_info_the_camera_is_unknown_unless_a_lens_is_chosen(cameras):
    assert view(cameras).camera is None
    assert cameras.description() == {"camera": "none in use"}
    chosen = view(cameras, lens=90.0)
    assert chosen.camera.fx == pytest.approx(160.0) and chosen.source == "assume_lens"
    assert "a view of 90 degrees is assumed (assume_lens)" in chosen.doubts[0]
    assert view(cameras, size=(320, 240), lens=90.0).camera.fx == pytest.approx(160.0)  # across the longer side


def test_a_calibration_file_wins_over_every_camera_info(cameras):
    cameras.calibrate(CameraModel(640, 480, 500.0, 500.0, 320.0, 240.0))
    cameras.receive(info(1, 99.0))
    assert focal_at(cameras, 1) == 250.0  # of an image of half the size
    assert cameras.description()["from"] == "the calibration file"
    cameras.calibrate(None)
    assert focal_at(cameras, 1) == 99.0


@pytest.mark.parametrize(
    ("camera", "doubt"),
    [
        (CameraModel(320, 240, 3.6, 3.6, 160.0, 120.0), "fx is perhaps in millimetres"),
        (CameraModel(320, 240, 520.0, 520.0, 320.0, 240.0), "K is perhaps that of a picture of 640x480"),
        (CameraModel(640, 480, 520.0, 520.0, 320.0, 240.0), "it is scaled to that, which is wrong if"),
        (CameraModel(320, 240, 260.0, 260.0, 160.0, 120.0, projection=(520.0, 520.0, 320.0, 240.0)), "K and P differ"),
    ],
)
def test_a_calibration_file_is_doubted_as_a_camera_info_is(cameras, camera, doubt):
    cameras.calibrate(camera)
    assert any(doubt in text for text in view(cameras).doubts), view(cameras).doubts


def test_a_rectified_image_has_p_with_and_without_distortion(cameras):
    message = info(1, 200.0)
    message.p = [180.0, 0.0, 150.0, 0.0, 0.0, 180.0, 110.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    for d in ([], [0.1, 0.0, 0.0, 0.0, 0.0]):
        message.d = d
        cameras.receive(message)
        camera = view(cameras, rectified=True).camera
        assert (camera.fx, camera.cx, camera.cy) == (180.0, 150.0, 110.0)


@pytest.mark.parametrize(("size", "found"), [((240, 640), "320x240"), ((320, 240), "turned by a quarter?")])
def test_the_camera_of_another_shape_is_not_used(cameras, size, found):
    cameras.receive(info(1, 200.0))
    unknown = view(cameras, size=size)
    assert unknown.camera is None and found in unknown.doubts[0]


def test_a_lens_that_sees_little_of_its_own_image_is_doubted(cameras):
    message = info(1, 200.0)
    message.d = [9.0, 9.0, 0.0, 0.0, 0.0]
    cameras.receive(message)
    assert any(d.startswith("D: by it the lens sees") for d in view(cameras).doubts)
