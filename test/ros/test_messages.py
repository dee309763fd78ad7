"""Messages out: values, layout and headers, read back from the bytes that go over the wire."""

import struct

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, Image, LaserScan, PointCloud2, PointField
from std_msgs.msg import Header

from mono_depth_ros.camera import CameraModel, camera_from_info
from mono_depth_ros.io import compressed
from mono_depth_ros.io.white import WhiteLevel
from mono_depth_ros.pointcloud import CloudBuilder
from mono_depth_ros.prediction import Prediction
from mono_depth_ros.ros import messages
from mono_depth_ros.ros.gates import Gates
from mono_depth_ros.scan import Scan
from test.conftest import fuzz

NAN, INF = float("nan"), float("inf")
FRAME = "camera_optical_frame"


def stamp() -> Time:
    return Time(sec=1_700_000_000, nanosec=999_999_999)


@pytest.fixture
def header() -> Header:
    return Header(stamp=stamp(), frame_id=FRAME)


@pytest.mark.parametrize("nearest", [0.0, 0.1, 0.5])
def test_compressed_depth_keeps_far_and_unknown_through_image_transports_formula(header, nearest):
    depth = np.array([[NAN, INF, -INF, 0.05, 0.7, 1.0, 5.0, 10.0]], np.float32)
    msg = wired(messages.compressed_depth_message(header, depth, "32FC1", nearest))
    assert (msg.format, msg.header.frame_id) == ("32FC1; compressedDepth png", FRAME)
    _, a, b = struct.unpack("<iff", bytes(msg.data[:12]))
    codes = cv2.imdecode(np.frombuffer(msg.data[12:], np.uint8), cv2.IMREAD_UNCHANGED)
    assert codes.dtype == np.uint16
    with np.errstate(divide="ignore"):
        read = np.where(codes == 0, np.float32(NAN), np.float32(a) / (codes.astype(np.float32) - np.float32(b)))[0]
    assert np.isnan(read[0]) and read[1] == INF
    least = max(nearest, 0.01)
    assert read[2] == pytest.approx(least)
    true = np.maximum(depth[0, 3:], least)
    assert (np.abs(read[3:] - true) <= true**2 / a).all()  # a step; half of one, and float32's rounding


def test_compressed_depth_of_millimetres_is_lossless(header):
    depth = np.array([[NAN, INF, 0.0004, 0.001, 1.2346, 65.535, 66.0]], np.float32)
    msg = wired(messages.compressed_depth_message(header, depth, "16UC1", 0.1))
    codes = cv2.imdecode(np.frombuffer(msg.data[12:], np.uint8), cv2.IMREAD_UNCHANGED)
    assert msg.format == "16UC1; compressedDepth png"
    assert codes.tolist() == [[0, 0, 0, 1, 1235, 65535, 0]]


def test_a_compressed_picture_is_the_picture(header):
    rgb = np.full((48, 64, 3), (200, 100, 30), np.uint8)
    msg = wired(messages.jpeg_message(header, rgb))
    assert np.abs(compressed.decode_message(msg, None, WhiteLevel()).astype(int) - rgb).max() <= 3


def wired(msg):
    """The message as a subscriber gets it."""
    return deserialize_message(serialize_message(msg), type(msg))


def float_pixels(msg: Image) -> NDArray[np.float32]:
    return np.frombuffer(msg.data, np.float32).reshape(msg.height, msg.width)


def test_depth_in_metres_keeps_every_value(header: Header):
    depth = np.array([[1.5, NAN, INF], [-INF, 0.25, 7.125]], np.float32)
    msg = wired(messages.depth_message(header, depth))
    assert (msg.encoding, msg.height, msg.width, msg.step, msg.is_bigendian) == ("32FC1", 2, 3, 12, 0)
    np.testing.assert_array_equal(float_pixels(msg), depth)


def test_depth_in_millimetres_is_zero_where_there_is_none(header: Header):
    metres = [1.2344, 1.2346, 0.0004, 0.001, 65.535, 65.536, 70.0, NAN, INF, -INF, 0.0, -1.0]
    millimetres = [1234, 1235, 0, 1, 65535, 0, 0, 0, 0, 0, 0, 0]
    msg = wired(messages.depth_message(header, np.array([metres], np.float32), "16UC1"))
    assert (msg.encoding, msg.height, msg.width, msg.step) == ("16UC1", 1, 12, 24)
    assert np.frombuffer(msg.data, np.uint16).tolist() == millimetres


