"""Messages out: arrays to sensor_msgs, with the stamp and the frame of the image they were computed from."""

import array
import struct
import sys

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan, PointCloud2, PointField
from std_msgs.msg import Header

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.io.raw import millimetres
from mono_depth_ros.scan import Scan

DEPTH_ENCODINGS = ("32FC1", "16UC1")

_BIG_ENDIAN = sys.byteorder == "big"
_NO_DISTORTION = [0.0] * 5


def depth_message(header: Header, depth: NDArray[np.float32], encoding: str = "32FC1") -> Image:
    """Depth image (REP-118) of depth (H, W) float32 in metres, in which NaN and +-Inf mean what REP-117 says.

    `32FC1` carries the metres as they are; `16UC1` millimetres, 0 for all that is not a depth of 1 mm to 65.535 m.
    Raises ValueError for another encoding.
    """
    if encoding == "32FC1":
        return _image(header, depth.astype(np.float32, copy=False), encoding)
    if encoding == "16UC1":
        return _image(header, millimetres(depth), encoding)
    raise ValueError(f"depth encoding {encoding!r}; expected one of {', '.join(DEPTH_ENCODINGS)}")


def compressed_depth_message(
    header: Header, depth: NDArray[np.float32], encoding: str, nearest: float
) -> CompressedImage:
    """The depth image as image_transport's compressedDepth has it: a header of 12 bytes, and a PNG of 16 bits.

    Its decoders read `16UC1` as millimetres; of `32FC1`, the code 0 as NaN and any other as a / (code - b). With b = 1,
    code 1 is a / 0 = +Inf, and code 65535 `nearest`, with a = 65534 nearest: so far is told from unknown, as by no
    other b. What is nearer, and -Inf, becomes `nearest` (1 cm at least); the step is depth^2 / a, 1.5 cm at 10 m where
    that is 0.1 m.
    """
    if encoding == "16UC1":
        head, codes = struct.pack("<iff", 0, 0, 0), millimetres(depth)
    else:
        nearest = max(nearest, 0.01)
        head = struct.pack("<iff", 0, 65534 * nearest, 1)
        codes = np.rint(np.float32(65534 * nearest) / np.maximum(depth, np.float32(nearest)) + 1)  # NaN stays
        codes = np.nan_to_num(codes).astype(np.uint16)
    _, png = cv2.imencode(".png", codes, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return _compressed(header, f"{encoding}; compressedDepth png", head + png.tobytes())


def jpeg_message(header: Header, rgb: NDArray[np.uint8]) -> CompressedImage:
    """A picture (H, W, 3) uint8 as image_transport's compressed has it."""
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return _compressed(header, "rgb8; jpeg compressed bgr8", jpeg.tobytes())


def confidence_message(header: Header, confidence: NDArray[np.float32]) -> Image:
    """Image 32FC1 of confidence (H, W) float32 in [0, 1]."""
    return _image(header, confidence.astype(np.float32, copy=False), "32FC1")


def rgb_message(header: Header, rgb: NDArray[np.uint8]) -> Image:
    """Image rgb8 of a picture (H, W, 3) uint8."""
    return _image(header, rgb, "rgb8")


def camera_info_message(header: Header, camera: CameraModel) -> CameraInfo:
    """CameraInfo of a camera, such as the one that the published depth belongs to.

    Without a projection of its own P is K, without a rotation R is the identity; D and the distortion model are its
    own, or five zeros of plumb_bob. Binning and region of interest are unset: they are in the intrinsics already.
    """
    fx, fy, cx, cy = intrinsics = camera.fx, camera.fy, camera.cx, camera.cy
    px, py, pcx, pcy = camera.projection or intrinsics
    return CameraInfo(
        header=_copy(header),
        height=camera.height,
        width=camera.width,
        distortion_model=camera.distortion_model or "plumb_bob",
        d=list(camera.distortion) or _NO_DISTORTION,
        k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
        r=list(camera.rotation) or [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[px, 0.0, pcx, 0.0, 0.0, py, pcy, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def cloud_message(header: Header, points: NDArray) -> PointCloud2:
    """PointCloud2 of structured points with float32 fields x, y, z, rgb and perhaps confidence.

    Shape (H, W): organised, bad points NaN, is_dense false. Shape (N,): every point finite, is_dense true.
    """
    height, width = points.shape if points.ndim == 2 else (1, points.shape[0])
    msg = PointCloud2(
        header=_copy(header),
        height=height,
        width=width,
        fields=[
            PointField(name=name, offset=offset, datatype=PointField.FLOAT32, count=1)
            for name, (_, offset, *_) in (points.dtype.fields or {}).items()
        ],
        is_bigendian=_BIG_ENDIAN,
        point_step=points.itemsize,
        row_step=points.itemsize * width,
        is_dense=points.ndim == 1,
    )
    _fill(msg.data, points)
    return msg


class OrganisedCloud:
    """A PointCloud2 that is sent again and again: its `points`, (H, W), are written in place, and never copied."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self._message = cloud_message(Header(), np.zeros(shape, dtype))
        self.points = np.frombuffer(self._message.data, dtype).reshape(shape)

    def message(self, header: Header) -> PointCloud2:
        """The message of what the points are now, good until they change."""
        self._message.header = _copy(header)
        return self._message


def scan_message(header: Header, scan: Scan, frame_id: str) -> LaserScan:
    """LaserScan of a scan, seen from `frame_id`."""
    msg = LaserScan(
        header=Header(stamp=_copy(header).stamp, frame_id=frame_id),
        angle_min=scan.angle_min,
        angle_max=scan.angle_min + scan.angle_increment * (len(scan.ranges) - 1),
        angle_increment=scan.angle_increment,
        range_min=scan.range_min,
        range_max=scan.range_max,
    )
    _fill(msg.ranges, scan.ranges.astype(np.float32, copy=False))
    return msg


def _image(header: Header, pixels: NDArray, encoding: str) -> Image:
    height, width = pixels.shape[:2]
    msg = Image(
        header=_copy(header),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(_BIG_ENDIAN),
        step=pixels[:1].nbytes,
    )
    _fill(msg.data, pixels)
    return msg


def _compressed(header: Header, format_: str, data: bytes) -> CompressedImage:
    msg = CompressedImage(header=_copy(header), format=format_)
    msg.data.frombytes(data)
    return msg


def _fill(data: array.array, values: NDArray) -> None:
    """Put values into the empty array of a new message: assigning to its field would copy them once more."""
    data.frombytes(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)


def _copy(header: Header) -> Header:
    return Header(stamp=Time(sec=header.stamp.sec, nanosec=header.stamp.nanosec), frame_id=header.frame_id)
