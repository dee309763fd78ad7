"""One frame's way: gates, faults of the engine, and messages of any content. The network here is a formula."""

import array
import math
from functools import lru_cache
from time import perf_counter
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from rclpy.clock import ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image

from mono_depth_ros.backends import BackendError
from mono_depth_ros.camera import CameraModel
from mono_depth_ros.fusion import Prior
from mono_depth_ros.io.raw import ENCODINGS
from mono_depth_ros.pointcloud import CloudBuilder, EdgeFilter
from mono_depth_ros.prediction import Prediction
from mono_depth_ros.ros import composer
from mono_depth_ros.ros import outputs as topics
from mono_depth_ros.ros.anchors import AnchorInputs
from mono_depth_ros.ros.cameras import Cameras
from mono_depth_ros.ros.composer import Composer
from mono_depth_ros.ros.frames import Tree
from mono_depth_ros.ros.images import Decoder
from mono_depth_ros.ros.intake import Arrival
from mono_depth_ros.ros.journal import Journal
from mono_depth_ros.ros.orientation import Orientation
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.ros.pipeline import Pipeline
from mono_depth_ros.ros.problems import Problems
from mono_depth_ros.ros.statistics import Statistics
from mono_depth_ros.ros.stream import Stream
from mono_depth_ros.scan import ClearingPoints
from test.conftest import fuzz
from test.ros.harness import DOMAIN, depth_of, header_of, make_image, make_info
from test.scenes import LENSES

ALL = frozenset(topics.TYPES)
LIMIT = 8.0  # metres at which the formula "saturates"
WAITED, TRANSIT = 60.0, 0.125  # seconds


