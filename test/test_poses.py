"""Poses from numbers, and from odometry over time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from mono_depth_ros.poses import Track, inverse, pose_of
from test.conftest import fuzz


def quaternion(degrees: float, axis=(0, 0, 1)) -> np.ndarray:
    return Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis, float)).as_quat()


@pytest.mark.parametrize("seed", range(5))
def test_a_pose_is_what_another_library_makes_of_its_numbers(seed: int):
    rng = np.random.default_rng(seed)
    turn, place = Rotation.random(rng=rng), rng.normal(size=3)
    pose = pose_of([*place, *turn.as_quat()])
    np.testing.assert_allclose(pose[:3, :3], turn.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(pose[:3, 3], place)
    np.testing.assert_allclose(inverse(pose) @ pose, np.eye(4), atol=1e-12)


@pytest.mark.parametrize("numbers", [[], [0] * 7, [0, 0, 0, 0, 0, 0, 2], [np.nan, 0, 0, 0, 0, 0, 1], [0] * 6 + [1, 0]])
def test_numbers_that_are_no_pose_are_refused(numbers: list[float]):
    with pytest.raises(ValueError, match="expected x y z qx qy qz qw"):
        pose_of(numbers)


def test_odometry_between_two_messages_is_halfway():
    track = Track()
    track.add(1.0, (0, 0, 0), quaternion(0))
    track.add(1.1, (1, 2, 0), quaternion(10))
    pose = track.at(1.05)
    np.testing.assert_allclose(pose, pose_of([0.5, 1, 0, *quaternion(5)]), atol=1e-9)
    quarter = Slerp([0, 1], Rotation.from_quat([quaternion(0), quaternion(10)]))(0.25)
    error = Rotation.from_matrix(track.at(1.025)[:3, :3]).inv() * quarter
    assert np.degrees(error.magnitude()) < 0.02


def test_opposite_quaternions_are_one_turn():
    track = Track()
    track.add(1.0, (0, 0, 0), quaternion(4))
    track.add(1.1, (0, 0, 0), -quaternion(4))
    np.testing.assert_allclose(track.at(1.05), pose_of([0, 0, 0, *quaternion(4)]), atol=1e-12)


def test_odometry_says_nothing_of_times_it_does_not_reach():
    track = Track()
    assert track.at(1.0) is None
    track.add(1.0, (0, 0, 0), quaternion(0))
    track.add(1.1, (1, 0, 0), quaternion(0))
    assert track.at(0.9) is None
    assert track.at(5.0) is None
    np.testing.assert_allclose(track.at(1.15)[:3, 3], [1, 0, 0])  # a late message is waited for, so long
    track.add(9.0, (8, 0, 0), quaternion(0))
    assert track.at(5.0) is None


def test_time_that_goes_back_starts_anew():
    track = Track()
    track.add(100.0, (0, 0, 0), quaternion(0))
    track.add(1.0, (5, 0, 0), quaternion(0))
    assert track.at(100.0) is None
    np.testing.assert_allclose(track.at(1.0)[:3, 3], [5, 0, 0])


@pytest.mark.parametrize(("place", "turn"), [((np.nan, 0, 0), (0, 0, 0, 1)), ((0, 0, 0), (0, 0, 0, 0))])
def test_odometry_that_is_no_pose_costs_nothing(place, turn):
    track = Track()
    track.add(1.0, (1, 0, 0), quaternion(0))
    with pytest.raises(ValueError, match="expected a pose"):
        track.add(1.1, place, turn)
    np.testing.assert_allclose(track.at(1.05)[:3, 3], [1, 0, 0])


def test_memory_is_bounded():
    track = Track()
    for index in range(5000):
        track.add(index / 100, (index, 0, 0), quaternion(0))
    assert len(track._stamps) == len(track._poses) < 1100


NUMBER = st.floats() | st.floats(-1, 1)
MESSAGES = st.lists(st.tuples(st.floats(-9, 9), st.tuples(*[NUMBER] * 3), st.tuples(*[NUMBER] * 4)), max_size=12)


@fuzz(200)
@given(MESSAGES, st.floats(-10, 10))
def test_any_odometry_is_a_pose_or_refused(messages, stamp):
    track, last = Track(), -np.inf
    for then, place, turn in messages:
        try:
            back = track.add(then, place, turn)
        except ValueError as error:
            assert "expected a pose" in str(error)
            continue
        assert back == max(0.0, last - then)
        last = then
    pose = track.at(stamp)
    assert pose is None or np.isfinite(pose).all()
