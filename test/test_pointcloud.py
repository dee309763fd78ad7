"""Clouds: hand-worked points, true planes through each lens, depth edges against tilted surfaces, PLY files."""

import math
import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mono_depth_ros.camera import CameraModel, Rectifier
from mono_depth_ros.pointcloud import MAX_SLANT, CloudBuilder, EdgeFilter, write_ply
from test.conftest import fuzz
from test.scenes import LENSES, ROOM, cast, rays_of

TINY = CameraModel(4, 3, 2.0, 4.0, 1.0, 1.0)
NYU = CameraModel.nyu()
BLACK = np.zeros((480, 640, 3), np.uint8)


def tiny_frame(depth: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    rgb = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    return np.full((3, 4), depth, np.float32), rgb


def flying_pixels(depth: np.ndarray, camera: CameraModel, max_slant: float = MAX_SLANT) -> np.ndarray:
    return EdgeFilter(camera, max_slant).solid(depth) == 0


def xyz(cloud: np.ndarray) -> np.ndarray:
    return np.stack([cloud[axis] for axis in "xyz"], axis=-1).astype(np.float64)


def test_points_by_hand():
    """Pixel (3, 2) at 2 m: x = (3 - 1) / 2 * 2 = 2 m right, y = (2 - 1) / 4 * 2 = 0.5 m down."""
    cloud = CloudBuilder(TINY).build(*tiny_frame())
    assert cloud.shape == (3, 4) and cloud.dtype.names == ("x", "y", "z", "rgb") and cloud.dtype.itemsize == 16
    assert cloud[2, 3].tolist()[:3] == (2.0, 0.5, 2.0)
    assert cloud[1, 1].tolist()[:3] == (0.0, 0.0, 2.0)
    assert cloud[0, 0].tolist()[:3] == (-1.0, -0.5, 2.0)


def test_colours_are_packed_as_rviz_reads_them():
    depth, rgb = tiny_frame()
    rgb[1, 2] = (0xFF, 0x80, 0x01)
    packed = CloudBuilder(TINY).build(depth, rgb)["rgb"].copy().view(np.uint32)
    assert packed[1, 2] == 0x00FF8001
    assert packed[0, 1] == 0x00030405


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0, -1.0])
def test_a_bad_depth_is_nan_in_the_organised_cloud_and_absent_from_the_dense_one(bad):
    depth, rgb = tiny_frame()
    depth[1, 2] = bad
    cloud = CloudBuilder(TINY, max_slant=90).build(depth, rgb)
    assert np.isnan(xyz(cloud)[1, 2]).all()
    assert np.isfinite(np.delete(xyz(cloud).reshape(-1, 3), 6, axis=0)).all()
    dense = CloudBuilder(TINY, dense=True, max_slant=90).build(depth, rgb)
    assert dense.tobytes() == np.delete(cloud.ravel(), 6).tobytes()


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_a_stride_keeps_the_points_of_its_rows_and_columns(stride):
    depth, rgb = tiny_frame()
    depth += np.arange(12, dtype=np.float32).reshape(3, 4) / 100
    whole = CloudBuilder(TINY).build(depth, rgb)
    some = CloudBuilder(TINY, stride=stride).build(depth, rgb)
    assert some.tobytes() == whole[::stride, ::stride].tobytes()


def test_the_field_carries_the_confidence():
    depth, rgb = tiny_frame()
    confidence = np.linspace(0, 1.1, 12, dtype=np.float32).reshape(3, 4)
    confidence[2, 3] = np.nan
    cloud = CloudBuilder(TINY, confidence_field=True).build(depth, rgb, confidence)
    assert cloud.dtype.names == ("x", "y", "z", "rgb", "confidence") and cloud.dtype.itemsize == 20
    np.testing.assert_array_equal(cloud["confidence"], confidence)
    assert np.isfinite(cloud["z"]).all()


def test_confidence_that_is_needed_but_missing_is_an_error():
    with pytest.raises(ValueError, match="confidence: found None"):
        CloudBuilder(TINY, confidence_field=True).build(*tiny_frame())


