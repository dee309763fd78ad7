"""Landmarks on rendered flights, whose depth and motion are exact."""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.landmarks import Landmarks
from test.rooms.flight import Flight
from test.rooms.renderer import Pose, Renderer
from test.rooms.room import Room

CAMERA = CameraModel.nyu().resized(320, 240)
RATE = 15


@cache
def scene() -> tuple[Room, Renderer]:
    return Room(1), Renderer(CAMERA.rays())


def look(pose: Pose) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grey picture, depth and pose (4, 4) of the room from a place."""
    room, renderer = scene()
    rgb, depth = renderer.render(room, pose)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = pose.rotation, pose.position
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), depth, matrix


@cache
def flight(frames: int = 45) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    path = Flight(scene()[0], seed=1)
    return [look(path.pose(index / RATE)) for index in range(frames)]


def flown(landmarks: Landmarks, frames, start: float = 0.0, **options):
    """The anchors of the last of the frames."""
    for index, (gray, depth, pose) in enumerate(frames):
        anchors = landmarks.update(gray, guessed(depth), CAMERA, pose, start + index / RATE, **options)
    return anchors


def guessed(depth: np.ndarray) -> np.ndarray:
    """What a network might make of it: a fifth too far."""
    return np.float32(1.2) * depth


def log_error(anchors, depth: np.ndarray) -> np.ndarray:
    """ln of each anchor's depth over the truth nearest to it within a pixel, for edges lie between pixels."""
    u, v = np.asarray(anchors.u), np.asarray(anchors.v)
    errors = []
    for du in (-1, 0, 1):
        for dv in (-1, 0, 1):
            column = np.clip(np.rint(u) + du, 0, CAMERA.width - 1).astype(int)
            row = np.clip(np.rint(v) + dv, 0, CAMERA.height - 1).astype(int)
            errors.append(np.log(np.asarray(anchors.depth) / depth[row, column]))
    errors = np.array(errors)
    return errors[np.abs(errors).argmin(axis=0), np.arange(errors.shape[1])]


def test_a_moving_camera_measures_the_room():
    frames = flight()
    anchors = flown(Landmarks(), frames)
    error = log_error(anchors, frames[-1][1])
    assert len(error) > 60
    assert np.median(np.abs(error)) < 0.02
    assert np.mean(np.abs(error) < 0.1) > 0.9
    assert np.mean(np.abs(error) < 1.645 * np.asarray(anchors.sigma)) > 0.85


def test_noise_in_odometry_s_orientation_does_not_end_tracks_nor_bend_the_room():
    rng = np.random.default_rng(0)
    frames = []
    for gray, depth, pose in flight():
        noisy = pose.copy()
        noisy[:3, :3] = pose[:3, :3] @ cv2.Rodrigues(rng.normal(0, np.radians(0.07), 3))[0]
        frames.append((gray, depth, noisy))
    error = log_error(flown(Landmarks(), frames), frames[-1][1])
    assert len(error) > 60
    assert np.median(np.abs(error)) < 0.03


def test_a_wrong_guess_of_the_network_is_no_part_of_an_anchor():
    """Landmarks are the same, within their noise, whatever the network said."""
    frames = flight()
    honest = flown(Landmarks(), frames)
    biased = flown(Landmarks(), [(gray, 1.25 * depth, pose) for gray, depth, pose in frames])
    error = log_error(biased, frames[-1][1])
    assert len(error) > 0.7 * len(honest.u)
    assert abs(np.median(error)) < 0.01


def test_scale_is_that_of_odometry():
    frames = [(gray, depth, pose.copy()) for gray, depth, pose in flight()]
    for _, _, pose in frames:
        pose[:3, 3] *= 2
    error = log_error(flown(Landmarks(), frames), 2 * frames[-1][1])
    assert np.median(np.abs(error)) < 0.02


def test_a_camera_that_only_turns_knows_no_distance():
    place = np.array(flight()[0][2][:3, 3])
    turning = [look(Pose.looking(place, yaw=0.02 * index, pitch=-0.2)) for index in range(20)]
    assert len(flown(Landmarks(), turning).u) == 0


def test_what_was_passed_still_anchors_a_camera_that_stands_or_turns():
    landmarks = Landmarks()
    frames = flight()
    moving = flown(landmarks, frames)
    last = frames[-1][2]
    standing = flown(landmarks, [frames[-1]] * 15, start=45 / RATE)
    assert len(standing.u) > 0.8 * len(moving.u)
    turned = []
    for index in range(12):
        turn = cv2.Rodrigues(np.array([0, 0.02 * index, 0]))[0]
        turned.append(look(Pose(last[:3, 3], last[:3, :3] @ turn)))
    anchors = flown(landmarks, turned, start=60 / RATE)
    assert len(anchors.u) > 0.5 * len(moving.u)
    assert np.median(np.abs(log_error(anchors, turned[-1][1]))) < 0.03


