"""The consumers' own rules, from their sources, applied to the node's messages of a scene whose obstacles are known.

A level camera, 0.5 m above an open floor; one box 2 m ahead, to the left; sky. Points are x forward, y left, z up.
"""

import math

import numpy as np
import pytest
import yaml
from builtin_interfaces.msg import Time
from rclpy.node import Node

from mono_depth_ros.prediction import Prediction
from mono_depth_ros.ros import consumers
from mono_depth_ros.ros import outputs as topics
from mono_depth_ros.ros.distributions import given_parameters
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.scan import Scan, for_mavlink
from test.conftest import REPOSITORY
from test.ros.harness import Peer, depth_of, header_of, make_image, make_info
from test.ros.test_pipeline import Bench
from test.scenes import cast

HEIGHT = 0.5
BOX = np.array([(2.0, 2.4), (0.1, 0.6), (0.0, 0.7)])
FOUR_DEGREES_LEFT = np.array([(2.0, 2.4), (0.17, 0.6), (0.0, 0.7)])
SKY = 100.0
PAPER_CAMERA = {"width": 640, "height": 480, "focal": 519.0}
RESOLUTION = 0.05  # of a costmap


class Scene(Bench):
    """The node's pipeline with a network that sees the scene as it is, or with all depth wrong by a factor."""

    def __init__(self, box=BOX, wrong=1.0, **values):
        super().__init__(**{"scan_frame": "camera_link", "min_confidence": 0.0} | values)
        self.box, self.wrong = box, wrong

    def predict(self, rgb, camera, out):
        """Depth of the nearest of floor, box and sky."""
        right_down = camera.rays().astype(float)
        floor, _ = cast(right_down, [((0.0, 1.0, 0.0), HEIGHT)])
        ray = np.dstack([np.ones(floor.shape), -right_down])  # x, y, z in the room for 1 m of depth
        with np.errstate(divide="ignore"):
            enter_leave = (self.box - [[0], [0], [HEIGHT]]) / ray[..., None]
        enter, leave = enter_leave.min(-1).max(-1), enter_leave.max(-1).min(-1)
        box = np.where((enter < leave) & (enter > 0), enter, SKY)
        depth = (np.minimum(np.minimum(floor, box), SKY) * self.wrong).astype(np.float32)
        return Prediction(depth, np.zeros_like(depth) if out.sigma is not None else None)

    def farthest(self, shape, camera):
        return 50.0

    def look(self, **camera):
        """Messages by topic of one frame."""
        camera = {"width": 320, "height": 240} | camera
        size = {side: camera[side] for side in ("width", "height")}
        self.process(make_image(Time(sec=1), **size), make_info(**camera))
        return self.published[-1]


def pack(name, of="depth_node"):
    """The parameters of one node of a pack; depth_node's are checked as the node checks them."""
    content = yaml.safe_load(consumers.pack_file(name).read_text())
    (key,) = (key for key in content if key.split("/")[-1] == of)
    values = content[key].get(of, content[key])["ros__parameters"]
    if of == "depth_node":
        assert values.keys() <= vars(Settings()).keys()
        assert Settings().changed(values)
    return values


def seen(name, **values):
    """Messages of the scene with a pack's parameters; the scene's confidence is 1 everywhere."""
    own = {name: v for name, v in values.items() if name in ("box", "wrong")}
    settings = {name: v for name, v in values.items() if name not in own}
    return Scene(**own, **pack(name) | settings).look()


def points_of(cloud):
    """(N, 3) in the room, as tf would put them."""
    offsets = {field.name: field.offset for field in cloud.fields}
    assert all(field.datatype == field.FLOAT32 for field in cloud.fields)
    data = np.frombuffer(cloud.data, np.uint8).reshape(-1, cloud.point_step)
    x, y, z = (data[:, offsets[n] : offsets[n] + 4].copy().view(np.float32)[:, 0] for n in "xyz")
    return np.stack([z, -x, HEIGHT - y], axis=1)


def points_of_scan(scan, inf_is_valid=False):
    """(N, 3) in the room, as Nav2 and laser_geometry make them of ranges in [range_min, range_max)."""
    ranges = np.array(scan.ranges)
    if inf_is_valid:
        ranges[np.isposinf(ranges)] = scan.range_max - 1e-4
    angles = scan.angle_min + scan.angle_increment * np.arange(len(ranges))
    kept = (ranges >= scan.range_min) & (ranges < scan.range_max)
    ranges, angles = ranges[kept], angles[kept]
    return np.stack([ranges * np.cos(angles), ranges * np.sin(angles), np.full(len(ranges), HEIGHT)], axis=1)


