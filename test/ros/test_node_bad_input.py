"""Bad input: each case is said in the log and in /diagnostics, costs only its own frame, and the node goes on."""

import copy

import pytest

from test.ros.harness import ERROR, WARN, accepted, make_image, make_info, stamp_of


def unknown_encoding(image):
    image.encoding = "rgb9"


def short_data(image):
    image.data = image.data[:-1]


def zero_width(image):
    image.width = 0


def short_step(image):
    image.step = 10


def too_large(image):
    image.width, image.step = 8193, 3 * 8193
    image.data = image.data[:0]


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (unknown_encoding, "rgb9"),
        (short_data, "230399"),
        (zero_width, "0x240"),
        (short_step, "10"),
        (too_large, "8193"),
    ],
)
def test_an_image_that_cannot_be_decoded(camera, running, spoil, found):
    before = accepted(camera, make_image(camera.stamp()), make_info())
    bad = make_image(camera.stamp())
    spoil(bad)
    camera.send(bad, make_info())
    camera.expect_status("image", ERROR, "/image: frame rejected", found, "expected")
    after = accepted(camera, make_image(camera.stamp()), make_info())
    assert [stamp_of(m) for m in camera.depths] == [before, after]
    assert "[ERROR]" in running.log() and "/image: frame rejected" in running.log()


@pytest.mark.parametrize(("shift", "fault"), [(0, "stamp repeats"), (-1_000_000, "stamp runs backwards")])
def test_a_stamp_that_is_not_later(camera, shift, fault):
    image = make_image(camera.stamp())
    before = accepted(camera, image, make_info())
    again = copy.deepcopy(image)
    nanoseconds = image.header.stamp.sec * 10**9 + image.header.stamp.nanosec + shift
    again.header.stamp.sec, again.header.stamp.nanosec = divmod(nanoseconds, 10**9)
    camera.send(again, make_info())
    camera.expect_status("image", ERROR, f"/image: frame rejected: {fault}", "expected a later one")
    after = accepted(camera, make_image(camera.stamp()), make_info())
    assert [stamp_of(m) for m in camera.depths] == [before, after]


def test_a_clock_that_is_set_back_costs_one_frame(camera):
    accepted(camera, make_image(camera.stamp()), make_info())
    old = make_image(camera.stamp())
    old.header.stamp.sec -= 1000
    camera.send(old, make_info())
    camera.expect_status("image", ERROR, "stamp runs backwards")
    older = make_image(old.header.stamp)
    older.header.stamp.sec += 1
    accepted(camera, older, make_info())
    accepted(camera, make_image(camera.stamp()), make_info())


def test_size_and_encoding_that_change_in_mid_stream(camera):
    accepted(camera, make_image(camera.stamp()), make_info())
    accepted(camera, make_image(camera.stamp(), 200, 360, "mono8"), make_info(200, 360))
    camera.expect_status("image", WARN, "/image: images were 320x240 rgb8, are 200x360 mono8 now")
    assert (camera.depths[-1].width, camera.depths[-1].height) == (200, 360)
    accepted(camera, make_image(camera.stamp()), make_info())