@lru_cache(maxsize=1)
def host() -> LifecycleNode:
    """A node that lends its topics and its clock, which stands at 1 s; nobody spins it."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    simulated = [Parameter("use_sim_time", value=True)]
    node = LifecycleNode("bench", context=context, use_global_arguments=False, parameter_overrides=simulated)
    node.get_clock().set_ros_time_override(rclpy.time.Time(seconds=1, clock_type=ClockType.ROS_TIME))
    return node


class Bench:
    """A stream with everything around it within reach: `error` makes the backend throw."""

    def __init__(self, wanted=ALL, is_rectified=False, **values):
        image_is = "rectified" if is_rectified else "raw"
        self.settings = Settings(camera_info_timeout=0.0, image_is=image_is, **values)
        self.statistics = Statistics()
        self.lines: list[str] = []
        self.problems = Problems(self.lines.append, self.lines.append, period=0)
        self.cameras = Cameras("/camera_info", self.problems)
        self.cameras.start("/image")
        self.published: list[dict] = []
        self.error: Exception | None = None
        self.confidence = True
        outputs = SimpleNamespace(wanted=lambda: wanted, publish=self.published.append)
        self.orientation = Orientation(host(), Tree(host()), attitude=False)
        maker = Composer(self.orientation, self.problems)
        anchors = AnchorInputs(host(), self.settings, Prior(), Tree(host()), self.problems)
        pipeline = Pipeline(Decoder("/image", self.problems), self.cameras, self, anchors.correct, maker)
        journal = Journal(self.statistics, self.problems)
        self.stream = Stream(host(), lambda: self.settings, pipeline, outputs, journal)

    def predict(self, rgb, camera, out):
        """Depth from 0.05 m in the first column to 10 m in the last; confidence from 0 in the first row to 1."""
        if self.error:
            raise self.error
        height, width = rgb.shape[:2]
        depth = np.tile(np.linspace(0.05, 10, width, dtype=np.float32), (height, 1))
        sure = np.tile(np.linspace(0, 1, height, dtype=np.float32)[:, None], (1, width))
        with np.errstate(divide="ignore"):
            sigma = -math.sqrt(2) * math.log(1.25) / np.log1p(-sure)
        return Prediction(depth, sigma if self.confidence and out.sigma is not None else None)

    def farthest(self, shape, camera):
        return LIMIT

    def timings(self):
        return {"network": 3.0, "scale": 0.25}

    def process(self, image, info=None):
        if info:
            info.header = image.header
            self.cameras.receive(info)
        self.stream.process(Arrival(image, perf_counter() - WAITED, TRANSIT))

    def last(self, topic):
        return self.published[-1][topic]


def test_depth_is_infinite_outside_the_parameters_and_the_networks_own_range():
    bench = Bench(min_depth=0.5, max_depth=9.0)
    bench.process(make_image(Time(sec=1)), make_info())
    depth = depth_of(bench.last(topics.DEPTH))[0]
    true = np.linspace(0.05, 10, 320, dtype=np.float32)
    assert np.array_equal(depth == -np.inf, true < 0.5)
    assert np.array_equal(depth == np.inf, true > LIMIT)
    assert np.array_equal(depth[np.isfinite(depth)], true[(true >= 0.5) & (true <= LIMIT)])


def test_nothing_is_called_free_farther_than_the_network_can_see():
    bench = Bench(max_depth=100.0, clearing_range=50.0)
    bench.process(make_image(Time(sec=1)), make_info())
    assert bench.last(topics.SCAN).range_max == LIMIT
    cloud = bench.last(topics.CLEARING_POINTS)
    ends = np.frombuffer(cloud.data, np.float32).reshape(-1, 3)
    assert len(ends) > 0
    assert np.linalg.norm(ends, axis=1) == pytest.approx(LIMIT)


def test_points_under_the_minimum_of_confidence_are_nan_in_depth_and_cloud():
    bench = Bench(min_confidence=0.5, max_slant=90.0, points_confidence=True)
    bench.process(make_image(Time(sec=1)), make_info())
    unsure = np.linspace(0, 1, 240, dtype=np.float32) < 0.5
    assert np.array_equal(np.isnan(depth_of(bench.last(topics.DEPTH))).all(axis=1), unsure)
    cloud = bench.last(topics.POINTS)
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "rgb", "confidence"]
    points = np.frombuffer(cloud.data, np.float32).reshape(240, 320, 5)
    assert np.array_equal(np.isnan(points[..., 2]).all(axis=1), unsure)
    seen = np.isfinite(points[..., 2])
    assert points[seen, 4].min() >= 0.5


def test_the_cloud_takes_every_nth_pixel_and_leaves_out_bad_points_by_parameter():
    bench = Bench(points_stride=4, max_slant=90.0, max_depth=5.0)
    bench.process(make_image(Time(sec=1)), make_info())
    grid = bench.last(topics.POINTS)
    assert (grid.height, grid.width, grid.is_dense) == (60, 80, False)
    depth = depth_of(bench.last(topics.DEPTH))[::4, ::4]
    points = np.frombuffer(grid.data, np.float32).reshape(60, 80, 4)
    assert np.array_equal(points[..., 2], np.where(np.isfinite(depth), depth, np.nan), equal_nan=True)
    bench.settings = bench.settings.changed({"points_dense": True})
    bench.process(make_image(Time(sec=2)), make_info())
    dense = bench.last(topics.POINTS)
    assert (dense.height, dense.width, dense.is_dense) == (1, np.isfinite(depth).sum(), True)


def test_what_hangs_at_an_edge_is_in_no_cloud_and_clears_nothing(monkeypatch):
    """A near post before free space, with the ramp of an enlarged edge: outputs are what their builders make of it."""
    bench = Bench(points_dense=True, scan_camera_height=0.5, scan_min_height=0.0, scan_max_height=2.0)
    depth = np.full((240, 320), 12.0, np.float32)  # beyond the network's reach: free
    depth[:, 140:180] = 1.5
    ramp = cv2.blur(depth, (7, 1))
    monkeypatch.setattr(bench, "predict", lambda rgb, camera, out: Prediction(ramp.copy(), None))
    bench.process(make_image(Time(sec=1)), make_info())
    gated, camera = depth_of(bench.last(topics.DEPTH)), CameraModel(320, 240, 260.0, 260.0, 160.0, 120.0)
    flying = ~EdgeFilter(camera, bench.settings.max_slant).solid(gated).astype(bool)
    assert 0.005 < flying.mean() < 0.1
    rgb = np.zeros((240, 320, 3), np.uint8)
    cloud = np.frombuffer(bench.last(topics.POINTS).data, np.float32).reshape(-1, 4)
    expected = CloudBuilder(camera, dense=True, max_slant=bench.settings.max_slant).build(gated, rgb)
    np.testing.assert_array_equal(cloud[:, 2], expected["z"])
    reach = min(bench.settings.clearing_range, LIMIT)
    ends = ClearingPoints(camera, reach, max_slant=bench.settings.max_slant).build(gated)
    clearing = np.frombuffer(bench.last(topics.CLEARING_POINTS).data, np.float32).reshape(-1, 3)
    np.testing.assert_array_equal(clearing, ends)


def test_every_stage_is_timed_and_the_network_and_the_wait_are_no_part_of_the_rest():
    bench = Bench()
    bench.process(make_image(Time(sec=1)), make_info())
    medians = {name: p50 for name, (p50, _) in bench.statistics.percentiles().items()}
    stages = ["receive", "wait", "decode", "camera_info", "network", "scale", "fuse", "pack", "publish"]
    assert list(medians)[:9] == stages
    assert medians["receive"] == TRANSIT and medians["network"] == 3.0
    assert WAITED <= medians["wait"] < WAITED + 10
    rest = sum(medians[stage] for stage in stages if stage not in ("network", "wait"))
    assert medians["all but the network"] == pytest.approx(rest)


def test_a_frame_that_is_not_published_is_no_measurement():
    bench = Bench()
    bench.error = BackendError("no")
    bench.process(make_image(Time(sec=1)), make_info())
    assert bench.statistics.percentiles() == {}


def test_a_gate_that_cannot_be_applied_lets_nothing_through():
    bench = Bench(min_confidence=0.5)
    bench.confidence = False
    bench.process(make_image(Time(sec=1)), make_info())
    assert not bench.published
    assert "this checkpoint predicts no confidence" in bench.lines[-1]


def test_without_confidence_only_its_own_output_is_missing():
    bench = Bench(points_confidence=True)
    bench.confidence = False
    bench.process(make_image(Time(sec=1)), make_info())
    assert set(bench.published[0]) == ALL - {topics.CONFIDENCE}
    assert [field.name for field in bench.last(topics.POINTS).fields] == ["x", "y", "z", "rgb"]


def test_where_the_lens_saw_nothing_there_is_no_depth_and_no_confidence():
    bench = Bench()
    bench.process(make_image(Time(sec=1)), make_info(focal=150.0, d=(0.3, 0.0, 0.0, 0.0, 0.0)))
    blind = np.isnan(depth_of(bench.last(topics.DEPTH)))
    assert 0 < blind.mean() < 0.5
    assert blind[0, 0] and not blind[120, 160]
    confidence = np.frombuffer(bench.last(topics.CONFIDENCE).data, np.float32).reshape(240, 320)
    assert not confidence[blind].any()


@pytest.mark.parametrize("is_rectified", [False, True])
def test_only_a_raw_image_of_a_distorted_camera_is_rectified(is_rectified):
    bench = Bench(is_rectified=is_rectified)
    info = make_info(focal=150.0, d=(0.3, 0.0, 0.0, 0.0, 0.0))
    info.p = [140.0, 0.0, 161.0, 0.0, 0.0, 141.0, 119.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    bench.process(make_image(Time(sec=1)), info)
    out = bench.last(topics.CAMERA_INFO)
    assert (out.k[0], out.k[4], out.k[2], out.k[5]) == (140.0, 141.0, 161.0, 119.0)  # of the rectified image either way
    assert not any(out.d)
    assert bool(np.isnan(depth_of(bench.last(topics.DEPTH))).any()) != is_rectified


def test_a_frame_of_which_nothing_wanted_can_be_made_is_not_published():
    bench = Bench(wanted={topics.SCAN})
    bench.process(make_image(Time(sec=1), frame_id="camera"), make_info())
    assert not bench.published
    assert bench.statistics.counts()["dropped: nothing that is subscribed to can be made"] == 1
    assert bench.problems.current("outputs")[0][0] is True


def test_a_scan_in_a_frame_that_is_not_optical():
    bench = Bench(scan_frame="base_scan")
    bench.process(make_image(Time(sec=1)), make_info())
    assert bench.last(topics.SCAN).header.frame_id == "base_scan"
    bench = Bench()
    bench.process(make_image(Time(sec=1), frame_id="camera"), make_info())
    assert topics.SCAN not in bench.published[0] and topics.DEPTH in bench.published[0]
    assert any("scan: the image's frame is 'camera'" in line and "scan_frame" in line for line in bench.lines)
    bench = Bench(scan_min_height=50.0, scan_max_height=60.0)
    bench.process(make_image(Time(sec=1)), make_info())
    assert topics.SCAN not in bench.published[0]
    assert any("no pixel sees" in line for line in bench.lines)


@pytest.mark.parametrize(
    "error", [BackendError("out of memory"), MemoryError(), ValueError("shape"), KeyError("x"), RuntimeError("boom")]
)
def test_an_engine_that_throws_costs_one_frame(error):
    bench = Bench()
    for second in (1, 2, 3):
        bench.error = error if second == 2 else None
        bench.process(make_image(Time(sec=second)), make_info())
    assert [messages[topics.DEPTH].header.stamp.sec for messages in bench.published] == [1, 3]
    counts = bench.statistics.counts()
    assert (counts["published"], counts["failed"], counts[f"failed: {type(error).__name__}"]) == (2, 1, 1)
    assert bench.problems.current("backend")[0][0] is True
    assert f"/image: frame failed, no depth for it: {type(error).__name__}" in bench.lines[0]


numbers = st.floats(allow_nan=True, allow_infinity=True, width=64) | st.sampled_from([0.0, 1.0, 200.0, 300.0])
sizes = st.integers(0, 40) | st.sampled_from([8192, 8193, 2**32 - 1])
positive = st.floats(1e-3, 1e5)
lenses = st.sampled_from([("plumb_bob", 5), ("rational_polynomial", 8), ("equidistant", 4), ("", 0)]).flatmap(
    lambda lens: st.tuples(st.just(lens[0]), st.lists(st.floats(-9, 9), min_size=lens[1], max_size=lens[1]))
)
cameras = st.builds(
    lambda lens, fx, fy, cx, cy: CameraInfo(
        distortion_model=lens[0], d=lens[1], k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    ),
    *(lenses, positive, positive, st.floats(-1e5, 1e5), st.floats(-1e5, 1e5)),
)
infos = cameras | st.builds(
    CameraInfo,
    width=sizes,
    height=sizes,
    distortion_model=st.sampled_from(["", "plumb_bob", "rational_polynomial", "equidistant", "thin_prism"]),
    d=st.lists(numbers, max_size=15),
    k=st.lists(numbers, min_size=9, max_size=9),
    p=st.lists(numbers, min_size=12, max_size=12) | st.just([0.0] * 12),
    binning_x=st.integers(0, 4),
)
images = st.builds(
    Image,
    width=sizes,
    height=sizes,
    encoding=st.sampled_from(sorted(ENCODINGS)) | st.text(max_size=8),
    step=st.integers(0, 200),
    is_bigendian=st.integers(0, 1),
    data=st.binary(max_size=5000),
) | st.builds(
    lambda width, height: Image(width=width, height=height, encoding="mono8", step=width, data=bytes(width * height)),
    st.integers(1, 40),
    st.integers(1, 40),
)


@fuzz(400)
@given(st.lists(st.tuples(images, infos, st.booleans()), min_size=1, max_size=4))
def test_any_message_is_published_with_its_own_header_or_counted_and_explained(frames):
    bench = Bench()
    for second, (image, info, fits) in enumerate(frames, start=1):
        image.header.stamp.sec, image.header.frame_id = second, "camera_optical_frame"
        if fits:
            info.width, info.height = image.width, image.height
        before = len(bench.published), len(bench.lines)
        bench.process(image, info)
        if len(bench.published) == before[0]:
            assert len(bench.lines) > before[1]
        else:
            messages = bench.published[-1]
            assert {header_of(m)[:2] for m in messages.values()} == {(second, 0)}
            assert (messages[topics.DEPTH].width, messages[topics.DEPTH].height) == (image.width, image.height) or (
                image.encoding.startswith("nv")
            )
            assert np.isfinite(messages[topics.CAMERA_INFO].k).all() and messages[topics.CAMERA_INFO].k[0] > 0
    bench.stream.close()
    counts = bench.statistics.counts()
    assert counts["published"] + counts["rejected"] + counts["dropped"] == len(frames)
    assert counts["failed"] == 0


@fuzz(100)
@given(st.floats(0, 1), st.floats(0.0, 12.0), st.sampled_from(["32FC1", "16UC1"]), st.booleans(), st.floats(1, 90))
def test_no_output_without_information_is_ok(min_confidence, min_depth, depth_format, mavlink, max_slant):
    scan_format = {"scan_format": "mavlink", "scan_rotation": "parameters"} if mavlink else {}
    bench = Bench(
        min_confidence=min_confidence,
        min_depth=min_depth,
        max_depth=12.5,
        depth_format=depth_format,
        max_slant=max_slant,
        **scan_format,
    )
    bench.process(make_image(Time(sec=1)), make_info())
    bench.stream.close()
    said = " ".join(text for is_error, text in bench.problems.current("outputs") if is_error)
    messages = bench.published[-1] if bench.published else {}
    depth = depth_of(bench.last(topics.DEPTH))
    assert "depth says nothing" in said or (depth > 0).any() or np.isinf(depth).any()
    assert "scan" in said or not np.isnan(messages[topics.SCAN].ranges).all()
    cloud = np.frombuffer(messages[topics.POINTS].data, np.float32)
    is_clear = np.isinf(depth).all() or "depth says nothing" in said or not np.isfinite(depth).any()
    assert "points says nothing" in said or is_clear or np.isfinite(cloud).any()


@pytest.mark.parametrize("min_depth", [8.0, 9.5])
def test_a_network_that_reaches_no_farther_than_min_depth_knows_nothing_and_frees_nothing(min_depth):
    """As with fx in millimetres: infinity beyond 8 m, with a min_depth of as much, would call all the world free."""
    bench = Bench(min_depth=min_depth, max_depth=12.0)
    bench.process(make_image(Time(sec=1)), make_info())
    assert np.isnan(depth_of(bench.last(topics.DEPTH))).all() and bench.last(topics.CLEARING_POINTS).width == 0
    said = [text for is_error, text in bench.problems.current("outputs") if is_error]
    assert any("depth says nothing" in text and "the network reaches 8 m, min_depth is" in text for text in said)
    assert any("scan cannot be made" in text and "is camera_info right?" in text for text in said)


@pytest.mark.parametrize("value", [0, 8, 128, 255])
@pytest.mark.parametrize("lens", ["barrel", "equidistant"])
def test_the_black_rim_of_a_rectified_picture_that_shows_nothing_is_nothing_that_it_shows(value, lens):
    bench = Bench()
    model = LENSES[lens].resized(320, 240)
    image = make_image(Time(sec=1))
    image.data = array.array("B", bytes([value]) * len(image.data))
    info = make_info(d=model.distortion, distortion_model=model.distortion_model)
    info.k[0], info.k[4], info.k[2], info.k[5] = model.fx, model.fy, model.cx, model.cy
    bench.process(image, info)
    assert np.isnan(depth_of(bench.last(topics.DEPTH))).all()
    assert any("the picture is" in text for is_error, text in bench.problems.current("image") if is_error)


def test_an_output_without_information_is_an_error_that_says_why():
    bench = Bench(min_confidence=1.0)
    bench.process(make_image(Time(sec=1)), make_info())
    said = [text for is_error, text in bench.problems.current("outputs") if is_error]
    for topic, parts in ((topics.DEPTH, "pixels"), (topics.SCAN, "bearings")):
        assert any(
            f"{topic} says nothing: " in t and f" % of its {parts}" in t and "min_confidence (1)" in t for t in said
        ), said


@pytest.mark.parametrize("topic", sorted(ALL - {topics.CAMERA_INFO}))
def test_whatever_output_is_asked_for_that_nothing_is_known_is_an_error(topic):
    bench = Bench(wanted={topic}, min_confidence=1.0)
    bench.process(make_image(Time(sec=1)), make_info())
    assert any(is_error and "says nothing" in text for is_error, text in bench.problems.current("outputs"))


def test_infinity_is_information_but_not_in_millimetres():
    for depth_format, says_nothing in (("32FC1", False), ("16UC1", True)):
        bench = Bench(max_depth=0.1, min_depth=0.09, depth_format=depth_format)
        bench.process(make_image(Time(sec=1)), make_info())
        said = [text for _, text in bench.problems.current("outputs")]
        assert any(text.startswith("depth says nothing") for text in said) == says_nothing


@pytest.mark.parametrize("lens", [30.0, 63.0, 120.0])
def test_without_a_camera_depth_is_that_of_the_lens_that_was_chosen(lens):
    bench = Bench(assume_lens=lens)
    bench.process(make_image(Time(sec=1)))
    info = bench.last(topics.CAMERA_INFO)
    assert math.degrees(2 * math.atan(160 / info.k[0])) == pytest.approx(lens)
    assert "a view of" in bench.problems.current("camera_info")[0][1]
    assert f"{lens:g} degrees is assumed (assume_lens)" in bench.problems.current("camera_info")[0][1]


def test_without_a_camera_and_a_choice_nothing_goes_out():
    bench = Bench()
    bench.process(make_image(Time(sec=1)))
    uncalibrated = make_info()
    uncalibrated.k[0] = 0.0
    bench.process(make_image(Time(sec=2)), uncalibrated)
    assert not bench.published
    assert bench.statistics.counts()["dropped: its camera is not known"] == 2
    is_error, text = bench.problems.current("camera_info")[0]
    assert is_error and "K[0]" in text and "no metric depth" in text and "assume_lens" in text


def test_a_scan_for_a_vehicle_needs_to_know_where_the_camera_looks():
    bench = Bench(scan_format="mavlink", scan_frame="base_link_frd")
    bench.process(make_image(Time(sec=1)), make_info())
    assert topics.SCAN not in bench.published[0] and topics.DEPTH in bench.published[0]
    (text,) = (text for is_error, text in bench.problems.current("outputs") if is_error)
    assert "how the camera is turned in base_link_frd is not known" in text and "scan_yaw" in text
    for change, ahead in (({"scan_rotation": "parameters"}, 0), ({"scan_yaw": math.pi}, 36)):
        bench.settings = Settings(camera_info_timeout=0.0, scan_format="mavlink", **change)
        bench.process(make_image(Time(sec=2)), make_info())
        assert np.isfinite(bench.last(topics.SCAN).ranges[ahead])
        assert np.isnan(bench.last(topics.SCAN).ranges[ahead - 36])


def test_tables_that_cannot_be_made_are_not_made_again_for_each_frame(monkeypatch):
    made = []
    build = composer.ScanBuilder
    monkeypatch.setattr(composer, "ScanBuilder", lambda *args, **options: made.append(1) or build(*args, **options))
    bench = Bench(scan_min_height=50.0, scan_max_height=60.0)
    for second in (1, 2, 3):
        bench.process(make_image(Time(sec=second)), make_info())
    assert len(made) == 1 and sum("no pixel sees" in line for line in bench.lines) == 3


def test_a_band_that_is_not_wholly_in_view_is_said():
    bench = Bench(scan_min_height=-10.0, scan_max_height=10.0)
    bench.process(make_image(Time(sec=1)), make_info())
    assert any("no bearing can be called free" in text for _, text in bench.problems.current("outputs"))


def test_a_region_of_interest_is_what_all_outputs_are_of():
    bench = Bench(roi=[40, 30, 160, 120], min_depth=0.0)
    bench.process(make_image(Time(sec=1)), make_info())
    info = bench.last(topics.CAMERA_INFO)
    assert (info.width, info.height) == (160, 120)
    assert (info.k[0], info.k[2], info.k[5]) == (260.0, 160.0 - 40, 120.0 - 30)
    for topic in (topics.DEPTH, topics.IMAGE_RECT, topics.POINTS):
        assert (bench.last(topic).width, bench.last(topic).height) == (160, 120)


def test_a_region_that_sticks_out_is_said_and_costs_the_frame():
    bench = Bench(roi=[200, 0, 160, 120])
    bench.process(make_image(Time(sec=1)), make_info())
    assert not bench.published
    assert any("roi: window" in line and "320x240" in line for line in bench.lines)


def test_frame_id_replaces_the_images_own_in_all_outputs():
    bench = Bench(frame_id="front_optical_frame")
    bench.process(make_image(Time(sec=1), frame_id="camera_link"), make_info())
    frames = {topic: message.header.frame_id for topic, message in bench.published[-1].items()}
    assert frames.pop(topics.SCAN) == "front_frame"
    assert set(frames.values()) == {"front_optical_frame"}
    assert not any("x forward" in line for line in bench.lines)


def test_a_frame_that_is_by_its_name_no_optical_one_is_found_out():
    bench = Bench(wanted=frozenset((topics.DEPTH,)))
    bench.process(make_image(Time(sec=1), frame_id="camera_link"), make_info())
    assert any("'camera_link' is by its name x forward" in line and "frame_id" in line for line in bench.lines)


def level(**values):
    """A bench whose camera looks ahead, 0.5 m above the floor of base_link, and its 4 x 4 pose there by hand."""
    ahead = [0.1, 0.0, 0.5, -0.5, 0.5, -0.5, 0.5]  # x = z_optical, y = -x_optical, z = -y_optical
    return Bench(camera_pose=ahead, base_frame="base_link", points_frame="base_link", max_slant=90.0, **values)


@pytest.mark.parametrize("dense", [False, True])
def test_points_are_levelled_and_kept_between_heights(dense):
    bench = level(points_dense=dense, points_min_height=0.2, points_max_height=0.9)
    bench.process(make_image(Time(sec=1)), make_info())
    cloud = bench.last(topics.POINTS)
    assert cloud.header.frame_id == "base_link" and cloud.is_dense == dense
    x, y, z = np.frombuffer(cloud.data, np.float32).reshape(-1, 4)[:, :3].T
    depth = depth_of(bench.last(topics.DEPTH))
    v, u = np.mgrid[:240, :320]
    with np.errstate(invalid="ignore"):
        height = 0.5 - (v - 120) / 260 * depth
    kept = np.isfinite(depth) & (height >= 0.2) & (height <= 0.9)
    assert 0.1 < kept.mean() < 0.6
    good = np.isfinite(z)
    assert good.sum() == kept.sum() and (dense or np.array_equal(good, kept.ravel()))
    for found, true in ((x, 0.1 + depth), (y, -(u - 160) / 260 * depth), (z, height)):
        np.testing.assert_allclose(found[good], true[kept], atol=1e-4)
    ends = np.frombuffer(bench.last(topics.CLEARING_POINTS).data, np.float32).reshape(-1, 3)
    np.testing.assert_allclose(np.linalg.norm(ends - [0.1, 0.0, 0.5], axis=1), 5.0, rtol=1e-5)


@pytest.mark.parametrize(("values", "is_said"), [({"points_max_height": 2.0}, True), ({}, False)])
def test_heights_that_have_no_frame_are_said_not_to_be_used(values, is_said):
    bench = Bench(**values)
    bench.process(make_image(Time(sec=1)), make_info())
    assert any("points_max_height: not used" in line for line in bench.lines) == is_said


def test_without_a_place_in_points_frame_there_are_no_points():
    bench = Bench(points_frame="nowhere")
    bench.process(make_image(Time(sec=1)), make_info())
    assert not {topics.POINTS, topics.CLEARING_POINTS} & bench.published[-1].keys()
    assert any("depth/points cannot be made" in line and "'nowhere'" in line for line in bench.lines)