def in_box(points, margin=RESOLUTION):
    """Whether each lies in the box or next to it."""
    return ((points > BOX[:, 0] - margin) & (points < BOX[:, 1] + margin)).all(axis=1)


# Nav2's costmap layers: heights per source, before anything else and before clearing; then the layer's; then the range.


def layer_source(name, costmap, layer, source):
    """A source's parameters with Nav2's defaults."""
    defaults = {"min_obstacle_height": 0.0, "max_obstacle_height": 0.0, "obstacle_min_range": 0.0,
                "obstacle_max_range": 2.5, "raytrace_max_range": 3.0, "marking": True, "clearing": False,
                "inf_is_valid": False}  # fmt: skip
    layer = {"max_obstacle_height": 2.0, "min_obstacle_height": 0.0} | pack(name, costmap)[layer]
    assert source in layer["observation_sources"].split()
    return layer, defaults | layer[source]


def buffered(points, source):
    """What the source's heights keep; NaN fails both comparisons."""
    height = points[:, 2]
    return points[(height >= source["min_obstacle_height"]) & (height <= source["max_obstacle_height"])]


def marked(points, layer, source):
    """Points that become obstacles."""
    points = buffered(points, source)
    points = points[(points[:, 2] >= layer["min_obstacle_height"]) & (points[:, 2] <= layer["max_obstacle_height"])]
    distance = np.linalg.norm(points - [0, 0, HEIGHT], axis=1)
    return points[(distance < source["obstacle_max_range"]) & (distance >= source["obstacle_min_range"])]


def cleared(points, layer, source, place):
    """Whether a ray of a voxel layer passes the voxel of a place, up to two cells before its point."""
    points = buffered(points, source)
    origin, size = np.array([0, 0, HEIGHT]), np.array([RESOLUTION, RESOLUTION, layer["z_resolution"]])
    assert layer["origin_z"] <= HEIGHT < layer["origin_z"] + layer["z_voxels"] * layer["z_resolution"]
    way = points - origin
    length = np.linalg.norm(way, axis=1, keepdims=True)
    way *= np.clip((length - 2 * RESOLUTION) / length, 0, 1)
    way *= np.minimum(1, source["raytrace_max_range"] / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9))
    steps = origin + way * np.linspace(0, 1, 200)[:, None, None]
    return bool((np.floor(steps / size) == np.floor(np.array(place) / size)).all(-1).any())


def test_nav2_marks_the_box_and_nothing_else():
    layer, source = layer_source("nav2", "local_costmap", "voxel_layer", "depth_mark")
    obstacles = marked(points_of(seen("nav2")[topics.POINTS]), layer, source)
    assert in_box(obstacles).all()
    across = np.unique(np.floor(obstacles[:, 1] / RESOLUTION))
    assert np.array_equal(across, np.arange(2, 12))  # every cell of the front, from 0.1 to 0.6 m
    assert not source["clearing"]


@pytest.mark.parametrize("wrong", [0.75, 0.85, 1.2, 1.3])
def test_nav2_does_not_mark_a_floor_whose_depth_is_wrong(wrong):
    """A floor pixel at `wrong` times its depth lies (1 - wrong) camera heights above the floor: 0.125 m for 0.75."""
    far_away = BOX + [[30], [0], [0]]
    layer, source = layer_source("nav2", "local_costmap", "voxel_layer", "depth_mark")
    cloud = points_of(seen("nav2", box=far_away, wrong=wrong)[topics.POINTS])
    assert not len(marked(cloud, layer, source))
    assert bool(len(marked(cloud, layer, source | {"min_obstacle_height": 0.1}))) == (wrong == 0.75)


def test_nav2s_default_heights_would_drop_every_obstacle_and_the_pack_sets_them():
    points = points_of(seen("nav2")[topics.POINTS])
    for costmap, layer in (("local_costmap", "voxel_layer"), ("global_costmap", "obstacle_layer")):
        for name in pack("nav2", costmap)[layer]["observation_sources"].split():
            full, source = layer_source("nav2", costmap, layer, name)
            assert source["max_obstacle_height"] > 1.0
            assert not len(marked(points[points[:, 2] > 0.05], full, source | {"max_obstacle_height": 0.0}))


