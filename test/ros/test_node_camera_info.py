"""Bad camera_info: said in the log and in /diagnostics; without a camera there are no metres."""

import copy

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, PointCloud2

from test.ros.harness import ERROR, WARN, accepted, depth_of, make_image, make_info, stamp_of, wait_until


def no_focal_length(info):
    info.k[0] = 0.0


def not_a_number(info):
    info.k[2] = float("nan")


def other_size(info):
    info.width, info.height = 640, 360


def unknown_lens(info):
    info.distortion_model, info.d = "thin_prism", [0.1, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (no_focal_length, "K[0]"),
        (not_a_number, "nan"),
        (other_size, "640x360"),
        (unknown_lens, "thin_prism"),
    ],
)
def test_a_camera_info_that_cannot_be_used_costs_its_own_frame(camera, spoil, found):
    clouds, infos = camera.watch(PointCloud2, "depth/points"), camera.watch(CameraInfo, "depth/camera_info")
    camera.connect()
    accepted(camera, make_image(camera.stamp()), make_info())
    bad = make_info()
    spoil(bad)
    without = camera.send(make_image(camera.stamp()), bad)
    camera.expect_status("camera_info", ERROR, "/camera_info", found, "no metric depth", "assume_lens")
    after = accepted(camera, make_image(camera.stamp()), make_info())
    for messages in (clouds, infos, camera.depths):
        wait_until(lambda m=messages: stamp_of(m[-1]) == after, "the good frame's")
        assert without not in [stamp_of(m) for m in messages]


def test_a_camera_info_of_the_same_shape_is_scaled_with_a_warning(camera):
    infos = camera.watch(CameraInfo, "depth/camera_info")
    camera.connect()
    stamp = accepted(camera, make_image(camera.stamp()), make_info(640, 480, focal=520.0))
    wait_until(lambda: infos and stamp_of(infos[-1]) == stamp, "the camera_info")
    assert (infos[-1].width, infos[-1].k[0], infos[-1].k[2]) == (320, 260.0, 160.0)
    camera.expect_status("camera_info", WARN, "640x480", "/image is 320x240", "wrong if the image was cropped")


def test_a_camera_info_that_changes_in_mid_stream_holds_from_its_own_image_on(camera):
    infos = camera.watch(CameraInfo, "depth/camera_info")
    camera.connect()
    focal = {}
    for number in range(12):
        f = 250.0 + 10 * (number // 2)
        focal[accepted(camera, make_image(camera.stamp()), make_info(focal=f))] = f
    wait_until(lambda: len(infos) == len(focal), "the camera_infos")
    assert {stamp_of(m): m.k[0] for m in infos} == focal
    camera.expect_status("camera_info", WARN, "camera_info has changed")


def quarter(info):  # what a simulator publishes whose camera was given another size
    info.k[0] = info.k[4] = 130.0
    info.k[2], info.k[5] = 80.0, 60.0


def squeezed(info):
    info.k[4] *= 2


def millimetres(info):
    info.k[0] = info.k[4] = 3.6


def unlike_p(info):
    info.p = [400.0, 0.0, 160.0, 0.0, 0.0, 400.0, 120.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def lens_of_8_millimetres(info):
    info.k[0] = info.k[4] = 8.0


def in_widths(info):
    info.k[0] = info.k[4] = 0.8
    info.k[2] = info.k[5] = 0.5


def swapped_axis(info):
    info.k[2], info.k[5] = info.k[5], info.k[2]


def fisheye_of_nothing(info):
    info.distortion_model, info.d = "kannala_brandt4", [0.0] * 4


def p_of_half_the_size(info):
    info.d = [-0.1, 0.01, 0.0, 0.0]
    info.p = [130.0, 0.0, 80.0, 0.0, 0.0, 130.0, 60.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def binned_beside_a_whole_image(info):
    info.binning_x = info.binning_y = 2


def other_camera(info):
    info.header.frame_id = "rear_camera_optical_frame"


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (quarter, "of a picture of 160x120"),
        (squeezed, "fx, fy = 260, 520"),
        (millimetres, "millimetres"),
        (unlike_p, "K and P differ"),
        (lens_of_8_millimetres, "millimetres"),
        (in_widths, "in units of the picture's width"),
        (swapped_axis, "perhaps swapped"),
        (fisheye_of_nothing, "all 0 with the model of a fisheye"),
        (p_of_half_the_size, "P: cx, cy = 80, 60"),
        (binned_beside_a_whole_image, "but the image is whole"),
        (other_camera, "'rear_camera_optical_frame'"),
    ],
)
def test_intrinsics_that_cannot_be_this_cameras_are_said_with_the_likely_cause(camera, spoil, found):
    info = make_info()
    image = make_image(camera.stamp())
    info.header = copy.deepcopy(image.header)
    spoil(info)
    camera._infos.publish(info)
    wait_until(lambda: camera.counts() != {}, "diagnostics")
    stamp = stamp_of(image)
    camera._images.publish(image)
    wait_until(lambda: camera.depths and stamp_of(camera.depths[-1]) == stamp, lambda: camera.counts())
    camera.expect_status("camera_info", WARN, found)


@pytest.mark.parametrize("focal", [1.0, 3.6, 8.0])
def test_a_lens_that_is_not_in_pixels_frees_nothing_and_is_an_error(camera, focal):
    """The network reaches some centimetres by it: all farther pixels would be infinite, and the world free."""
    clearing = camera.watch(PointCloud2, "depth/clearing_points")
    camera.connect()
    stamp = accepted(camera, make_image(camera.stamp()), make_info(focal=focal))
    camera.expect_status("outputs", ERROR, "depth says nothing", f"with fx = {focal:g} px the network reaches")
    assert np.isnan(depth_of(camera.depths[-1])).all()
    wait_until(lambda: clearing and stamp_of(clearing[-1]) == stamp, "the clearing points")
    assert clearing[-1].width == 0