def test_the_share_of_good_points_is_known():
    depth, rgb = tiny_frame()
    depth[0] = np.nan
    builder = CloudBuilder(TINY, max_slant=90)
    builder.build(depth, rgb)
    assert builder.valid_share() == pytest.approx(2 / 3)


def test_arrays_of_another_size_or_type_are_refused_by_name():
    depth, rgb = tiny_frame()
    builder = CloudBuilder(TINY)
    with pytest.raises(ValueError, match=r"depth: found float32 \(2, 4\), expected float32 \(3, 4\)"):
        builder.build(depth[:2], rgb)
    with pytest.raises(ValueError, match="depth: found float64"):
        builder.build(depth.astype(np.float64), rgb)
    with pytest.raises(ValueError, match="rgb: found"):
        builder.build(depth, rgb[..., 0])


@pytest.mark.parametrize("wrong", [{"stride": 0}, {"max_slant": 0.0}, {"max_slant": -10.0}])
def test_settings_that_mean_nothing_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CloudBuilder(TINY, **wrong)


def test_a_distorted_camera_is_refused():
    with pytest.raises(ValueError, match="rectify"):
        CloudBuilder(LENSES["barrel"])


def test_views_and_read_only_frames_give_the_same_cloud():
    """A decoder hands out views of a message: flipped channels, padded rows, memory that must not be written to."""
    rng = np.random.default_rng(1)
    depth = rng.uniform(1, 2, (480, 640)).astype(np.float32)
    rgb = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    expected = CloudBuilder(NYU).build(depth, rgb).tobytes()
    padded = np.zeros((480, 700), np.float32)
    padded[:, :640] = depth
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    for array in (padded, bgr):
        array.flags.writeable = False
    assert CloudBuilder(NYU).build(padded[:, :640], bgr[..., ::-1]).tobytes() == expected


def test_each_frame_reuses_the_memory_of_the_first():
    rng = np.random.default_rng(2)
    frames = [rng.uniform(1, 5, (480, 640)).astype(np.float32) for _ in range(3)]
    rgb = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    confidence = rng.random((480, 640), dtype=np.float32)
    builder = CloudBuilder(NYU, confidence_field=True)
    first = builder.build(frames[0], rgb, confidence)
    before = first.tobytes()
    tracemalloc.start()
    again = builder.build(frames[1], rgb, confidence)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert again is first and again.tobytes() != before
    assert peak < 20_000  # one plane of the image alone is 307200 bytes
    assert builder.build(frames[0], rgb, confidence).tobytes() == before


def test_memory_that_is_given_is_written_into_and_that_of_another_shape_refused():
    rng = np.random.default_rng(4)
    depth = rng.uniform(1, 2, (480, 640)).astype(np.float32)
    rgb = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    builder = CloudBuilder(NYU, stride=3)
    out = np.zeros(builder.shape, builder.dtype)
    assert builder.build(depth, rgb, out=out) is out
    assert out.shape == (160, 214) and out.tobytes() == CloudBuilder(NYU, stride=3).build(depth, rgb).tobytes()
    with pytest.raises(ValueError, match=r"out: .*expected .*\(160, 214\)"):
        builder.build(depth, rgb, out=np.zeros((480, 640), builder.dtype))