def test_nav2_clears_what_is_gone_and_keeps_what_is_hidden():
    messages = seen("nav2")
    layer, floor = layer_source("nav2", "local_costmap", "voxel_layer", "depth_clear")
    _, free = layer_source("nav2", "local_costmap", "voxel_layer", "depth_free")
    cloud, ends = points_of(messages[topics.POINTS]), points_of(messages[topics.CLEARING_POINTS])
    assert not floor["marking"] and not free["marking"]
    low, against_the_sky, behind = (1.2, -0.3, 0.2), (2.0, -0.4, 0.8), (2.9, 0.42, 0.3)
    assert cleared(cloud, layer, floor, low) and not cleared(cloud, layer, floor, against_the_sky)
    assert cleared(ends, layer, free, against_the_sky)
    for points, source in ((cloud, floor), (ends, free)):
        assert not cleared(points, layer, source, behind)
        assert not any(cleared(points, layer, source, (2.05, y, z)) for y in (0.15, 0.3, 0.5) for z in (0.2, 0.6))


def test_nav2_cannot_clear_with_the_heights_that_mark():
    """The height filter comes before clearing: floor and sky are dropped, and with them their rays."""
    messages = seen("nav2")
    layer, mark = layer_source("nav2", "local_costmap", "voxel_layer", "depth_mark")
    mark = mark | {"raytrace_max_range": 4.0}
    assert not cleared(points_of(messages[topics.POINTS]), layer, mark, (1.2, -0.3, 0.2))
    default = mark | {"max_obstacle_height": 0.0, "min_obstacle_height": 0.0}
    assert not len(buffered(points_of(messages[topics.CLEARING_POINTS]), default))


def test_nav2_takes_the_free_rays_of_the_scan_for_free_and_not_for_a_wall():
    scan = seen("nav2")[topics.SCAN]
    layer, source = layer_source("nav2", "global_costmap", "obstacle_layer", "depth_scan")
    points = points_of_scan(scan, source["inf_is_valid"])
    obstacles = marked(points, layer, source)
    assert len(obstacles) and in_box(obstacles).all()
    free = points[~in_box(points)]
    assert len(free) > 0.5 * len(scan.ranges)
    assert (np.linalg.norm(free[:, :2], axis=1) > source["obstacle_max_range"]).all()
    # Without inf_is_valid no ray goes where nothing is, and nothing is cleared there.
    assert in_box(points_of_scan(scan)).all()


# Spatio-temporal voxel layer.


def test_stvl_marks_the_box_with_a_source_of_its_own():
    layer, source = layer_source("stvl", "local_costmap", "stvl_layer", "depth_mark")
    _, clear = layer_source("stvl", "local_costmap", "stvl_layer", "depth_clear")
    assert (source["marking"], source["clearing"]) == (True, False)
    assert (clear["marking"], clear["clearing"]) == (False, True)
    points = buffered(points_of(seen("stvl")[topics.POINTS]), source)
    near = points[np.linalg.norm(points - [0, 0, HEIGHT], axis=1) <= source["obstacle_range"]]
    assert in_box(near).all()
    _, count = np.unique(np.floor(near / layer["voxel_size"]), axis=0, return_counts=True)
    assert count.max() >= source["voxel_min_points"]


def test_stvls_frustum_is_the_cameras():
    """Its corners are the axis turned by half the horizontal angle, and then by half the vertical one."""
    clear = pack("stvl", "local_costmap")["stvl_layer"]["depth_clear"]
    messages = Scene(**pack("stvl")).look(**PAPER_CAMERA)
    info = messages[topics.CAMERA_INFO]
    vertical, horizontal = clear["vertical_fov_angle"] / 2, clear["horizontal_fov_angle"] / 2
    right, down = math.tan(horizontal) / math.cos(vertical), math.tan(vertical)
    assert right == pytest.approx(info.width / 2 / info.k[0], rel=2e-3)
    assert down == pytest.approx(info.height / 2 / info.k[4], rel=2e-3)
    x, y, z = (points_of(messages[topics.POINTS]) - [0, 0, HEIGHT]).T
    inside = (np.abs(y) <= right * x * 1.002) & (np.abs(z) <= down * x * 1.002)
    assert inside.all() and len(x) > 1000
    assert "optical" in messages[topics.POINTS].header.frame_id  # the axis of the frustum is the frame's z


