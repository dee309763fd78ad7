"""Scans and clearing points: hand-worked walls, bands, pitches and REP-117 values."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.scan import SCAN_FORMATS, ClearingPoints, Scan, ScanBuilder, for_mavlink
from test.conftest import fuzz
from test.scenes import LENSES, cast, rays_of

NYU = CameraModel.nyu()
# One row at the height of the horizon, three columns: 45 degrees to the left, ahead, 45 degrees to the right.
ROW = CameraModel(3, 1, 1.0, 1.0, 1.0, 0.0)
AROUND = {"camera_height": 0.0, "min_height": -0.1, "max_height": 0.1}
ROBOT = {"camera_height": 0.5, "min_height": 0.1, "max_height": 1.0}


def bearings(scan: Scan) -> np.ndarray:
    return scan.angle_min + scan.angle_increment * np.arange(len(scan.ranges))


def room(pitch: float, planes: list, camera: CameraModel = NYU) -> np.ndarray:
    """Depth (H, W) of planes normal . point = distance in the level frame at the camera, which looks down by pitch."""
    forward = (math.cos(pitch), 0.0, -math.sin(pitch))
    right, down = (0.0, -1.0, 0.0), (-math.sin(pitch), 0.0, -math.cos(pitch))
    level_from_optical = np.array([right, down, forward]).T
    turned = [(level_from_optical.T @ np.array(normal), distance) for normal, distance in planes]
    return cast(rays_of(camera), turned)[0].astype(np.float32)


def row(*depth: float) -> np.ndarray:
    return np.array([depth], np.float32)


def test_three_columns_by_hand():
    """A wall 2 m ahead is 2 m away straight ahead and 2 sqrt(2) at 45 degrees; the image's right comes first."""
    scan = ScanBuilder(ROW, **AROUND, max_slant=90).build(row(1.0, 2.0, 3.0))
    assert scan.angle_min == pytest.approx(-math.pi / 4)
    assert scan.angle_increment == pytest.approx(1.0)
    assert (scan.range_min, scan.range_max) == (0.1, 10.0)
    np.testing.assert_allclose(scan.ranges, [3 * math.sqrt(2), 2.0, math.sqrt(2)], rtol=1e-6)


@pytest.mark.parametrize("pitch", [-0.3, 0.0, 0.25])
def test_a_wall_at_2_m_is_at_2_over_the_cosine_of_the_bearing(pitch):
    floor, wall = ((0.0, 0.0, -1.0), 0.5), ((1.0, 0.0, 0.0), 2.0)
    scan = ScanBuilder(NYU, **ROBOT, pitch=pitch).build(room(pitch, [floor, wall]))
    theta = bearings(scan)
    assert theta[0] < -0.5 and theta[-1] > 0.5
    assert scan.angle_max == pytest.approx(theta[-1])
    assert scan.ranges.dtype == np.float32
    # A bin is 2 mrad wide, and its nearest pixel may lie on its edge.
    ahead = np.abs(theta) < 0.5
    np.testing.assert_allclose(scan.ranges[ahead], 2 / np.cos(theta[ahead]), rtol=2e-3)
    # Further out, a pitched camera sees the band at short range only.
    known = np.isfinite(scan.ranges)
    assert (known | np.isnan(scan.ranges)).all()
    np.testing.assert_allclose(scan.ranges[known], 2 / np.cos(theta[known]), rtol=3e-3)


@pytest.mark.parametrize("pitch", [-0.1, 0.0, 0.3])
def test_what_is_below_or_above_the_band_is_not_in_the_way(pitch):
    """A floor, and a ceiling at 1.3 m, with nothing between them: the scan is free, for every pitch."""
    depth = room(pitch, [((0.0, 0.0, -1.0), 0.5), ((0.0, 0.0, 1.0), 0.8)])
    scan = ScanBuilder(NYU, **ROBOT, pitch=pitch, range_max=5.0).build(depth)
    assert np.isposinf(scan.ranges[np.abs(bearings(scan)) < 0.5]).all()
    assert not np.isfinite(scan.ranges).any()
    lower = ROBOT | {"min_height": -0.1}
    assert np.isfinite(ScanBuilder(NYU, **lower, pitch=pitch, range_max=5.0).build(depth).ranges).mean() > 0.9


