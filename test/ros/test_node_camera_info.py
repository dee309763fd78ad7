"""Bad camera_info: said in the log and in /diagnostics; without a camera there is depth, but no cloud."""

import time

import pytest
from sensor_msgs.msg import CameraInfo, PointCloud2

from test.ros.harness import ERROR, WARN, accepted, make_image, make_info, stamp_of, wait_until


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
def test_a_camera_info_that_cannot_be_used_costs_the_cloud_but_not_the_depth(camera, spoil, found):
    clouds, infos = camera.watch(PointCloud2, "depth/points"), camera.watch(CameraInfo, "depth/camera_info")
    camera.connect()
    accepted(camera, make_image(camera.stamp()), make_info())
    bad = make_info()
    spoil(bad)
    without = accepted(camera, make_image(camera.stamp()), bad)
    camera.expect_status("camera_info", ERROR, "/camera_info", found, "no camera_info, cloud or scan")
    after = accepted(camera, make_image(camera.stamp()), make_info())
    for messages in (clouds, infos):
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


def test_camera_info_that_never_comes_and_then_comes_late(camera, running):
    assert camera.change_state("deactivate") and camera.change_state("activate")  # forgets the camera_infos so far
    clouds = camera.watch(PointCloud2, "depth/points")
    camera.connect()
    before = len(camera.depths)
    while len(camera.depths) == before:
        camera.send(make_image(camera.stamp()))
        time.sleep(0.1)
    camera.expect_status("camera_info", ERROR, "/camera_info: no camera_info has come", "/image", "remap camera_info")
    assert "/camera_info: no camera_info has come" in running.log()
    assert camera.counts()["dropped: camera_info is awaited"] > 0
    assert not clouds
    late = accepted(camera, make_image(camera.stamp()), make_info())
    wait_until(lambda: clouds and stamp_of(clouds[-1]) == late, "a cloud")