# Nav2's collision monitor: scan points within the range, a polygon, and the age of the data.


def stopping_points(points):
    zone = np.array(yaml.safe_load(pack("collision_monitor", "collision_monitor")["stop_zone"]["points"]))
    (x0, y0), (x1, y1) = zone.min(axis=0), zone.max(axis=0)
    return ((points[:, 0] > x0) & (points[:, 0] < x1) & (points[:, 1] > y0) & (points[:, 1] < y1)).sum()


@pytest.mark.parametrize(("ahead", "stops"), [(2.0, False), (0.5, True)])
def test_the_collision_monitor_stops_before_the_box(ahead, stops):
    moved = BOX + [[ahead - 2.0], [-0.35], [0]]
    messages = seen("collision_monitor", box=moved)
    enough = pack("collision_monitor", "collision_monitor")["stop_zone"]["min_points"]
    assert (stopping_points(points_of_scan(messages[topics.SCAN])) >= enough) == stops
    # Its pointcloud source keeps base-frame heights between 0.05 and 0.5 m by default, and dies of a missing field.
    points = points_of(messages[topics.POINTS])
    kept = points[(points[:, 2] >= 0.05) & (points[:, 2] <= 0.5)]
    assert (stopping_points(kept) >= enough) == stops


def test_the_collision_monitor_stops_for_silence_but_not_for_the_age_that_the_node_allows():
    consumer, node = pack("collision_monitor", "collision_monitor"), pack("collision_monitor")
    assert 0 < node["max_age"] < consumer["source_timeout"]
    assert consumer[consumer["observation_sources"][0]]["topic"] == "/scan"


# depthimage_to_laserscan: the rows around the optical axis, the x and z of each pixel, and the nearest per column.


def laserscan_of(image, info, rows, range_min, range_max):
    """Its ranges, from the image's right to its left."""
    assert info.header == image.header and (info.width, info.height) == (image.width, image.height)
    assert image.encoding in ("32FC1", "16UC1")
    assert rows / 2 <= info.k[5] and rows / 2 <= image.height - info.k[5]
    depth = depth_of(image)
    first = int(info.k[5] - rows / 2)
    depth = depth[first : first + rows].astype(float) * (0.001 if image.encoding == "16UC1" else 1)
    slope = (np.arange(image.width) - info.k[2]) / info.k[0]
    ranges = depth * np.hypot(slope, 1)
    ranges[(image.encoding == "16UC1") & (depth == 0)] = np.nan
    usable = np.isfinite(ranges) & (ranges >= range_min) & (ranges <= range_max)
    nearest = np.where(usable, ranges, np.inf).min(axis=0)
    known = usable.any(axis=0) | np.isinf(ranges).any(axis=0)
    return np.arctan(-slope)[::-1], np.where(known, nearest, np.nan)[::-1]


@pytest.mark.parametrize("encoding", ["32FC1", "16UC1"])
def test_depthimage_to_laserscan_sees_the_box_where_our_scan_sees_it(encoding):
    consumer = pack("depthimage_to_laserscan", "depthimage_to_laserscan")
    messages = seen("depthimage_to_laserscan", depth_format=encoding)
    limits = (consumer["scan_height"], consumer["range_min"], consumer["range_max"])
    angles, ranges = laserscan_of(messages[topics.DEPTH], messages[topics.CAMERA_INFO], *limits)
    box = (angles > math.atan2(0.12, 2)) & (angles < math.atan2(0.58, 2))
    np.testing.assert_allclose(ranges[box] * np.cos(angles[box]), 2.0, atol=0.01)
    # The sky is free in metres; millimetres have no word for it.
    away = angles < -0.1
    assert np.isposinf(ranges[away]).all() if encoding == "32FC1" else np.isnan(ranges[away]).all()
    ours = points_of_scan(messages[topics.SCAN])
    assert np.median(ours[in_box(ours)][:, 0]) == pytest.approx(np.median(ranges[box] * np.cos(angles[box])), abs=0.01)
    assert "optical" not in consumer["output_frame"]


def test_depthimage_to_laserscan_gets_the_topics_it_asks_for():
    renamed = dict(consumers.pack("depthimage_to_laserscan")[1])
    assert renamed[topics.CAMERA_INFO] == "depth_camera_info"
    assert renamed[topics.SCAN] != "scan"  # which is its own


# depth_image_proc, rtabmap: image, depth and camera_info of one stamp, one frame and one size.


