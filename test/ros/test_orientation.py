"""How the camera is turned: by parameters, by tf2, by the vehicle's attitude; and what is said where nobody knows.

tf2_ros is not on PyPI. Where it is not installed, its two classes are stood in for by ones with the same methods, which
answer with a transform that is given by hand.
"""

import math
import sys
from types import ModuleType

import numpy as np
import pytest
from geometry_msgs.msg import Quaternion, TransformStamped
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Imu
from std_msgs.msg import Header

from mono_depth_ros.ros.frames import Tree
from mono_depth_ros.ros.orientation import Orientation, Turn
from mono_depth_ros.ros.parameters import Settings
from test.ros.harness import FRAME_ID, wait_until
from test.ros.test_pipeline import host

HEADER = Header(frame_id=FRAME_ID)
# Quaternions (x, y, z, w) of an optical frame in a frame of x forward, y left, z up; half angles by hand.
AHEAD = (-0.5, 0.5, -0.5, 0.5)


@pytest.fixture
def orientation():
    made = Orientation(host(), Tree(host()), attitude=False)
    yield made
    made.close()


def product(a, b):
    """Hamilton's, of quaternions (x, y, z, w)."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def about(axis: int, angle: float):
    q = [0.0, 0.0, 0.0, math.cos(angle / 2)]
    q[axis] = math.sin(angle / 2)
    return tuple(q)


class Buffer:
    """Knows the optical frame in every frame but 'nowhere'."""

    rotation = AHEAD

    def lookup_transform(self, target, source, time):
        if target == "nowhere":
            raise LookupError('"nowhere" passed to lookupTransform argument target_frame does not exist')
        assert source == FRAME_ID
        found = TransformStamped()
        found.transform.rotation = Quaternion(**dict(zip("xyzw", map(float, self.rotation), strict=True)))
        return found


@pytest.fixture
def tf2(monkeypatch):
    """A tf2_ros whose buffer turns the camera as is set."""
    stand_in = ModuleType("tf2_ros")
    stand_in.Buffer = Buffer
    stand_in.TransformListener = lambda buffer, node: buffer
    monkeypatch.setitem(sys.modules, "tf2_ros", stand_in)
    return Buffer


def test_parameters_are_taken_where_they_say_something_or_are_to_be_taken(orientation):
    given = Turn(0.1, 0.2, 3.1)
    settings = Settings(scan_roll=0.1, scan_pitch=0.2, scan_yaw=3.1, scan_format="mavlink")
    assert orientation.of_camera(HEADER, "base_link_frd", settings) == (given, "")
    front = Settings(scan_rotation="parameters", scan_format="mavlink")
    assert orientation.of_camera(HEADER, "base_link_frd", front) == (Turn(), "")
    assert orientation.of_camera(HEADER, "camera_frame", Settings()) == (Turn(), "")


def test_bins_of_a_vehicle_are_refused_where_nobody_says_how_the_camera_is_turned(orientation, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    with pytest.raises(ValueError, match="base_link_frd is not known: .*tf2_ros is not installed.*; set scan_yaw"):
        orientation.of_camera(HEADER, "base_link_frd", Settings(scan_format="mavlink"))
    with pytest.raises(ValueError, match="tf2_ros is not installed"):
        orientation.of_camera(HEADER, "base_link", Settings(scan_rotation="tf"))
    # A plain scan of a camera that may look anywhere goes out as if it looked ahead, and that is said.
    turn, doubt = orientation.of_camera(HEADER, "base_link", Settings(scan_frame="base_link"))
    assert turn == Turn() and "how the camera is turned in base_link is not known" in doubt


@pytest.mark.parametrize("given", [{}, {"scan_pitch": 0.3}, {"scan_roll": -0.2}])
def test_bins_of_a_vehicle_are_not_taken_from_a_camera_that_may_look_anywhere(orientation, tf2, given):
    """A pitch says nothing of where it looks round the vehicle, and its own frame is turned with it."""
    settings = Settings(scan_format="mavlink", **given)
    own = FRAME_ID.replace("_optical", "")
    with pytest.raises(ValueError, match="it is the camera's own, and the bins are the vehicle's; set scan_frame"):
        orientation.of_camera(HEADER, own, settings)
    assert orientation.of_camera(HEADER, own, Settings(scan_format="mavlink", scan_yaw=3.1, **given))[0].yaw == 3.1
    tf2.rotation = product(about(2, math.pi), AHEAD)
    try:
        assert abs(orientation.of_camera(HEADER, "base_link", settings)[0].yaw) == pytest.approx(math.pi)
    finally:
        tf2.rotation = AHEAD


@pytest.mark.parametrize("numbers", [(math.nan,) * 4, (0.0,) * 4, (0.1, 0.1, 0.1, 0.1), (9.0, 0.0, 0.0, 0.0)])
def test_an_attitude_that_is_no_rotation_is_refused(numbers):
    orientation = Orientation(host(), Tree(host()), attitude=True)
    try:
        orientation._take(Imu(orientation=Quaternion(**dict(zip("xyzw", numbers, strict=True)))))
        with pytest.raises(ValueError, match="imu has no orientation"):
            orientation.of_camera(HEADER, "base_link", Settings(scan_attitude=True, scan_rotation="parameters"))
    finally:
        orientation.close()


@pytest.mark.parametrize(
    ("rotation", "expected"),
    [
        (AHEAD, Turn()),
        (product(about(2, math.pi / 2), AHEAD), Turn(yaw=math.pi / 2)),
        (product(about(2, math.pi), AHEAD), Turn(yaw=math.pi)),
        (product(about(1, 0.3), AHEAD), Turn(pitch=0.3)),  # y is to the left: positive looks down
        (product(about(0, 0.2), AHEAD), Turn(roll=0.2)),
        (product(product(about(2, 2.0), product(about(1, -0.4), about(0, 0.1))), AHEAD), Turn(0.1, -0.4, 2.0)),
    ],
)
def test_tf2_turns_the_camera_in_a_frame_that_was_set(orientation, tf2, monkeypatch, rotation, expected):
    monkeypatch.setattr(tf2, "rotation", rotation)
    for settings in (Settings(scan_rotation="tf"), Settings(scan_frame="base_link")):
        found, _ = orientation.of_camera(HEADER, "base_link", settings)
        difference = (np.array(found) - expected + math.pi) % (2 * math.pi) - math.pi
        np.testing.assert_allclose(difference, 0, atol=1e-9)


def test_a_frame_whose_z_is_down_is_turned_up(orientation, tf2, monkeypatch):
    monkeypatch.setattr(tf2, "rotation", product(about(0, math.pi), AHEAD))
    found, _ = orientation.of_camera(HEADER, "base_link_frd", Settings(scan_format="mavlink"))
    np.testing.assert_allclose(found, Turn(), atol=1e-9)


def test_what_tf2_does_not_know_is_said(orientation, tf2):
    with pytest.raises(ValueError, match='tf2: "nowhere" passed to lookupTransform'):
        orientation.of_camera(HEADER, "nowhere", Settings(scan_rotation="tf"))


def test_the_attitude_of_the_vehicle_levels_the_scan_and_its_heading_does_not_turn_it():
    """The vehicle is nose down by 0.2 rad and heads anywhere; the camera is mounted nose up by 0.1 rad."""
    orientation = Orientation(host(), Tree(host()), attitude=True)
    publisher = host().create_publisher(Imu, "imu", 1)
    executor = SingleThreadedExecutor(context=host().context)
    executor.add_node(host())
    settings = Settings(scan_attitude=True, scan_pitch=-0.1)
    try:
        with pytest.raises(ValueError, match="no imu has come"):
            orientation.of_camera(HEADER, "base_link_frd", settings)
        attitude = Imu(header=Header(frame_id="base_link"))
        attitude.orientation = Quaternion(**dict(zip("xyzw", product(about(2, 1.0), about(1, 0.2)), strict=True)))

        def levelled():
            publisher.publish(attitude)
            executor.spin_once(timeout_sec=0.05)
            return orientation._attitude

        wait_until(levelled, "the attitude")
        found, _ = orientation.of_camera(HEADER, "base_link_frd", settings)
        np.testing.assert_allclose(found, Turn(pitch=0.1), atol=0.011)
        attitude.orientation_covariance[0] = -1.0
        orientation._take(attitude)
        with pytest.raises(ValueError, match="imu has no orientation"):
            orientation.of_camera(HEADER, "base_link_frd", settings)
    finally:
        executor.remove_node(host())
        orientation.close()
