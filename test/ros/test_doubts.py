"""Intrinsics that cannot be this camera's: each kind is doubted with its likely cause, and good cameras are not."""

import math

import pytest
from sensor_msgs.msg import CameraInfo

from mono_depth_ros.ros.doubts import Picture, doubts
from test.ros.harness import FRAME_ID, make_info
from test.scenes import LENSES

VGA = Picture(640, 480, FRAME_ID)
QUARTER_TURN = [0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]


def camera(k=(), d=(), p=(), r=(), model="plumb_bob", frame_id=FRAME_ID, width=640, height=480, **window) -> CameraInfo:
    """640x480 with fx = fy = 520 and the axis in the middle, but for what is given: (fx, fy, cx, cy) of K and P."""
    info = make_info(width, height, 520.0, d, model)
    info.header.frame_id = frame_id
    if k:
        info.k[0], info.k[4], info.k[2], info.k[5] = k
    if p:
        info.p[0], info.p[5], info.p[2], info.p[6], info.p[10] = *p, 1.0
    if r:
        info.r = r
    for name, value in window.items():
        setattr(info, name, value)
    return info


@pytest.mark.parametrize(
    ("info", "found", "cause"),
    [
        (camera((277.0, 277.0, 160.5, 120.5)), "cx, cy = 160.5, 120.5", "of a picture of 321x241, and depth then 0.5"),
        (camera((1040.0, 1040.0, 640.0, 480.0)), "cx, cy = 640, 480", "of 1280x960, and depth then 2 times"),
        (camera((520.0, 520.0, 700.0, 240.0)), "cx, cy = 700, 240", "another camera"),
        (camera((520.0, 520.0, 0.0, 0.0)), "cx, cy = 0, 0", "the middle"),
        (camera((520.0, 520.0, 320.0, -30.0)), "cx, cy = 320, -30", "another camera"),
        (camera((520.0, 1040.0, 320.0, 240.0)), "fx, fy = 520, 1040", "in one direction"),
        (camera((520.0, 260.0, 320.0, 240.0)), "fx, fy = 520, 260", "in one direction"),
        (camera((3.6, 3.6, 320.0, 240.0)), "fx = 3.6 at 640 px", "millimetres"),
        (camera((0.0036, 0.0036, 320.0, 240.0)), "fx = 0.0036", "millimetres"),
        (camera((0.81, 1.08, 0.5, 0.5)), "fx = 0.81", "in units of the picture's width"),
        (camera((1.0, 1.0, 0.0, 0.0)), "fx = 1", "the identity, a placeholder"),
        (camera((90000.0, 90000.0, 320.0, 240.0)), "a view of 0 degrees", "depth scales with fx"),
        (camera(p=(600.0, 600.0, 320.0, 240.0)), "fx 520 and 600", "though there is no distortion"),
        (camera(p=(520.0, 520.0, 280.0, 240.0)), "cx 320 and 280", "though there is no distortion"),
        (camera(d=[-0.3, 0.1, 0.0, 0.0], p=(2000.0, 2000.0, 320.0, 240.0)), "P: fx = 2000", "another size or lens"),
        (camera((520.0, 520.0, 240.0, 320.0)), "cx, cy = 240, 320", "perhaps swapped"),
        (camera((50.0, 50.0, 160.0, 120.0), width=320, height=240), "fx = 50 at 320 px", "depth scales with fx"),
        (camera((8.0, 8.0, 80.0, 60.0), width=160, height=120), "fx = 8 at 160 px", "millimetres"),
        (camera((0.5, 0.5, 0.5, 0.5)), "fx = 0.5", "in units of the picture's width"),
        (camera((1.2, 1.2, 0.0, 0.0)), "fx = 1.2", "depth scales with fx"),
        (camera(d=[-0.3, 0.1, 0.0, 0.0], p=(260.0, 260.0, 160.0, 120.0)), "P: cx, cy = 160, 120", "size or lens"),
        (camera(d=[-0.3, 0.1, 0.0, 0.0], p=(1040.0, 1040.0, 640.0, 480.0)), "P: ", "another size or lens"),
        (camera(model="equidistant", d=[0.0] * 4), "D: all 0 with the model of a fisheye", "taken for a pinhole"),
        (camera(model="Kannala-Brandt4"), "D: all 0 with the model of a fisheye", "taken for a pinhole"),
        (camera(width=640, height=360), "is for 640x360", "if the image was cropped"),
        (camera(binning_x=4, binning_y=4, width=1280, height=960), "is for 320x240", "scaled to that"),
        (camera(r=QUARTER_TURN), "R turns by 90 degrees", "another pair"),
        (camera(frame_id="rear_camera_optical_frame"), "'rear_camera_optical_frame'", "another camera"),
        (camera(width=1280, height=960, k=(1040.0, 1040.0, 640.0, 480.0)), "for 1280x960", "if the image was cropped"),
        (camera(binning_x=2, binning_y=2), "is for 320x240", "binning and roi are set, but the image is whole"),
    ],
)  # fmt: skip
def test_each_kind_of_doubt_names_what_was_found_and_the_likely_cause(info, found, cause):
    said = doubts(info, VGA)
    assert any(found in text and cause in text for text in said), said


def test_a_skew_and_a_missing_p_are_said():
    skewed = camera()
    skewed.k[1] = 20.0
    assert "skew K[1] = 20" in doubts(skewed, VGA)[0]
    distorted = camera(d=[-0.3, 0.1, 0.0, 0.0, 0.0])
    assert doubts(distorted, VGA) == []
    assert "P is not given" in doubts(distorted, VGA._replace(is_rectified=True))[0]


def stereo() -> CameraInfo:
    """The right camera of a rectified pair: P has its own focal length and the baseline."""
    turn = 0.02
    r = [math.cos(turn), 0.0, math.sin(turn), 0.0, 1.0, 0.0, -math.sin(turn), 0.0, math.cos(turn)]
    info = camera(d=[-0.3, 0.1, 0.0, 0.0, 0.0], p=(430.0, 430.0, 344.0, 250.0), r=r)
    info.p[3] = -430.0 * 0.12
    return info


@pytest.mark.parametrize(
    "info",
    [
        camera(),
        camera((525.0, 525.0, 319.5, 239.5), p=(525.0, 525.0, 319.5, 239.5)),
        camera((518.9, 519.5, 325.6, 253.7)),  # NYU's Kinect
        camera((517.3, 516.5, 318.6, 255.3), d=LENSES["plumb_bob"].distortion),  # TUM freiburg1
        camera((290.0, 285.0, 322.0, 238.0), d=LENSES["equidistant"].distortion, model="equidistant"),
        camera((190.0, 190.0, 320.0, 240.0), d=[0.01, 0.0, 0.0, 0.0], model="fisheye"),  # 193 degrees
        camera((300.0, 330.0, 325.0, 235.0)),  # pixels of analogue video
        stereo(),
        camera(frame_id=""),
        camera(width=1280, height=960, k=(1040.0, 1040.0, 640.0, 480.0), binning_x=2, binning_y=2),
    ],
)
@pytest.mark.parametrize("is_rectified", [False, True])
def test_real_cameras_are_not_doubted(info, is_rectified):
    if is_rectified and any(info.d) and not info.p[0]:
        info.p = [520.0, 0.0, 320.0, 0.0, 0.0, 520.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    assert doubts(info, VGA._replace(is_rectified=is_rectified)) == []