@pytest.mark.parametrize("name", ["depth_image_proc", "rtabmap"])
def test_depth_and_camera_info_fit_the_image_they_are_of(name):
    scene = Scene(**pack(name))
    messages = scene.look()
    image = make_image(Time(sec=1))
    for message in (messages[topics.DEPTH], messages[topics.CAMERA_INFO]):
        assert header_of(message) == header_of(image)  # exact_sync, approx_sync false
        assert (message.width, message.height) == (image.width, image.height)


@pytest.mark.parametrize("encoding", ["32FC1", "16UC1"])
def test_depth_image_proc_makes_the_cloud_that_we_make(encoding):
    messages = seen("depth_image_proc", depth_format=encoding, max_slant=90.0)
    image, info = messages[topics.DEPTH], messages[topics.CAMERA_INFO]
    depth = depth_of(image).astype(np.float64) * (0.001 if encoding == "16UC1" else 1)
    depth[~np.isfinite(depth) | (depth == 0)] = np.nan
    v, u = np.mgrid[: image.height, : image.width]
    x, y = (u - info.p[2]) * depth / info.p[0], (v - info.p[6]) * depth / info.p[5]
    theirs = np.stack([depth, -x, HEIGHT - y], axis=-1).reshape(-1, 3)
    ours = points_of(messages[topics.POINTS])
    assert messages[topics.POINTS].height == image.height
    np.testing.assert_allclose(ours, theirs, atol=1e-5 if encoding == "32FC1" else 2e-3)
    assert 0.3 < np.isfinite(ours).mean() < 0.9


@pytest.mark.parametrize(
    ("name", "node", "queue"),
    [("depth_image_proc", "point_cloud_xyzrgb", "queue_size"), ("rtabmap", "rtabmap", "sync_queue_size")],
)
def test_images_wait_long_enough_for_their_depth(name, node, queue):
    """A synchroniser that is full of younger images has dropped the image that the depth belongs to."""
    assert pack(name, node)[queue] / 30 > pack(name)["max_age"]


def test_rtabmap_gets_millimetres_and_zeros_for_what_is_unknown():
    image = seen("rtabmap")[topics.DEPTH]
    assert image.encoding == "16UC1"
    depth = depth_of(image)
    assert depth[133, 121] == 2000  # 0.3 m to the left and 0.1 m below the camera, at f = 260
    assert depth[0, 0] == 0  # sky
    assert depth.max() <= 1000 * pack("rtabmap")["max_depth"]


# PX4 through mavros: distances in centimetres, clockwise; 65535 is unknown, and unknown is where it does not fly.

UNKNOWN = 65535


def obstacle_distance(scan):
    """What mavros sends of a scan: distances (72), angle offset and increment in degrees, range_max in centimetres."""
    assert len(scan.ranges) <= 72  # more are thinned out, in a way that forgets what is nearer than 1 cm
    centimetres = np.array(scan.ranges) * 1e2
    known = (centimetres >= 0) & (centimetres < UNKNOWN)
    distances = np.full(72, UNKNOWN)
    distances[: len(centimetres)][known] = centimetres[known].astype(int)
    return distances, math.degrees(scan.angle_min), math.degrees(scan.angle_increment), int(scan.range_max * 1e2)


def px4_map(distances, offset, increment, range_max):
    """Distance by bearing, for each 5 degrees clockwise from ahead; PX4 itself would read past the end."""
    factor = np.float32(1) / np.float32(increment)
    return {b: distances[math.ceil(np.float32((b - offset) % 360) * factor)] for b in range(0, 360, 5)}


def test_px4_sees_the_box_on_its_own_side_and_flies_where_nothing_is():
    scan = seen("px4", box=FOUR_DEGREES_LEFT)[topics.SCAN]
    distances = px4_map(*obstacle_distance(scan))
    near = {bearing for bearing, distance in distances.items() if distance < 800}
    assert near == {345, 350, 355}  # 12.5 to 17.5 degrees to the left, 7.5 to 12.5, 2.5 to 7.5
    assert distances[355] == pytest.approx(200, abs=2)
    assert distances[345] == pytest.approx(200 / math.cos(math.radians(12.5)), abs=2)
    free = {bearing for bearing, distance in distances.items() if 800 < distance < UNKNOWN}
    assert free == {0, 5, 10, 15, 20, 25, 335, 340}  # the camera sees 31.6 degrees to each side
    assert all(distances[bearing] == UNKNOWN for bearing in range(30, 335, 5))