def test_the_left_of_the_image_is_at_positive_bearings():
    depth = np.full((480, 640), 5.0, np.float32)
    depth[:, :200] = 1.0
    scan = ScanBuilder(NYU, **AROUND).build(depth)
    edge = math.atan((NYU.cx - 199.5) / NYU.fx)
    theta = bearings(scan)
    assert (scan.ranges[theta > edge + scan.angle_increment] < 1.5).all()
    assert (scan.ranges[theta < edge - scan.angle_increment] > 4.9).all()


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (9.9, 9.9),
        (10.1, math.inf),
        (math.inf, math.inf),
        (0.05, -math.inf),
        (-math.inf, -math.inf),
        (math.nan, math.nan),
        (0.0, math.nan),
        (-1.0, math.nan),
    ],
)
def test_rep_117_values(depth, expected):
    scan = ScanBuilder(ROW, **AROUND, max_slant=90).build(row(2.0, depth, 2.0))
    np.testing.assert_allclose(scan.ranges[1], expected, rtol=1e-6)
    np.testing.assert_allclose(scan.ranges[[0, 2]], 2 * math.sqrt(2), rtol=1e-6)


def test_nothing_nearer_than_range_min_even_if_that_is_0():
    scan = ScanBuilder(ROW, **AROUND, range_min=0.0, max_slant=90).build(row(2.0, -math.inf, 2.0))
    assert scan.ranges[1] == -math.inf


def test_a_known_pixel_outweighs_the_unknown_ones_of_its_column():
    depth = np.full((480, 640), np.nan, np.float32)
    depth[254] = 3.0
    scan = ScanBuilder(NYU, **AROUND, max_slant=90).build(depth)
    assert np.isfinite(scan.ranges).all()


def test_a_view_that_ends_on_the_floor_frees_no_more_than_it_sees():
    """Pitched 1 rad down from 0.5 m, the top row looks 0.56 rad down and meets the floor 0.8 m ahead."""
    depth = room(1.0, [((0.0, 0.0, -1.0), 0.5)])
    far = ScanBuilder(NYU, **ROBOT, pitch=1.0, range_max=5.0).build(depth)
    assert np.isnan(far.ranges).all()
    # 0.3 m ahead it looks at heights up to 0.31 m: a band to 0.3 m is seen whole, one to 1 m is not.
    for max_height, is_free in ((0.3, True), (1.0, False)):
        near = ScanBuilder(NYU, **(ROBOT | {"max_height": max_height}), pitch=1.0, range_max=0.3).build(depth)
        ahead = near.ranges[np.abs(bearings(near)) < 0.3]
        assert np.isposinf(ahead).all() if is_free else np.isnan(ahead).all()


UNKNOWN = [math.nan, 0.0, -1.0]


@pytest.mark.parametrize("unknown", UNKNOWN)
@pytest.mark.parametrize("format_", [lambda scan: scan, for_mavlink], ids=SCAN_FORMATS)
def test_what_is_unknown_under_a_free_horizon_is_not_free(format_, unknown):
    """An obstacle of 0.45 m, 1.5 m ahead, that gives no depth; above it the view is free. To its left all is seen."""
    depth = np.full((480, 640), np.inf, np.float32)
    rows = slice(round(NYU.cy + NYU.fy * 0.05 / 1.5), round(NYU.cy + NYU.fy * 0.4 / 1.5))  # 0.1 to 0.45 m high
    depth[rows, 320:] = unknown
    scan = format_(ScanBuilder(NYU, **ROBOT).build(depth))
    theta = (bearings(scan) + math.pi) % (2 * math.pi) - math.pi
    behind = (theta > -0.4) & (theta < -0.1)  # clockwise in mavlink's
    ahead = (theta > 0.1) & (theta < 0.4)
    unseen, free = (behind, ahead) if format_ is not for_mavlink else (ahead, behind)
    assert np.isnan(scan.ranges[unseen]).all()
    assert (scan.ranges[free] > scan.range_max).all()