@pytest.mark.parametrize("lens", LENSES)
def test_a_room_seen_through_any_lens_lies_on_its_true_planes(lens):
    """The room is drawn as the raw lens sees it: 1 / depth, linear along each plane, and the plane's number."""
    camera = LENSES[lens]
    depth, plane = cast(rays_of(camera), ROOM)
    rectifier = Rectifier(camera)
    rectified = rectifier.rectify((1 / depth).astype(np.float32))
    seen = rectifier.rectify(plane.astype(np.uint8), cv2.INTER_NEAREST)
    with np.errstate(divide="ignore"):
        cloud = CloudBuilder(rectifier.camera, max_slant=90).build((1 / rectified).astype(np.float32), BLACK)

    inner = rectifier.valid_mask & (cv2.dilate(seen, np.ones((3, 3))) == cv2.erode(seen, np.ones((3, 3))))
    assert inner.mean() > 0.85
    normals, distances = (np.array(part) for part in zip(*ROOM, strict=True))
    points = xyz(cloud)[inner]
    off = np.abs((points * normals[seen[inner]]).sum(-1) - distances[seen[inner]])
    assert off.max() < 3e-3  # metres, in a room of 5: remap interpolates in steps of 1/32 pixel

    if camera.is_distorted:  # and the lens does matter
        bare = CameraModel(640, 480, camera.fx, camera.fy, camera.cx, camera.cy)
        unrectified = xyz(CloudBuilder(bare).build(depth.astype(np.float32), BLACK))
        off = np.abs((unrectified * normals[plane]).sum(-1) - distances[plane])
        assert np.nanmax(off) > 30e-3


@settings(max_examples=60, deadline=None)
@given(slant=st.floats(0, 80), direction=st.floats(0, 2 * math.pi), distance=st.floats(0.2, 20))
def test_no_pixel_of_a_plane_flies_however_tilted(slant, direction, distance):
    """Out to five times the distance straight ahead: where a slanted horizon cuts a corner, its last pixels may go."""
    slant = math.radians(slant)
    normal = (math.sin(slant) * math.cos(direction), math.sin(slant) * math.sin(direction), math.cos(slant))
    depth, _ = cast(rays_of(NYU), [(normal, distance * math.cos(slant))])
    assert not flying_pixels(depth.astype(np.float32), NYU)[depth < 5 * distance].any()


@pytest.mark.parametrize("height", [0.1, 0.5, 1.5])
def test_a_floor_stays_up_to_the_horizon_and_to_the_wall(height):
    """From 0.1 m above the floor, 8 m ahead, the line of sight meets it at 89.3 degrees from its normal."""
    floor = ((0.0, 1.0, 0.0), height)
    wall = ((0.0, 0.0, 1.0), 8.0)
    for planes in ([floor], [floor, wall], ROOM):
        depth, _ = cast(rays_of(NYU), planes)
        assert not flying_pixels(depth.astype(np.float32), NYU).any()


def box(behind: np.ndarray, near: float = 1.0) -> np.ndarray:
    depth = behind.astype(np.float32)
    depth[150:330, 200:400] = near
    return depth


def blur(depth: np.ndarray, size: int) -> NDArray[np.float32]:
    return cv2.blur(depth, (size, size)).astype(np.float32)


def test_the_ramp_across_a_depth_edge_flies_and_nothing_else_does():
    """A box filter of 7 turns the step between 1 m and 3 m into 6 pixels that belong to neither side."""
    depth = blur(box(np.full((480, 640), 3.0)), 7)
    near, far = depth < 1.001, depth > 2.999
    ramp = ~near & ~far
    assert ramp[240].sum() == 12
    flying = flying_pixels(depth, NYU)
    np.testing.assert_array_equal(flying[157:323], ramp[157:323])
    np.testing.assert_array_equal(flying[:, 207:393], ramp[:, 207:393])
    assert not flying[near | far].any()


def test_a_box_before_a_steep_floor_loses_its_ramp_and_the_floor_nothing():
    """From 0.3 m above the floor it is seen at 80 degrees from its normal at 1.7 m, at 86 at 4.3 m."""
    floor, _ = cast(rays_of(NYU), [((0.0, 1.0, 0.0), 0.3), ((0.0, 0.0, 1.0), 5.0)])
    sharp = box(floor, near=0.4)
    blurred = blur(sharp, 5)
    edge = cv2.morphologyEx((sharp == np.float32(0.4)).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((13, 13))) > 0
    flying = flying_pixels(blurred, NYU)
    assert not flying[~edge].any()
    hanging = (blurred > 0.45) & (blurred < 0.95 * floor) & edge
    assert hanging.sum() > 1000
    assert flying[hanging].mean() > 0.99