def test_a_bin_for_px4_by_hand():
    """A scan of one ray a degree, 30 to either side; the bin ahead has the rays from -2 to 2 degrees."""
    degrees = np.arange(-30, 31)
    ranges = np.full(61, np.inf, np.float32)
    ranges[degrees == 6] = 3.0  # to the left
    ranges[degrees == 4] = 2.0
    ranges[degrees == -9] = np.nan
    ranges[degrees == -14] = np.nan
    ranges[degrees == -16] = 4.0
    ranges[degrees == -20] = -np.inf
    step = math.radians(1)
    turned = for_mavlink(Scan(-30 * step, 30 * step, step, 0.1, 8.0, ranges))
    assert (turned.angle_min, len(turned.ranges)) == (0.0, 72)
    expected = np.full(72, np.nan)
    expected[[70, 71, 0, 1, 2, 3, 4, 5]] = [8.01, 2.0, 8.01, 8.01, np.nan, 4.0, 0.0, 8.01]
    expected[[67, 68, 69]] = 8.01
    np.testing.assert_allclose(turned.ranges, expected, rtol=1e-6)


def test_px4_would_see_a_plain_scan_mirrored_and_refuse_to_fly_where_nothing_is():
    """Why there is scan_format: mavros does not turn a scan round, and makes infinity unknown."""
    scan = seen("px4", box=FOUR_DEGREES_LEFT, scan_format="ros")[topics.SCAN]
    step = math.ceil(len(scan.ranges) / 72)
    scan.ranges = scan.ranges[::step]
    distances, first, increment, _ = obstacle_distance(scan)
    bearings = first + increment * step * np.arange(72)
    near = bearings[distances < 800]
    assert 3 < near.min() and near.max() < 17.5  # to the right
    assert set(distances[(bearings < 0) | (bearings > 20)]) == {UNKNOWN}


def test_px4_stops_for_a_box_that_is_nearer_than_the_depth_can_say():
    scan = seen("px4", box=BOX - [[1.7], [0.35], [0]], min_depth=0.5)[topics.SCAN]
    assert min(px4_map(*obstacle_distance(scan)).values()) == 0


def test_px4_gets_nothing_older_than_it_accepts_in_the_frame_of_the_vehicle():
    assert pack("px4")["max_age"] < 0.5
    assert pack("px4", "obstacle")["mav_frame"] == "BODY_FRD"
    assert dict(consumers.pack("px4")[1]) == {
        topics.SCAN: "mavros/obstacle/send",
        topics.OBSTACLE_DISTANCE: "fmu/in/obstacle_distance",
    }


# The packs themselves.


def test_every_pack_has_its_file_its_parameters_and_its_page():
    files = {path.stem for path in (REPOSITORY / "config" / "consumers").glob("*.yaml")}
    assert files == set(consumers.NAMES)
    page = (REPOSITORY / "docs" / "consumers.md").read_text()
    for name in consumers.NAMES:
        assert pack(name)
        assert consumers.pack_file(name).read_text() in page
        assert f"consumer:={name}" in page


def test_ros_reads_every_pack_and_gives_depth_node_its_part():
    with Peer() as peer:
        for name in consumers.NAMES:
            arguments = ["--ros-args", "--params-file", str(consumers.pack_file(name))]
            node = Node("depth_node", context=peer.node.context, cli_args=arguments, start_parameter_services=False)
            assert given_parameters(node) == pack(name).keys()
            node.destroy_node()


@pytest.mark.parametrize("name", ["nav2", "stvl", "collision_monitor"])
def test_navs_own_launch_can_put_a_pack_into_a_namespace(name, tmp_path):
    """As nav2_common's RewrittenYaml does with root_key; rcl refuses a whole file that has /** below a namespace."""
    file = tmp_path / "nav2_params.yaml"
    file.write_text(yaml.safe_dump({"robot": yaml.safe_load(consumers.pack_file(name).read_text())}))
    with Peer() as peer:
        arguments = ["--ros-args", "-r", "__ns:=/robot", "--params-file", str(file)]
        node = Node("depth_node", context=peer.node.context, cli_args=arguments, start_parameter_services=False)
        assert given_parameters(node) == pack(name).keys()
        node.destroy_node()


def test_an_unknown_consumer_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match="consumer: found 'nav3', expected one of collision_monitor, .*nav2"):
        consumers.pack("nav3")
