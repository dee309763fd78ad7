"""Readings as anchors in a camera, by hand."""

import math
from collections import Counter

import numpy as np
import pytest

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.poses import pose_of
from mono_depth_ros.readings import Reading, projected

CAMERA = CameraModel(width=320, height=240, fx=200.0, fy=100.0, cx=160.0, cy=120.0)
HERE = np.eye(4)
# x forward, y left, z up, in an optical frame: half a metre above the camera.
ABOVE = pose_of([0.0, -0.5, 0.0, 0.5, -0.5, 0.5, 0.5])


def reading(*points, bound=0, field_of_view=0.0, sigma=0.02) -> Reading:
    number = len(points)
    return Reading(np.array(points, float), np.full(number, sigma), np.full(number, bound), field_of_view, Counter())


def test_a_point_is_a_pixel_and_its_depth():
    anchors = projected(reading((1.0, 0.5, 2.0)), HERE, 0.0, CAMERA)
    assert (anchors.u[0], anchors.v[0], anchors.depth[0], anchors.sigma[0]) == pytest.approx((260, 145, 2, 0.02))


def test_a_sensor_elsewhere_sees_from_there():
    """One metre left of the sensor's axis and two ahead: to the left in the image, and above its middle."""
    anchors = projected(reading((2.0, 1.0, 0.0)), ABOVE, 0.0, CAMERA)
    assert (anchors.u[0], anchors.v[0], anchors.depth[0]) == pytest.approx((60, 95, 2))


def test_what_is_behind_or_beside_the_image_is_none():
    anchors = projected(reading((0.0, 0.0, -1.0), (9.0, 0.0, 1.0), (0.0, 0.0, 1.0)), HERE, 0.0, CAMERA)
    assert anchors.u.tolist() == [160.0]


def test_age_without_odometry_makes_an_anchor_less_sure():
    """0.1 m of motion are 5 % of 2 m and 2.5 % of 4 m, beside the sensor's own 2 %."""
    anchors = projected(reading((0.0, 0.0, 2.0), (0.0, 0.0, 4.0)), HERE, 0.1, CAMERA)
    np.testing.assert_allclose(anchors.sigma, [math.hypot(0.05, 0.02), math.hypot(0.025, 0.02)])


def test_a_beam_s_radial_range_is_a_shorter_depth():
    """A wall across the axis at 3 m: a beam sees it at 3 m times the mean of sqrt(1 + r^2) over the beam's disc."""
    half = math.tan(0.3)
    radius = np.sqrt((np.arange(100_000) + 0.5) / 100_000) * half
    radial = 3.0 * np.sqrt(1 + radius**2).mean()
    anchors = projected(reading((radial, 0.0, 0.0), field_of_view=0.6), ABOVE, 0.0, CAMERA)
    assert anchors.depth[0] == pytest.approx(3.0, rel=1e-6)
    assert anchors.radius[0] == pytest.approx(half * math.sqrt(200 * 100))