def test_a_sharp_edge_and_a_thin_pole_lose_nothing():
    """Each of their pixels has a neighbour on its own surface, or may have one beyond the image."""
    depth = box(np.full((480, 640), 3.0))
    depth[:, 500:502] = 1.5
    depth[:, 0] = 1.5
    assert not flying_pixels(depth, NYU).any()


def test_a_single_pixel_in_the_air_flies():
    depth = np.full((480, 640), 3.0, np.float32)
    depth[200, 300] = 2.0
    assert np.argwhere(flying_pixels(depth, NYU)).tolist() == [[200, 300]]


def test_holes_are_no_points_and_leave_their_neighbours_alone():
    depth = np.full((480, 640), 3.0, np.float32)
    for row, hole in enumerate((np.nan, np.inf, -np.inf, 0.0, -1.0)):
        depth[50 * row : 50 * row + 20, 100:200] = hole
    assert not flying_pixels(depth, NYU).any()


def test_a_wider_limit_keeps_more_and_90_degrees_everything():
    depth = blur(box(np.full((480, 640), 3.0)), 7)
    counts = [flying_pixels(depth, NYU, slant).sum() for slant in (70, 80, 88, 90)]
    assert counts[0] >= counts[1] > counts[2] > counts[3] == 0


def test_the_cloud_has_a_nan_where_a_pixel_flies():
    depth = blur(box(np.full((480, 640), 3.0)), 7)
    flying = flying_pixels(depth, NYU)
    np.testing.assert_array_equal(np.isnan(CloudBuilder(NYU).build(depth, BLACK)["z"]), flying)
    np.testing.assert_array_equal(np.isnan(CloudBuilder(NYU, stride=3).build(depth, BLACK)["z"]), flying[::3, ::3])
    assert np.isfinite(CloudBuilder(NYU, max_slant=90).build(depth, BLACK)["z"]).all()


@fuzz(100)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4), st.booleans(), st.data())
def test_any_frame_gives_finite_points_or_nan(width, height, stride, dense, data):
    values = st.floats(width=32, allow_nan=True, allow_infinity=True)
    depth = np.array(data.draw(st.lists(values, min_size=width * height, max_size=width * height)), np.float32)
    depth = depth.reshape(height, width)
    camera = CameraModel(width, height, 10.0, 10.0, width / 2, height / 2)
    builder = CloudBuilder(camera, stride=stride, dense=dense)
    cloud = builder.build(depth, np.zeros((height, width, 3), np.uint8))
    points = xyz(cloud).reshape(-1, 3)
    good = np.isfinite(points)
    assert (good.all(-1) == good.any(-1)).all()
    kept = points[good.all(-1), 2]
    assert (kept > 0).all()
    assert not dense or good.all()


@pytest.mark.parametrize("confidence_field", [False, True])
def test_a_ply_file_holds_the_good_points_and_their_colours(tmp_path, confidence_field):
    depth, rgb = tiny_frame()
    depth[0, 0] = np.nan
    confidence = np.full((3, 4), 0.75, np.float32)
    cloud = CloudBuilder(TINY, confidence_field=confidence_field).build(depth, rgb, confidence)
    write_ply(tmp_path / "cloud.ply", cloud)

    header, body = (tmp_path / "cloud.ply").read_bytes().split(b"end_header\n", 1)
    lines = header.decode("ascii").splitlines()
    assert lines[:3] == ["ply", "format binary_little_endian 1.0", "element vertex 11"]
    types = {"float": "<f4", "uchar": "u1"}
    vertices = np.frombuffer(body, [(name, types[kind]) for _, kind, name in map(str.split, lines[3:])])
    np.testing.assert_array_equal(xyz(vertices), xyz(cloud).reshape(-1, 3)[1:])
    colours = np.stack([vertices["red"], vertices["green"], vertices["blue"]], axis=-1)
    np.testing.assert_array_equal(colours, rgb.reshape(-1, 3)[1:])
    assert not confidence_field or (vertices["confidence"] == 0.75).all()