def test_what_hides_the_band_does_not_free_it():
    """A box 0.1 to 0.2 m above the camera, 1 m ahead, hides the far part of a band that begins at 0.2 m."""
    depth = np.full((480, 640), np.inf, np.float32)
    builder = ScanBuilder(NYU, camera_height=0.5, min_height=0.7, max_height=0.9, max_slant=90)
    assert np.isposinf(builder.build(depth).ranges).all()
    depth[round(NYU.cy - 0.19 * NYU.fy) : round(NYU.cy - 0.1 * NYU.fy)] = 1.0
    assert np.isnan(builder.build(depth).ranges).all()


def test_a_camera_that_is_turned_sees_the_same_level_scan():
    """A wall to the left of the vehicle, 3 m away, seen by a camera that looks there, down, and leans to its right."""
    roll, pitch, yaw = 0.15, 0.2, 1.4
    (sr, cr), (sp, cp), (sy, cy) = ((math.sin(a), math.cos(a)) for a in (roll, pitch, yaw))
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    body_from_optical = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    level_from_optical = about_z @ about_y @ about_x @ body_from_optical
    planes = [((0.0, 1.0, 0.0), 3.0), ((0.0, 0.0, -1.0), 0.5)]  # wall to the left, floor
    turned = [(level_from_optical.T @ np.array(normal), distance) for normal, distance in planes]
    depth = cast(rays_of(NYU), turned)[0].astype(np.float32)
    scan = ScanBuilder(NYU, **ROBOT, roll=roll, pitch=pitch, yaw=yaw).build(depth)
    theta = bearings(scan)
    middle = np.abs(theta - yaw) < 0.3
    assert middle.sum() > 200
    np.testing.assert_allclose(scan.ranges[middle], 3 / np.sin(theta[middle]), rtol=3e-3)
    numbers = for_mavlink(scan).ranges
    # Left is 270 degrees clockwise, bin 54, and the camera looks 80 degrees to the left.
    assert set(np.flatnonzero(np.isfinite(numbers))) <= set(range(48, 65))
    np.testing.assert_allclose(numbers[54], 3.0, rtol=1e-2)


@pytest.mark.parametrize(
    ("yaw", "straight"), [(0.0, 0), (math.pi, 36), (-math.pi, 36), (math.pi / 2, 54), (-1.5708, 18)]
)
def test_the_bins_of_a_vehicle_are_where_the_camera_looks(yaw, straight):
    """A pole straight ahead of the camera, and nothing else."""
    depth = np.full((480, 640), np.inf, np.float32)
    depth[:, 320:330] = 2.0
    ranges = for_mavlink(ScanBuilder(NYU, **AROUND, yaw=yaw, max_slant=90).build(depth)).ranges
    assert np.flatnonzero(ranges < 8.0).tolist() == [straight]
    beside = [(straight + n) % 72 for n in (-5, -4, -3, -2, 2, 3, 4, 5)]
    assert (ranges[beside] > 10.0).all()
    assert np.isnan(np.delete(ranges, [(straight + n) % 72 for n in range(-6, 7)])).all()