def test_another_depth_encoding_is_refused(header: Header):
    with pytest.raises(ValueError, match="'mono16'; expected one of 32FC1, 16UC1"):
        messages.depth_message(header, np.ones((2, 2), np.float32), "mono16")


@fuzz(200)
@given(arrays(np.float32, (3, 4), elements=st.floats(width=32)))
def test_no_depth_becomes_another_one(depth: NDArray[np.float32]):
    header = Header(stamp=stamp(), frame_id=FRAME)
    limited = depth.copy()
    Gates().apply(Prediction(limited), nearest=0.3, farthest=10.0)
    finite = np.isfinite(limited)
    np.testing.assert_array_equal(limited[finite], depth[finite])
    assert np.all((limited[finite] >= np.float32(0.3)) & (limited[finite] <= 10))
    millimetres = np.frombuffer(messages.depth_message(header, limited, "16UC1").data, np.uint16).reshape(3, 4)
    assert np.array_equal(millimetres > 0, finite)
    assert np.all(np.abs(millimetres[finite] - 1000 * limited[finite].astype(float)) <= 0.51)


def test_pictures_and_confidence(header: Header):
    rgb = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    msg = wired(messages.rgb_message(header, rgb[:, ::2]))  # a view with gaps
    assert (msg.encoding, msg.height, msg.width, msg.step) == ("rgb8", 2, 2, 6)
    assert msg.data.tolist() == rgb[:, ::2].ravel().tolist()
    confidence = np.array([[0.0, 0.5, 1.0]], np.float32)
    msg = wired(messages.confidence_message(header, confidence))
    assert (msg.encoding, msg.height, msg.width, msg.step) == ("32FC1", 1, 3, 12)
    np.testing.assert_array_equal(float_pixels(msg), confidence)


@pytest.mark.parametrize(
    "camera",
    [
        CameraModel(320, 240, 260.5, 261.0, 159.5, 121.25),
        CameraModel(640, 480, 517.3, 516.5, 318.6, 255.3, "plumb_bob", (0.26, -0.95, -0.005, 0.0026, 1.16)),
    ],
    ids=["rectified", "passed through"],
)
def test_camera_info_tells_the_camera(header: Header, camera: CameraModel):
    msg: CameraInfo = wired(messages.camera_info_message(header, camera))
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    assert (msg.width, msg.height) == (camera.width, camera.height)
    assert msg.k.tolist() == [fx, 0, cx, 0, fy, cy, 0, 0, 1]
    assert msg.p.tolist() == [fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0]
    assert msg.r.tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert msg.distortion_model == "plumb_bob"
    assert msg.d.tolist() == list(camera.distortion or (0, 0, 0, 0, 0))
    assert (msg.binning_x, msg.binning_y, msg.roi.width, msg.roi.height) == (0, 0, 0, 0)
    read = camera_from_info(msg)
    assert (read.matrix == camera.matrix).all() and read.is_distorted == camera.is_distorted


def points_of(msg: PointCloud2) -> list[dict[str, float]]:
    """Points as a consumer unpacks them: by name, offset and step alone."""
    assert all((field.datatype, field.count) == (PointField.FLOAT32, 1) for field in msg.fields)
    data, order = msg.data.tobytes(), ">" if msg.is_bigendian else "<"
    return [
        {
            field.name: struct.unpack_from(f"{order}f", data, v * msg.row_step + u * msg.point_step + field.offset)[0]
            for field in msg.fields
        }
        for v in range(msg.height)
        for u in range(msg.width)
    ]


