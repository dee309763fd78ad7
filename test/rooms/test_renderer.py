"""The virtual camera: its depth against an independent ray caster, its colours between views, its flight."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mono_depth_ros.camera import CameraModel
from test.rooms import textures
from test.rooms.boxes import Box
from test.rooms.flight import CLEARANCE, LOOP, Flight
from test.rooms.layout import furnished
from test.rooms.lighting import FLOOR, SIDES, Faces, Obstacles, irradiance
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


def test_pictures_are_exposed_and_have_texture(rooms):
    for seed, room in rooms.items():
        rgb, _ = render(room, somewhere(room, seed), CameraModel.nyu().rays())
        assert 40 < rgb.mean() < 200
        assert (rgb > 250).mean() < 0.3
        assert rgb.reshape(-1, 3).std(axis=0).min() > 15


@pytest.mark.parametrize(
    ("pitch", "distance"), [(-np.pi / 2, lambda room: 1.4), (np.pi / 2, lambda room: room.size[2] - 1.4)]
)
def test_straight_down_is_the_floor_and_straight_up_the_ceiling(rooms, pitch, distance):
    position = np.array([*Flight(rooms[1]).pose(0).position[:2], 1.4])
    _, depth = render(rooms[1], Pose.looking(position, yaw=0.5, pitch=pitch), CameraModel.nyu().rays())
    assert depth.max() == pytest.approx(distance(rooms[1]), rel=1e-5)


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


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_whatever_the_seed_furniture_stays_within_the_walls_and_off_the_ceiling(seed: int):
    layout = furnished(np.random.default_rng(seed))
    size_x, size_y, height = layout.size
    assert len(layout.boxes) > 15
    for box in layout.boxes:
        cosine, sine = abs(np.cos(box.yaw)), abs(np.sin(box.yaw))
        reach_x, reach_y = (box.size[0] * a + box.size[1] * b for a, b in ((cosine, sine), (sine, cosine)))
        # A thing on a table may be turned, and so reach a little further than it was placed for.
        assert abs(box.center[0]) + reach_x / 2 < size_x / 2 + 0.08
        assert abs(box.center[1]) + reach_y / 2 < size_y / 2 + 0.08
        assert -1e-6 <= box.center[2] - box.size[2] / 2 and box.center[2] + box.size[2] / 2 <= height + 1e-6


def lit_floor(boxes: list[Box]) -> np.ndarray:
    """Light on a black floor of 4 m x 4 m, 40 x 40 points, under a lamp of 0.2 m x 0.2 m that hangs 2 m above it."""
    floor = ((-2, 2, 0), (4, 0, 0), (0, -4, 0))
    lamp = ((-0.1, -0.1, 2), (0.2, 0, 0), (0, 0.2, 0))
    corner, u, v = (np.array([floor[i], lamp[i]], np.float32) for i in range(3))
    faces = Faces(corner, u, v, np.array([FLOOR, SIDES + len(boxes)]))
    np.testing.assert_array_equal(faces.normal, [[0, 0, 1], [0, 0, -1]])
    hanging = Box((0, 0, 2.05), (0.2, 0.2, 0.1), textures.leaves)
    glow = np.array([[0, 0, 0], [10, 5, 0]], np.float32)
    obstacles = Obstacles((4, 4, 2.5), [*boxes, hanging])
    return irradiance(faces, [(40, 40), (1, 1)], np.zeros((2, 3), np.float32), glow, obstacles)[0]


def test_light_falls_off_with_distance_and_angle():
    fallen = lit_floor([])
    y, x = np.mgrid[:40, :40] / 10 + 0.05 - 2
    squared = x**2 + y**2 + 4
    # L A cos cos' / d^2, with cos = cos' = 2 / d: 10 * 0.04 * 4 / d^4 in red.
    np.testing.assert_allclose(fallen[..., 0], 1.6 / squared**2, rtol=0.02)
    np.testing.assert_allclose(fallen[..., 1], fallen[..., 0] / 2, rtol=1e-5)
    assert (fallen[..., 2] == 0).all()


def test_a_table_casts_a_shadow_with_a_soft_edge():
    # At 1 m, half-way to the lamp: its shadow is twice as wide, 1.6 m, and the edge as wide as the lamp, 0.2 m.
    table = Box((0, 0, 1), (0.8, 0.8, 0.02), textures.leaves)
    share = lit_floor([table])[20, :, 0] / lit_floor([])[20, :, 0]
    x = np.abs(np.arange(40) / 10 + 0.05 - 2)
    assert (share[x < 0.65] == 0).all() and share[x > 0.95] == pytest.approx(1)
    edge = share[(x > 0.7) & (x < 0.9)]
    assert ((edge > 0.1) & (edge < 0.9)).all()


def test_rotation_is_a_right_handed_optical_frame():
    pose = Pose.looking(np.zeros(3), yaw=0.0)
    # Looks along the room's x: right is -y, down is -z.
    np.testing.assert_allclose(pose.rotation, [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], atol=1e-12)
    rolled = Pose.looking(np.zeros(3), yaw=1.0, pitch=-0.4, roll=0.2).rotation
    np.testing.assert_allclose(rolled.T @ rolled, np.eye(3), atol=1e-12)
    assert np.linalg.det(rolled) == pytest.approx(1)