@fuzz(100)
@given(
    st.lists(st.sampled_from([2.0, 7.5, 9.5, 30.0, math.inf, math.inf, math.nan, -math.inf]), min_size=48, max_size=48),
    st.tuples(st.floats(2.0, 60.0), st.floats(2.0, 60.0), st.floats(1.0, 6.0), st.floats(1.0, 4.0)),
    st.tuples(st.floats(-3.2, 3.2), st.floats(-1.4, 1.4), st.floats(-6.3, 6.3)),
    st.floats(-0.5, 2.0),
    st.tuples(st.floats(0.0, 1.0), st.floats(1.5, 12.0)),
    st.sampled_from([70.0, 80.0, 90.0]),
    st.sampled_from([1, 2, 3]),
)
def test_no_output_claims_free_space_that_no_pixel_saw(
    values, intrinsics, turn, camera_height, span, max_slant, stride
):
    """Every point of every free bearing's band that a pixel looks at is one that the pixel saw past; ray by ray.

    Through any lens, turned in any way, for any range: a camera that looks back, up, down or lies on its side.
    """
    camera, (roll, pitch, yaw), (nearest, farthest) = CameraModel(8, 6, *intrinsics), turn, span
    fx, fy, cx, cy = intrinsics
    depth = np.array(values, np.float32).reshape(6, 8)
    try:
        builder = ScanBuilder(
            camera, camera_height=camera_height, min_height=0.1, max_height=1.2, roll=roll, pitch=pitch, yaw=yaw,
            range_min=nearest, range_max=farthest, max_slant=max_slant,
        )  # fmt: skip
    except ValueError as error:
        assert "which no pixel sees" in str(error)
        return
    scan = builder.build(depth)
    mavlink = for_mavlink(scan)
    free = np.flatnonzero(scan.ranges > farthest)
    for index, of_vehicle in enumerate(mavlink.ranges):  # what is free in a bin is free at every bearing in it
        if of_vehicle > farthest:
            off = (-bearings(scan) - math.radians(5) * index + math.pi) % (2 * math.pi) - math.pi
            assert set(np.flatnonzero(np.abs(off) < math.radians(2.5))) <= set(free)
    cr, sr, cp, sp = math.cos(roll), math.sin(roll), math.cos(pitch), math.sin(pitch)
    for v, u in np.ndindex(6, 8):
        x, y, z = 1.0, -(u - cx) / fx, -(v - cy) / fy
        y, z = cr * y - sr * z, sr * y + cr * z
        x, z = cp * x + sp * z, cp * z - sp * x
        reach = math.hypot(x, y)
        crossed = [t for t in np.linspace(0, farthest, 301) if 0.1 < camera_height + t * z / reach < 1.2]
        place = (math.atan2(y, x) + yaw - scan.angle_min) / scan.angle_increment
        if not crossed or depth[v, u] * reach > max(crossed) or abs(place % 1 - 0.5) < 1e-3:
            continue
        assert round(place) not in free, (v, u, depth[v, u])
    ends = ClearingPoints(camera, farthest, stride=stride, max_slant=max_slant).build(depth)
    along = depth * np.sqrt(1 + (rays_of(camera) ** 2).sum(axis=-1))  # metres along each pixel's own ray
    for ray in ends / ends[:, 2:] if len(ends) else ends:
        u, v = round(float(ray[0]) * fx + cx), round(float(ray[1]) * fy + cy)
        around = np.s_[max(v - stride // 2, 0) : v + (stride + 1) // 2, max(u - stride // 2, 0) : u + (stride + 1) // 2]
        assert (along[around] > farthest * (1 - 1e-5)).all()


@pytest.mark.parametrize("turn", [{}, {"yaw": math.pi}, {"yaw": 6.28}, {"pitch": 0.3}, {"roll": 3.14}, {"pitch": -0.3}])
@pytest.mark.parametrize("range_min", [0.0, 0.1, 2.0])
def test_the_same_unknown_pixels_free_nothing_however_the_camera_is_turned(turn, range_min):
    """One column of NaN in a free picture: no bearing and no bin that it is in is free, those beside it are."""
    builder = ScanBuilder(NYU, **AROUND, **turn, range_min=range_min)
    depth = np.full((480, 640), np.inf, np.float32)
    before = builder.build(depth)
    depth[:, 325] = np.nan
    scan = builder.build(depth)
    lost = np.isposinf(before.ranges) & ~np.isposinf(scan.ranges)
    assert 1 <= lost.sum() <= 640 * 0.2 and np.isnan(scan.ranges[lost]).all()
    bins = for_mavlink(before).ranges, for_mavlink(scan).ranges
    lost_bins = np.flatnonzero((bins[0] > 10) & ~(bins[1] > 10))
    assert len(lost_bins) >= 1 and np.isnan(bins[1][lost_bins]).all()


def test_an_obstacle_behind_a_camera_that_looks_down_is_in_the_bin_behind():
    """Pitched 1.3 rad down, the lower rows look backwards: what they see is on both sides of bearing pi, in one bin."""
    camera = CameraModel(64, 64, 30.0, 30.0, 31.5, 31.5)
    builder = ScanBuilder(camera, camera_height=1.0, min_height=0.0, max_height=0.5, pitch=1.3, max_slant=90)
    depth = np.full((64, 64), np.nan, np.float32)
    depth[60:, :] = 0.8
    scan = builder.build(depth)
    hits = np.isfinite(scan.ranges)
    behind = np.cos(bearings(scan)) < -0.9
    assert (hits & behind & (np.sin(bearings(scan)) > 0)).any() and (hits & behind & (np.sin(bearings(scan)) < 0)).any()
    assert for_mavlink(scan).ranges[36] == pytest.approx(scan.ranges[hits & behind].min(), rel=0.1)


def test_the_ramp_of_a_depth_edge_clears_nothing():
    """A pillar at 2 m before a wall at 8 m, blurred as networks do: rays that end at 5 m clear beside the ramp only."""
    depth = np.full((480, 640), 8.0, np.float32)
    depth[:, 300:400] = 2.0
    blurred = cv2.blur(depth, (9, 9)).astype(np.float32)
    ends = ClearingPoints(NYU, 5.0).build(blurred)
    columns = np.unique(np.round(ends[:, 0] / ends[:, 2] * NYU.fx + NYU.cx).astype(int))
    assert not set(columns) & set(range(297, 403))
    assert len(ClearingPoints(NYU, 5.0, max_slant=90).build(blurred)) > len(ends)


def test_a_view_of_the_sky_frees_nothing():
    """Pitched 1 rad up, even the bottom row leaves the band 0.75 m ahead."""
    scan = ScanBuilder(NYU, **ROBOT, pitch=-1.0, range_max=5.0).build(np.full((480, 640), np.inf, np.float32))
    assert np.isnan(scan.ranges).all()


@pytest.mark.parametrize(("max_slant", "phantoms"), [(90, True), (80, False)])
def test_flying_pixels_are_no_obstacles(max_slant, phantoms):
    """The blur between a pillar at 2 m and a wall at 4 m hangs in the air between them."""
    depth = np.full((480, 640), 4.0, np.float32)
    depth[:, 300:400] = 2.0
    scan = ScanBuilder(NYU, **AROUND, max_slant=max_slant).build(cv2.blur(depth, (7, 7)).astype(np.float32))
    ahead = scan.ranges * np.cos(bearings(scan))
    assert ((ahead > 2.1) & (ahead < 3.9)).any() == phantoms
    assert (np.abs(ahead - 2) < 0.01).sum() > 90


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(st.floats(0.0625, 15, width=32), st.sampled_from([math.inf, math.nan])), min_size=48, max_size=48
    ),
    st.floats(-0.5, 0.5),
    st.floats(0.1, 1.2),
)
def test_every_range_is_the_nearest_point_of_its_bearing(values, pitch, camera_height):
    """Against points turned into the level frame one by one."""
    camera = CameraModel(8, 6, 6.0, 6.5, 3.7, 2.4)
    depth = np.array(values, np.float32).reshape(6, 8)
    builder = ScanBuilder(
        camera, camera_height=camera_height, min_height=0.1, max_height=1.2, pitch=pitch, range_max=9.0, max_slant=90
    )
    scan = builder.build(depth)
    nearest = np.full(len(scan.ranges), np.inf)
    for v, u in np.ndindex(6, 8):
        z = float(depth[v, u])
        if not math.isfinite(z):
            continue
        ahead, left, up = z, -(u - 3.7) / 6.0 * z, -(v - 2.4) / 6.5 * z
        ahead, up = ahead * math.cos(pitch) + up * math.sin(pitch), up * math.cos(pitch) - ahead * math.sin(pitch)
        distance, height = math.hypot(ahead, left), camera_height + up
        # rounding may put these on either side of a limit
        assume(min(abs(distance - 0.1), abs(distance - 9.0), abs(height - 0.1), abs(height - 1.2)) > 1e-5)
        if 0.1 <= distance <= 9.0 and 0.1 <= height <= 1.2:
            index = round((math.atan2(left, ahead) - scan.angle_min) / scan.angle_increment)
            nearest[index] = min(nearest[index], distance)
    known = np.isfinite(scan.ranges)
    np.testing.assert_allclose(scan.ranges[known], nearest[known], rtol=1e-5)
    assert (np.isneginf(scan.ranges) | ~np.isfinite(nearest))[~known].all()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"min_height": 1.0, "max_height": 0.1}, "min_height, max_height"),
        ({"range_min": 5.0, "range_max": 4.0}, "range_min, range_max"),
        ({"range_max": math.inf}, "range_min, range_max"),
        ({"range_min": math.nan}, "range_min, range_max"),
        ({"pitch": 1.6}, "pitch"),
        ({"pitch": math.nan}, "pitch"),
        ({"roll": math.nan}, "roll, yaw"),
        ({"yaw": math.inf}, "roll, yaw"),
        ({"min_height": 50.0, "max_height": 60.0}, "no pixel sees"),
        ({"max_slant": 0.0}, "max_slant"),
    ],
)
def test_settings_that_mean_nothing_are_refused_by_name(change, named):
    with pytest.raises(ValueError, match=named):
        ScanBuilder(NYU, **(ROBOT | change))