def test_an_organised_cloud_puts_each_pixel_in_its_place(header: Header):
    camera = CameraModel(4, 3, 2.0, 2.0, 1.0, 1.0)
    depth = np.full((3, 4), 2.0, np.float32)
    depth[0, 0] = NAN
    rgb = np.full((3, 4, 3), (200, 100, 50), np.uint8)
    confidence = np.full((3, 4), 0.75, np.float32)
    cloud = CloudBuilder(camera, confidence_field=True).build(depth, rgb, confidence)
    msg: PointCloud2 = wired(messages.cloud_message(header, cloud))
    assert (msg.height, msg.width, msg.is_dense) == (3, 4, False)
    assert (msg.point_step, msg.row_step, len(msg.data)) == (20, 80, 240)
    assert [field.name for field in msg.fields] == ["x", "y", "z", "rgb", "confidence"]
    points = points_of(msg)
    assert np.isnan(points[0]["z"])
    lower_right = points[2 * 4 + 3]
    assert [lower_right[axis] for axis in "xyz"] == [2.0, 1.0, 2.0]  # (3 - 1) / 2 * 2, (2 - 1) / 2 * 2, 2
    assert struct.unpack("<I", struct.pack("<f", lower_right["rgb"]))[0] & 0xFFFFFF == 0xC86432
    assert lower_right["confidence"] == 0.75


def test_an_organised_cloud_is_sent_again_with_other_points_and_another_header(header: Header):
    points = CloudBuilder(CameraModel(4, 3, 2.0, 2.0, 1.0, 1.0)).build(
        np.full((3, 4), 2.0, np.float32), np.full((3, 4, 3), 9, np.uint8)
    )
    cloud = messages.OrganisedCloud(points.shape, points.dtype)
    cloud.points[:] = points
    assert wired(cloud.message(header)) == messages.cloud_message(header, points)
    cloud.points["z"] = 3.0
    later = Header(stamp=stamp(), frame_id="another")
    sent = wired(cloud.message(later))
    assert sent.header == later and [point["z"] for point in points_of(sent)] == [3.0] * 12
    later.frame_id = "changed"
    assert cloud.message(header).header == header


def test_a_dense_cloud_is_one_row_of_good_points(header: Header):
    camera = CameraModel(4, 3, 2.0, 2.0, 1.0, 1.0)
    depth = np.full((3, 4), 2.0, np.float32)
    depth[1] = INF
    cloud = CloudBuilder(camera, dense=True).build(depth, np.zeros((3, 4, 3), np.uint8))
    msg = wired(messages.cloud_message(header, cloud))
    assert (msg.height, msg.width, msg.is_dense, msg.point_step) == (1, 8, True, 16)
    assert [point["z"] for point in points_of(msg)] == [2.0] * 8
    empty = wired(messages.cloud_message(header, cloud[:0]))
    assert (empty.height, empty.width, len(empty.data)) == (1, 0, 0)
    assert [field.offset for field in empty.fields] == [0, 4, 8, 12]


def test_a_scan_is_seen_from_its_own_frame_at_the_time_of_the_image(header: Header):
    ranges = np.array([1.0, NAN, INF, -INF, 2.5], np.float32)
    msg: LaserScan = wired(messages.scan_message(header, Scan(-0.5, 0.5, 0.25, 0.3, 10.0, ranges), "camera_link"))
    assert (msg.header.stamp, msg.header.frame_id) == (stamp(), "camera_link")
    assert (msg.angle_min, msg.angle_max, msg.angle_increment) == (-0.5, 0.5, 0.25)
    assert (msg.range_min, msg.range_max) == (pytest.approx(0.3), 10.0)
    np.testing.assert_array_equal(msg.ranges, ranges)
    assert header.frame_id == FRAME


def test_every_header_equals_the_images_and_is_a_copy(header: Header):
    ones = np.ones((2, 2), np.float32)
    made = [
        messages.depth_message(header, ones),
        messages.depth_message(header, ones, "16UC1"),
        messages.confidence_message(header, ones),
        messages.rgb_message(header, np.zeros((2, 2, 3), np.uint8)),
        messages.camera_info_message(header, CameraModel.nyu()),
        messages.cloud_message(header, np.zeros((2, 2), [("x", "<f4"), ("y", "<f4"), ("z", "<f4")])),
    ]
    for msg in made:
        assert wired(msg).header == header
    header.stamp.sec, header.frame_id = 5, "elsewhere"
    for msg in made:
        assert (msg.header.stamp, msg.header.frame_id) == (stamp(), FRAME)
