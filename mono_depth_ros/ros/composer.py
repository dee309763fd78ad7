"""From a prediction to the messages that somebody wants of it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image, LaserScan, PointCloud2
from std_msgs.msg import Header

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.pointcloud import CloudBuilder, EdgeFilter, placed
from mono_depth_ros.poses import PoseUnknownError
from mono_depth_ros.preview import DepthPreview
from mono_depth_ros.ros import messages, px4
from mono_depth_ros.ros import outputs as topics
from mono_depth_ros.ros.orientation import Orientation
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.ros.problems import Problems
from mono_depth_ros.scan import ClearingPoints, Scan, ScanBuilder, for_mavlink

AREA = "outputs"
_NOTHING = 0.01  # of an output that is known; less says nothing
_XYZ = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
_ALL = 90.0  # degrees of slant: the builders get a depth from which what flies has gone
_Builder = TypeVar("_Builder")
_Firm = Callable[[], NDArray[np.float32]]


@dataclass(frozen=True)
class Result:
    """One frame with its depth: all of one size and of one pinhole camera.

    rgb (H, W, 3) uint8; depth (H, W) float32, metres with REP-117's values; confidence (H, W) float32 or None;
    farthest: metres beyond which depth is +Inf, so that nothing is known to be free farther than that.
    valid_share: of the pixels, whose depth is a number. why_unknown: why others are not, where there is evidence.
    """

    header: Header
    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    confidence: NDArray[np.float32] | None
    camera: CameraModel
    farthest: float
    valid_share: float = 1.0
    why_unknown: str = ""


class Composer:
    """Makes messages; keeps the builders, whose tables depend on the camera and the settings, from frame to frame.

    An organised cloud is always the same message: publish it before the next frame is composed.
    """

    def __init__(self, orientation: Orientation, problems: Problems) -> None:
        self._orientation, self._problems = orientation, problems
        self._builders: dict[Any, tuple[tuple, Any]] = {}

    def compose(self, result: Result, settings: Settings, wanted: Collection[str]) -> dict[str, Any]:
        """Messages by topic. What cannot be made is left out and reported, as is what says nothing."""
        # What two topics need is made once.
        depth, preview, firm = (
            cache(partial(step, result, settings)) for step in (self._depth, self._preview, self._firm)
        )
        make: dict[str, Callable[[], Any]] = {
            topics.CAMERA_INFO: lambda: messages.camera_info_message(result.header, result.camera),
            topics.DEPTH: depth,
            topics.IMAGE_RECT: depth,
            topics.COMPRESSED_DEPTH: partial(self._compressed_depth, result, settings),
            topics.COLOR: lambda: messages.rgb_message(result.header, preview()),
            topics.COMPRESSED_COLOR: lambda: messages.jpeg_message(result.header, preview()),
            topics.CONFIDENCE: partial(self._confidence, result),
            topics.POINTS: partial(self._points, result, settings, firm),
            topics.CLEARING_POINTS: partial(self._clearing_points, result, settings, firm),
            topics.SCAN: partial(self._scan, result, settings, firm),
            topics.OBSTACLE_DISTANCE: partial(self._obstacle_distance, result, settings, firm),
        }
        if result.valid_share < _NOTHING:
            # Infinity says which way is free; in 16UC1 it is 0, as is NaN.
            only_millimetres = settings.depth_format == "16UC1" and topics.DEPTH in wanted
            known = 0.0 if only_millimetres else 1 - float(np.isnan(result.depth).mean())
            self._doubt_empty(topics.DEPTH, known, "pixels", result)
        if (frame := result.header.frame_id).endswith("_link"):
            text = (
                f"the images' frame {frame!r} is by its name x forward (REP-103); depth and cloud are x right, y down"
            )
            self._problems.warn(AREA, "frame", f"{text}, z forward: set frame_id to the camera's optical frame")
        composed = {topic: make[topic]() for topic in make if topic in wanted}
        return {topic: message for topic, message in composed.items() if message is not None}

    def _depth(self, result: Result, settings: Settings) -> Image:
        return messages.depth_message(result.header, result.depth, settings.depth_format)

    def _compressed_depth(self, result: Result, settings: Settings) -> CompressedImage:
        return messages.compressed_depth_message(result.header, result.depth, settings.depth_format, settings.min_depth)

    def _preview(self, result: Result, settings: Settings) -> NDArray[np.uint8]:
        return self._built(DepthPreview, settings.min_depth, settings.max_depth).render(result.depth)

    def _firm(self, result: Result, settings: Settings) -> NDArray[np.float32]:
        """The depth without the pixels that hang at its edges, of which cloud, scan and clearing points are made."""
        if settings.max_slant >= 90:
            return result.depth
        return self._built(EdgeFilter, result.camera, settings.max_slant).firm(result.depth)

    def _confidence(self, result: Result) -> Image | None:
        if result.confidence is None:
            self._problems.error(AREA, "confidence", f"{topics.CONFIDENCE}: this checkpoint predicts no confidence")
            return None
        return messages.confidence_message(result.header, result.confidence)

    def _points(self, result: Result, settings: Settings, firm: _Firm) -> PointCloud2 | None:
        confidence_field = settings.points_confidence and result.confidence is not None
        if settings.points_confidence and not confidence_field:
            self._problems.error(AREA, "field", "points_confidence: this checkpoint predicts no confidence; left out")
        builder = self._built(
            CloudBuilder,
            result.camera,
            stride=settings.points_stride,
            dense=settings.points_dense,
            max_slant=_ALL,
            confidence_field=confidence_field,
        )
        cloud = None if builder.dense else self._built(messages.OrganisedCloud, builder.shape, builder.dtype)
        points = builder.build(firm(), result.rgb, result.confidence, cloud.points if cloud else None)
        heights = settings.points_min_height, settings.points_max_height
        if not settings.points_frame and heights != (Settings.points_min_height, Settings.points_max_height):
            text = "points_min_height, points_max_height: not used, for heights count in points_frame, which is not set"
            self._problems.warn(AREA, "heights", text)
        header, points = self._placed(topics.POINTS, result, points, settings, *heights)
        if header is None:
            return None
        message = cloud.message(header) if cloud else messages.cloud_message(header, points)
        if result.valid_share > _NOTHING:  # else there is nothing to see, or depth says why
            self._doubt_empty(topics.POINTS, builder.valid_share(), "points", result, "max_slant leaves none")
        return message

    def _clearing_points(self, result: Result, settings: Settings, firm: _Firm) -> PointCloud2 | None:
        reach = min(settings.clearing_range, result.farthest)
        ends = self._built(ClearingPoints, result.camera, reach, max_slant=_ALL)
        points = ends.build(firm()).view(_XYZ)[:, 0]
        header, points = self._placed(topics.CLEARING_POINTS, result, points, settings)
        return header and messages.cloud_message(header, points)

    def _placed(
        self,
        topic: str,
        result: Result,
        points: NDArray,
        settings: Settings,
        lowest: float = -np.inf,
        highest: float = np.inf,
    ) -> tuple[Header | None, NDArray]:
        """Points, and the header with their frame: points_frame, or the image's; None where nobody knows its pose."""
        header, frame = result.header, settings.points_frame
        if not frame:
            return header, points
        try:
            pose = self._orientation.pose_of_camera(header, frame, settings)
        except PoseUnknownError as error:
            self._problems.error(AREA, "points_frame", f"{topic} cannot be made: {error}")
            return None, points
        return Header(stamp=header.stamp, frame_id=frame), placed(points, pose, lowest, highest)

    def _scan(self, result: Result, settings: Settings, firm: _Firm) -> LaserScan | None:
        known = self._scanned(result, settings, firm, topics.SCAN)
        return known and messages.scan_message(result.header, *known)

    def _obstacle_distance(self, result: Result, settings: Settings, firm: _Firm) -> Any:
        if settings.scan_format != "mavlink":
            text = f"{topics.OBSTACLE_DISTANCE}: found scan_format {settings.scan_format}, expected mavlink"
            self._problems.error(AREA, "obstacle_distance", text)
            return None
        known = self._scanned(result, settings, firm, topics.OBSTACLE_DISTANCE)
        return known and px4.obstacle_distance(known[0], result.header.stamp)

    def _scanned(self, result: Result, settings: Settings, firm: _Firm, topic: str) -> tuple[Scan, str] | None:
        """The scan and its frame; None where it cannot be made, which is reported."""
        optical = result.header.frame_id
        frame = settings.scan_frame or optical.replace("_optical", "")
        if frame == optical:
            text = f"{topic}: the image's frame is {optical!r}, expected one with _optical in its name"
            self._problems.error(AREA, "frame", f"{text}, or scan_frame set")
            return None
        try:
            if result.farthest <= settings.min_depth:
                raise ValueError(result.why_unknown)
            (roll, pitch, yaw), doubt = self._orientation.of_camera(result.header, frame, settings)
            if doubt:
                self._problems.warn(AREA, "turn", f"{topic}: {doubt}")
            builder = self._built(
                ScanBuilder,
                result.camera,
                camera_height=settings.scan_camera_height,
                min_height=settings.scan_min_height,
                max_height=settings.scan_max_height,
                roll=roll,
                pitch=pitch,
                yaw=yaw,
                range_min=settings.min_depth,
                range_max=result.farthest,
                max_slant=_ALL,
            )
        except ValueError as error:
            self._problems.error(AREA, "scan", f"{topic} cannot be made: {error}")
            return None
        scan = builder.build(firm())
        if settings.scan_format == "mavlink":
            scan = for_mavlink(scan)
        self._doubt_empty(topic, 1 - float(np.isnan(scan.ranges).mean()), "bearings", result)
        if not builder.can_be_free:
            text = f"{topic}: no bearing can be called free: the band of heights is not wholly in view at"
            self._problems.warn(
                AREA, "view", f"{text} {result.farthest:.1f} m; narrow scan_min_height, scan_max_height"
            )
        return scan, frame

    def _doubt_empty(self, topic: str, known: float, parts: str, result: Result, cause: str = "") -> None:
        """Report an output of which next to nothing is known."""
        if known < _NOTHING:
            cause = result.why_unknown or cause
            text = f"{topic} says nothing: {100 * known:.0f} % of its {parts} are known"
            self._problems.error(AREA, f"empty {topic}", f"{text}; {cause}" if cause else text)

    def _built(self, kind: Callable[..., _Builder], *args: Any, **options: Any) -> _Builder:
        """The builder of this kind, or the ValueError that its arguments make; anew when its arguments change."""
        arguments = (args, options)
        known = self._builders.get(kind)
        if known is None or known[0] != arguments:
            try:
                known = arguments, kind(*args, **options)
            except ValueError as error:
                known = arguments, error
            self._builders[kind] = known
        if isinstance(known[1], ValueError):
            raise known[1]
        return known[1]
