"""The virtual camera: its depth against an independent ray caster, its colours between views, its flight."""

import numpy as np
import pytest

from mono_depth_ros.camera import CameraModel
from test.rooms.flight import CLEARANCE, LOOP, Flight
from test.rooms.renderer import Pose, Renderer, render
from test.rooms.room import Room
from test.scenes import LENSES, rays_of

SEEDS = (1, 4)


@pytest.fixture(scope="module")
def rooms() -> dict[int, Room]:
    return {seed: Room(seed) for seed in SEEDS}


def nearest_hit(room: Room, pose: Pose, rays: np.ndarray) -> np.ndarray:
    """Depth along the optical axis of rays (N, 2), float64, by the slab method on every box and on the room."""
    direction = np.column_stack([rays, np.ones(len(rays))]) @ pose.rotation.T
    low = np.array([-room.size[0] / 2, -room.size[1] / 2, 0.0])
    high = np.array([room.size[0] / 2, room.size[1] / 2, room.size[2]])
    depth = np.maximum((low - pose.position) / direction, (high - pose.position) / direction).min(axis=1)
    for box in room.boxes:
        cosine, sine = np.cos(box.yaw), np.sin(box.yaw)
        to_box = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
        origin, way = to_box @ (pose.position - box.center), direction @ to_box.T
        sides = np.stack([(-np.array(box.size) / 2 - origin) / way, (np.array(box.size) / 2 - origin) / way])
        enter, leave = sides.min(axis=0).max(axis=1), sides.max(axis=0).min(axis=1)
        hit = (enter < leave) & (enter > 0) & (enter < depth)
        depth[hit] = enter[hit]
    return depth


def somewhere(room: Room, number: int) -> Pose:
    return Flight(room, seed=number).pose(number * 1.7)


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("seed", SEEDS)
def test_depth_is_that_of_the_first_surface_on_each_ray(rooms, seed, lens):
    rays = rays_of(LENSES[lens])[::4, ::4]
    pose = somewhere(rooms[seed], 3)
    _, depth = render(rooms[seed], pose, rays)
    expected = nearest_hit(rooms[seed], pose, rays.reshape(-1, 2)).reshape(depth.shape)
    wrong = np.abs(depth - expected) > 1e-4 * expected
    # In float32 a ray that touches an edge may fall on its other side.
    assert wrong.mean() < 1e-3
    assert depth.dtype == np.float32


def test_each_point_has_the_same_colour_from_two_places(rooms):
    room, camera = rooms[4], CameraModel(640, 480, 520.0, 520.0, 320.0, 240.0)
    renderer, flight = Renderer(camera.rays()), Flight(room, seed=0)
    first, second = flight.pose(0.0), flight.pose(0.8)
    (rgb, depth), (other_rgb, other_depth) = renderer.render(room, first), renderer.render(room, second)

    points = np.dstack([camera.rays(), np.ones((480, 640))]) * depth[..., None]
    seen = ((points @ first.rotation.T + first.position) - second.position) @ second.rotation
    u = np.rint(seen[..., 0] / seen[..., 2] * 520 + 320).astype(int)
    v = np.rint(seen[..., 1] / seen[..., 2] * 520 + 240).astype(int)
    inside = (u >= 0) & (u < 640) & (v >= 0) & (v < 480) & (seen[..., 2] > 0)
    u, v, z = u[inside], v[inside], seen[..., 2][inside]
    visible = np.abs(other_depth[v, u] - z) < 0.01 * z
    assert visible.mean() > 0.8
    difference = np.abs(rgb[inside][visible].astype(int) - other_rgb[v, u][visible])
    unrelated = np.abs(rgb[inside][visible].astype(int) - np.roll(other_rgb[v, u][visible], 5000, axis=0))
    assert np.median(difference) <= 4
    assert difference.mean() < 0.25 * unrelated.mean()


def test_a_room_is_the_same_for_the_same_seed_and_another_for_another(rooms):
    pose, rays = somewhere(rooms[1], 0), CameraModel.nyu().resized(160, 120).rays()
    (rgb, depth), (again_rgb, again_depth) = (render(room, pose, rays) for room in (rooms[1], Room(1)))
    np.testing.assert_array_equal(rgb, again_rgb)
    np.testing.assert_array_equal(depth, again_depth)
    assert rooms[1].size != rooms[4].size


@pytest.mark.parametrize("seed", range(3))
def test_the_flight_is_smooth_closed_and_touches_nothing(rooms, seed):
    room = rooms[SEEDS[seed % 2]]
    flight = Flight(room, seed)
    poses = [flight.pose(t) for t in np.arange(0, LOOP, 1 / 30)]
    positions = np.array([pose.position for pose in poses])
    assert np.linalg.norm(np.diff(positions, axis=0), axis=1).max() < 0.08
    turns = [np.degrees(np.arccos(np.clip((np.trace(a.rotation.T @ b.rotation) - 1) / 2, -1, 1)))
             for a, b in zip(poses, poses[1:], strict=False)]  # fmt: skip
    assert max(turns) < 4
    np.testing.assert_allclose(flight.pose(LOOP).rotation, poses[0].rotation, atol=1e-9)
    for box in room.boxes:
        offset = positions - box.center
        cosine, sine = np.cos(box.yaw), np.sin(box.yaw)
        local = np.column_stack([cosine * offset[:, 0] + sine * offset[:, 1],
                                 cosine * offset[:, 1] - sine * offset[:, 0], offset[:, 2]])  # fmt: skip
        outside = np.maximum(np.abs(local) - np.array(box.size) / 2, 0)
        assert np.linalg.norm(outside, axis=1).min() > CLEARANCE - 0.05
    assert (np.abs(positions[:, :2]) < np.array(room.size[:2]) / 2 - CLEARANCE + 0.05).all()