def test_memory_ends_after_its_seconds():
    landmarks = Landmarks(memory=2.0)
    flown(landmarks, flight())
    dark = np.zeros((CAMERA.height, CAMERA.width), np.uint8)
    _, depth, pose = flight()[-1]
    counts = [len(landmarks.update(dark, depth, CAMERA, pose, (45 + index) / RATE).u) for index in range(3 * RATE)]
    assert counts[1] > 30
    assert counts[-1] == 0


def test_what_moves_by_itself_is_no_landmark():
    """A sticker with much texture drifts over the picture: corners on it are tracked, and none becomes an anchor."""
    rng = np.random.default_rng(0)
    sticker = cv2.GaussianBlur(rng.integers(0, 256, (70, 70), dtype=np.uint8), (5, 5), 0)
    frames, inside = [], None
    for index, (gray, depth, pose) in enumerate(flight()):
        x, y = 60 + 3 * index, 60 + index
        pasted = gray.copy()
        pasted[y : y + 70, x : x + 70] = cv2.normalize(sticker, None, 0, 255, cv2.NORM_MINMAX)
        frames.append((pasted, depth, pose))
        inside = (x + 8, y + 8, x + 62, y + 62)
    anchors = flown(Landmarks(memory=0.2), frames)
    u, v = np.asarray(anchors.u), np.asarray(anchors.v)
    on_it = (u > inside[0]) & (v > inside[1]) & (u < inside[2]) & (v < inside[3])
    assert len(u) > 40
    assert np.count_nonzero(on_it) <= 2


def test_poses_of_another_journey_give_nothing_wrong():
    """Frames of one flight with the poses of its mirror image: their lines do not meet the corners."""
    frames = [(gray, depth, np.diag([1, -1, -1, 1.0]) @ pose) for gray, depth, pose in flight()]
    shuffled = [(frames[i][0], frames[i][1], frames[-1 - i][2]) for i in range(len(frames))]
    assert len(flown(Landmarks(), shuffled).u) < 10


@pytest.mark.parametrize(
    "jump",
    [
        pytest.param(lambda pose, stamp: (pose, stamp - 1.0), id="time goes back"),
        pytest.param(lambda pose, stamp: (pose, stamp + 60.0), id="a minute without images"),
        pytest.param(
            lambda pose, stamp: (pose + np.outer([1, 1, 0, 0], [0, 0, 0, 3.0]), stamp), id="odometry is set anew"
        ),
    ],
)
def test_a_jump_forgets_what_was_known(jump):
    landmarks = Landmarks()
    assert len(flown(landmarks, flight()).u) > 60
    gray, depth, pose = flight()[-1]
    pose, stamp = jump(pose, 45 / RATE)
    assert len(landmarks.update(gray, depth, CAMERA, pose, stamp).u) == 0


def test_a_new_camera_forgets_what_was_known():
    landmarks = Landmarks()
    flown(landmarks, flight())
    gray, depth, pose = flight()[-1]
    assert len(landmarks.update(gray, depth, replace(CAMERA, fx=2 * CAMERA.fx), pose, 45 / RATE).u) == 0


def test_what_is_kept_is_bounded():
    landmarks = Landmarks(corners=50, memory=1e9)
    flown(landmarks, flight())
    assert len(landmarks._tracked) <= 50
    assert len(landmarks._remembered) <= 50


def test_the_rim_of_a_rectified_image_is_no_corner():
    valid = np.zeros((CAMERA.height, CAMERA.width), bool)
    valid[60:180, 80:240] = True
    frames = [(np.where(valid, gray, 0).astype(np.uint8), depth, pose) for gray, depth, pose in flight()]
    anchors = flown(Landmarks(memory=0.0), frames, valid=valid)
    assert len(anchors.u) > 10
    error = log_error(anchors, frames[-1][1])
    assert np.mean(np.abs(error) < 0.1) > 0.9


@pytest.mark.parametrize("pose", [np.full((4, 4), np.nan), 2 * np.eye(4), np.eye(3)])
def test_a_pose_that_is_none_is_refused_and_costs_nothing(pose):
    landmarks = Landmarks()
    gray, depth, _ = flight()[0]
    with pytest.raises(ValueError, match="pose: found"):
        landmarks.update(gray, depth, CAMERA, pose, 0.0)
    assert len(flown(landmarks, flight()).u) > 60


def test_an_image_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"image: found uint8 of shape \(10, 10\)"):
        Landmarks().update(np.zeros((10, 10), np.uint8), flight()[0][1], CAMERA, np.eye(4), 0.0)