def test_frames_of_another_size_and_lenses_are_refused():
    depth = np.ones((240, 320), np.float32)
    with pytest.raises(ValueError, match=r"found \(240, 320\), expected the camera's \(480, 640\)"):
        ScanBuilder(NYU, **ROBOT).build(depth)
    with pytest.raises(ValueError, match=r"found \(240, 320\), expected the camera's \(480, 640\)"):
        ClearingPoints(NYU, 5.0).build(depth)
    with pytest.raises(ValueError, match="rectify"):
        ScanBuilder(LENSES["barrel"], **ROBOT)
    with pytest.raises(ValueError, match="rectify"):
        ClearingPoints(LENSES["barrel"], 5.0)


def test_clearing_points_by_hand():
    """At 45 degrees a depth of 4 m is 5.66 m away, beyond 5 m: the point is at 5 / sqrt(2) = 3.54 m to the side."""
    points = ClearingPoints(ROW, 5.0, stride=1)
    side = 5 / math.sqrt(2)
    np.testing.assert_allclose(points.build(row(4.0, 4.0, math.inf)), [[-side, 0, side], [side, 0, side]], rtol=1e-6)
    np.testing.assert_allclose(points.build(row(3.0, 5.1, 3.0)), [[0, 0, 5]], rtol=1e-6)
    assert points.build(row(math.nan, -math.inf, 0.0)).shape == (0, 3)


@pytest.mark.parametrize("value", [*UNKNOWN, -math.inf, 2.0])
def test_a_ray_that_clears_stands_for_all_pixels_around_it(value):
    """With a stride of 4, one pixel that is near or unknown takes away one ray of 19200."""
    depth = np.full((480, 640), np.inf, np.float32)
    depth[241, 322] = value
    assert len(ClearingPoints(NYU, 5.0).build(depth)) == 120 * 160 - 1


def test_clearing_points_keep_one_ray_in_stride_squared():
    points = ClearingPoints(NYU, 6.0, stride=8).build(np.full((480, 640), np.inf, np.float32))
    assert points.shape == (60 * 80, 3) and points.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 6.0, rtol=1e-5)
    np.testing.assert_allclose(points[0, :2] / points[0, 2], [-NYU.cx / NYU.fx, -NYU.cy / NYU.fy], rtol=1e-5)


@pytest.mark.parametrize("wrong", [{"clearing_range": 0.0}, {"clearing_range": math.nan}, {"stride": 0}])
def test_clearing_settings_that_mean_nothing_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ClearingPoints(NYU, **({"clearing_range": 5.0} | wrong))
