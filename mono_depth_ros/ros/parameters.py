"""The node's parameters: defaults, descriptions, ranges, and what makes a set of values valid."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from mono_depth_ros.backends.select import BACKENDS, DEVICES, PRECISIONS
from mono_depth_ros.poses import pose_of
from mono_depth_ros.ros.distributions import given_parameters
from mono_depth_ros.ros.messages import DEPTH_ENCODINGS
from mono_depth_ros.scan import SCAN_FORMATS

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_CONFIGURED = " Takes effect in configure; cannot be changed while the node is configured."


def _text(default: str, description: str, **options: Any) -> Any:
    return dataclasses.field(default=default, metadata={"description": description, **options})


def _choice(default: str, choices: Iterable[str], description: str, **options: Any) -> Any:
    listed = tuple(choices)
    return _text(default, f"{description} One of: {', '.join(listed)}.", choices=listed, **options)


def _flag(default: bool, description: str, **options: Any) -> Any:
    return dataclasses.field(default=default, metadata={"description": description, **options})


def _pose(description: str) -> Any:
    description = f"x, y, z in metres and qx, qy, qz, qw of {description} in base_frame. All 0: ask tf2."
    return dataclasses.field(default=(0.0,) * 7, metadata={"description": description, "fixed": True})


def _number(default: float, lowest: float, highest: float, description: str, **options: Any) -> Any:
    span: dict[str, Any] = {}
    if isinstance(default, int):
        span["integer_range"] = [IntegerRange(from_value=lowest, to_value=highest, step=1)]
    else:
        span["floating_point_range"] = [FloatingPointRange(from_value=lowest, to_value=highest, step=0.0)]
    return dataclasses.field(default=default, metadata={"description": description, "span": span, **options})


@dataclass(frozen=True)
class Settings:
    """One consistent set of parameter values. Raises ValueError, naming the parameter and what is expected."""

    autostart: bool = _flag(True, "Bring the node up by itself; false leaves that to a lifecycle manager.", once=True)

    checkpoint: str = _text("", "fast, accurate, or a sealed checkpoint (.safetensors); empty: fast.", fixed=True)
    backend: str = _choice("auto", BACKENDS, "What runs the network.", fixed=True)
    device: str = _choice("auto", DEVICES, "Where it runs.", fixed=True)
    precision: str = _choice("auto", PRECISIONS, "Arithmetic of the network.", fixed=True)
    threads: int = _number(0, 0, 1024, "CPU threads of the network. 0: the backend's choice.", fixed=True)
    input_size: tuple[int, ...] = dataclasses.field(
        default=(0, 0),
        metadata={
            "description": "Height and width whose product is the network's pixel budget; the image's aspect ratio is"
            " kept. [0, 0]: the checkpoint's own.",
            "fixed": True,
        },
    )

    compressed: bool = _flag(False, "Subscribe to image/compressed (JPEG, PNG) in place of image.", fixed=True)
    image_bits: int = _number(
        0,
        0,
        16,
        "Bits that the camera uses of 16-bit samples (mono16, bayer_rggb16, ...), 8 to 16. 0: 16, until the images show"
        " where their white is.",
    )
    image_is: str = _choice(
        "auto",
        ("auto", "raw", "rectified"),
        "Whether the lens distortion in camera_info is still in the image. auto: rectified if the topic's name says so"
        " (image_rect, undistorted, rect/image, ...).",
    )
    camera_info_url: str = _text(
        "",
        "Calibration file of the camera: a path, file:///path or package://package/path. It wins over camera_info.",
        fixed=True,
    )
    camera_info_timeout: float = _number(
        1.0,
        0.0,
        60.0,
        "Seconds of images to wait for camera_info before its absence is an error, or a lens is assumed.",
    )
    assume_lens: float = _number(
        0.0,
        0.0,
        170.0,
        "Degrees across the longer side of the image that are assumed where no camera_info can be used; metres are as"
        " wrong as that. 0: nothing is assumed, and without a camera nothing is published.",
    )
    frame_id: str = _text("", "Optical frame of the camera, where the images name another; empty: theirs.")
    image_rotation: int = _number(
        0, 0, 270, "Degrees that the picture is turned clockwise to be upright for the network: 0, 90, 180, 270."
    )
    roi: tuple[int, ...] = dataclasses.field(
        default=(0, 0, 0, 0),
        metadata={
            "description": "Region of interest: x, y, width, height in pixels of the (rectified) image that all outputs"
            " are of. All 0: the whole image."
        },
    )
    max_rate: float = _number(0.0, 0.0, 1000.0, "Hz; of images that come faster, some are dropped. 0: none.")
    max_age: float = _number(
        0.0, 0.0, 3600.0, "Seconds after its stamp at which a frame is too old to publish and is dropped. 0: never."
    )

    depth_format: str = _choice("32FC1", DEPTH_ENCODINGS, "Encoding of depth: metres, or millimetres with 0 invalid.")
    min_depth: float = _number(0.1, 0.0, 1000.0, "Metres; depth below it is published as -Inf (REP-117).")
    max_depth: float = _number(
        10.0,
        0.1,
        1000.0,
        "Metres; depth above it, or near the end of what the network can say for this lens, is published as +Inf"
        " (REP-117). Far end of the preview's colours.",
    )
    min_confidence: float = _number(
        0.0, 0.0, 1.0, "Depth less sure than this to be within 25 % of the truth is published as NaN. 0: all."
    )

    max_slant: float = _number(
        80.0,
        1.0,
        90.0,
        "Degrees between a surface and the image plane along the line of sight beyond which a pixel of depth/points is"
        " taken to hang in the air at a depth edge. 90: keep all.",
    )
    points_stride: int = _number(1, 1, 64, "Take every n-th pixel of every n-th row into depth/points.")
    points_dense: bool = _flag(False, "Publish depth/points as a list without the invalid points, not as a grid.")
    points_confidence: bool = _flag(False, "Give depth/points a fifth field, confidence (float32, 0 to 1).")

    points_frame: str = _text(
        "",
        "Frame of depth/points and depth/clearing_points, such as a level one on the floor: tf2 (or camera_pose, where"
        " it is base_frame) says where it is. Empty: the image's.",
    )
    points_min_height: float = _number(
        -100.0, -100.0, 100.0, "Metres; points that are lower in points_frame are left out."
    )
    points_max_height: float = _number(
        100.0, -100.0, 100.0, "Metres; points that are higher in points_frame are left out."
    )

    clearing_range: float = _number(
        5.0, 0.1, 1000.0, "Metres at which rays of depth/clearing_points end; less where depth does not reach so far."
    )

    scan_format: str = _choice(
        "ros",
        SCAN_FORMATS,
        "How scan counts. ros: counter-clockwise, REP-117. mavlink: for mavros, clockwise in bins of 5 degrees, free is"
        " 0.01 m beyond range_max.",
    )
    scan_frame: str = _text("", "Level frame of scan (x forward, z up); empty: the image's without its _optical.")
    scan_camera_height: float = _number(
        0.0, -100.0, 100.0, "Metres of the camera above the level from which the heights of scan count."
    )
    scan_min_height: float = _number(-0.1, -100.0, 100.0, "Metres; lower end of the band that scan looks at.")
    scan_max_height: float = _number(0.1, -100.0, 100.0, "Metres; upper end of the band that scan looks at.")
    scan_rotation: str = _choice(
        "auto",
        ("auto", "tf", "parameters"),
        "Where scan takes from how the camera is turned in scan_frame. tf: from tf2. parameters: from scan_roll,"
        " scan_pitch, scan_yaw. auto: from these if one is not 0, else from tf2 where scan_frame is set and tf2 knows"
        " it; scan_format mavlink is refused where neither says.",
    )
    scan_roll: float = _number(0.0, -3.2, 3.2, "Radians that the camera leans to its right, for scan.")
    scan_pitch: float = _number(0.0, -1.5, 1.5, "Radians that the camera looks down, for scan.")
    scan_yaw: float = _number(0.0, -6.3, 6.3, "Radians that the camera looks to the left of x of scan_frame, for scan.")
    scan_attitude: bool = _flag(
        False, "Level scan by the attitude of the vehicle, of which imu tells (sensor_msgs/Imu), too.", fixed=True
    )

    anchor_range: bool = _flag(False, "Correct depth by anchors/range (sensor_msgs/Range).", fixed=True)
    anchor_range_pose: tuple[float, ...] = _pose("the rangefinder, which looks along its x,")
    anchor_range_sigma: float = _number(0.03, 0.001, 1.0, "Standard deviation of a range, as a share of it.")
    anchor_scan: bool = _flag(False, "Correct depth by anchors/scan (LaserScan of another sensor).", fixed=True)
    anchor_scan_pose: tuple[float, ...] = _pose("the laser scanner")
    anchor_scan_sigma: float = _number(0.02, 0.001, 1.0, "Standard deviation of a range, as a share of it.")
    anchor_points: bool = _flag(
        False, "Correct depth by anchors/points (PointCloud2: time-of-flight, lidar, points of SLAM).", fixed=True
    )
    anchor_points_pose: tuple[float, ...] = _pose("the frame of the points")
    anchor_points_sigma: float = _number(
        0.05, 0.001, 1.0, "Standard deviation of a distance, as a share of it, of points without a field for it."
    )
    anchor_max_age: float = _number(
        0.25, 0.0, 10.0, "Seconds between an image and another sensor's message beyond which that says nothing of it."
    )
    anchor_speed: float = _number(
        0.5, 0.0, 100.0, "Metres a second that the robot may move: without odometry, anchors get less sure with age."
    )
    odometry: bool = _flag(False, "Listen to odom (Odometry), to move anchors to the time of the image.", fixed=True)
    landmarks: bool = _flag(
        False, "Correct depth by corners that are triangulated with odom, without any other sensor.", fixed=True
    )
    base_frame: str = _text("base_link", "Frame of the robot, where odometry does not name it.", fixed=True)
    camera_pose: tuple[float, ...] = _pose("the camera's optical frame")

    age_warning: float = _number(0.3, 0.0, 3600.0, "Seconds; diagnostics warn when p95 of age at publish is more.")
    age_error: float = _number(1.0, 0.0, 3600.0, "Seconds; diagnostics report an error when it is more.")
    image_timeout: float = _number(2.0, 0.1, 3600.0, "Seconds without an image after which diagnostics report it.")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, choices = getattr(self, field.name), field.metadata.get("choices")
            if choices and value not in choices:
                raise ValueError(f"{field.name}: found {value!r}, expected one of {', '.join(choices)}")
            for (span,) in field.metadata.get("span", {}).values():
                if not span.from_value <= value <= span.to_value:
                    raise ValueError(f"{field.name}: found {value}, expected {span.from_value} to {span.to_value}")
        if 0 < self.image_bits < 8:
            raise ValueError(f"image_bits: found {self.image_bits}, expected 8 to 16, or 0 to find out")
        sizes = self.input_size
        if len(sizes) != 2 or (tuple(sizes) != (0, 0) and not all(32 <= n <= 8192 for n in sizes)):
            raise ValueError(f"input_size: found {list(sizes)}, expected [height, width] of 32 to 8192 each, or [0, 0]")
        if self.image_rotation % 90:
            raise ValueError(f"image_rotation: found {self.image_rotation}, expected 0, 90, 180 or 270")
        roi = self.roi
        if len(roi) != 4 or (any(roi) and not (min(roi[:2]) >= 0 and min(roi[2:]) >= 32)):
            expected = "expected [x, y, width, height] in the image, sides of 32 or more, or [0, 0, 0, 0]"
            raise ValueError(f"roi: found {list(roi)}, {expected}")
        for name in ("camera_pose", *(f"anchor_{sensor}_pose" for sensor in ("range", "scan", "points"))):
            if any(numbers := getattr(self, name)):
                try:
                    pose_of(numbers)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from error
        self._ascending("min_depth", "max_depth")
        self._ascending("scan_min_height", "scan_max_height")
        self._ascending("points_min_height", "points_max_height")
        self._ascending("age_warning", "age_error")

    def changed(self, values: Mapping[str, Any]) -> "Settings":
        """These settings with other values for some; names that are not settings are passed over."""
        fields = {field.name: field for field in dataclasses.fields(self)}
        return dataclasses.replace(
            self, **{n: _fitting(n, v, fields[n].default) for n, v in values.items() if n in fields}
        )

    def fixed_changes(self, other: "Settings") -> list[str]:
        """Names of the settings that differ and cannot be changed while the node is configured."""
        fixed = (field.name for field in dataclasses.fields(self) if field.metadata.get("fixed"))
        return [name for name in fixed if getattr(self, name) != getattr(other, name)]

    def _ascending(self, low: str, high: str) -> None:
        if not getattr(self, low) < getattr(self, high):
            raise ValueError(f"{low}: found {getattr(self, low)}, expected less than {high} ({getattr(self, high)})")


def declare(node: Node) -> Settings:
    """Declare every parameter and read what the node was started with.

    Their types are judged by Settings, which takes whole numbers for floating ones and names what it refuses, as
    rclpy's own check does not. Raises ValueError, or rclpy's ParameterException for a value out of range.
    """
    values = {}
    for field in dataclasses.fields(Settings):
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        values[field.name] = node.declare_parameter(field.name, default, _descriptor(field)).value
    return Settings().changed(values)


def unknown_names(node: Node) -> dict[str, str | None]:
    """Names that were given but not declared, each with the name of the setting it was probably meant to be."""
    unknown = sorted(name for name in given_parameters(node) if not node.has_parameter(name))
    settings = [field.name for field in dataclasses.fields(Settings)]
    return {name: next(iter(difflib.get_close_matches(name, settings, n=1, cutoff=0.8)), None) for name in unknown}


def _descriptor(field: "dataclasses.Field[Any]") -> ParameterDescriptor:
    facts = field.metadata
    description = facts["description"] + (_CONFIGURED if facts.get("fixed") else "")
    once = facts.get("once", False)
    return ParameterDescriptor(description=description, read_only=once, dynamic_typing=True, **facts.get("span", {}))


def _fitting(name: str, value: Any, default: Any) -> Any:
    """The value in the type of the default, which whole numbers have, too. Raises ValueError."""
    if isinstance(default, tuple):
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            raise ValueError(f"{name}: found {value!r}, expected a list of {len(default)} numbers")
        return tuple(_fitting(name, item, default[0]) for item in value)
    kind = type(default)
    if type(value) is int and kind is float:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{name}: found {value!r}, expected {_KINDS[kind]}")
    return value
