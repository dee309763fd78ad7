"""From a prediction to the messages that somebody wants of it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image, LaserScan, PointCloud2
from std_msgs.msg import Header

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.pointcloud import CloudBuilder
from mono_depth_ros.preview import DepthPreview
from mono_depth_ros.ros import messages
from mono_depth_ros.ros import outputs as topics
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.ros.problems import Problems
from mono_depth_ros.scan import ClearingPoints, ScanBuilder, for_mavlink

AREA = "outputs"
_XYZ = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
_Builder = TypeVar("_Builder")


@dataclass(frozen=True)
class Result:
    """One frame with its depth: all of one size and of one pinhole camera, None where that is unknown.

    rgb (H, W, 3) uint8; depth (H, W) float32, metres with REP-117's values; confidence (H, W) float32 or None;
    farthest: metres beyond which depth is +Inf, so that nothing is known to be free farther than that.
    """

    header: Header
    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    confidence: NDArray[np.float32] | None
    camera: CameraModel | None
    farthest: float


class Composer:
    """Makes messages; keeps the builders, whose tables depend on the camera and the settings, from frame to frame.

    An organised cloud is always the same message: publish it before the next frame is composed.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._builders: dict[Any, tuple[tuple, Any]] = {}

    def compose(self, result: Result, settings: Settings, wanted: Collection[str]) -> dict[str, Any]:
        """Messages by topic. What cannot be made, for want of a camera or of confidence, is left out and reported."""
        of_image = {topics.DEPTH: self._depth, topics.COLOR: self._color, topics.CONFIDENCE: self._confidence}
        composed = {topic: make(result, settings) for topic, make in of_image.items() if topic in wanted}
        if result.camera:
            of_camera = {
                topics.CAMERA_INFO: self._camera_info,
                topics.POINTS: self._points,
                topics.CLEARING_POINTS: self._clearing_points,
                topics.SCAN: self._scan,
            }
            for topic, make in of_camera.items():
                if topic in wanted:
                    composed[topic] = make(result, result.camera, settings)
        return {topic: message for topic, message in composed.items() if message is not None}

    def _depth(self, result: Result, settings: Settings) -> Image:
        return messages.depth_message(result.header, result.depth, settings.depth_format)

    def _color(self, result: Result, settings: Settings) -> Image:
        preview = self._built(DepthPreview, settings.min_depth, settings.max_depth)
        return messages.rgb_message(result.header, preview.render(result.depth))

    def _confidence(self, result: Result, settings: Settings) -> Image | None:
        if result.confidence is None:
            self._problems.error(AREA, "confidence", f"{topics.CONFIDENCE}: this checkpoint predicts no confidence")
            return None
        return messages.confidence_message(result.header, result.confidence)

    def _camera_info(self, result: Result, camera: CameraModel, settings: Settings) -> CameraInfo:
        return messages.camera_info_message(result.header, camera)

    def _points(self, result: Result, camera: CameraModel, settings: Settings) -> PointCloud2:
        confidence_field = settings.points_confidence and result.confidence is not None
        if settings.points_confidence and not confidence_field:
            self._problems.error(AREA, "field", "points_confidence: this checkpoint predicts no confidence; left out")
        builder = self._built(
            CloudBuilder,
            camera,
            stride=settings.points_stride,
            dense=settings.points_dense,
            max_slant=settings.max_slant,
            confidence_field=confidence_field,
        )
        if builder.dense:
            return messages.cloud_message(result.header, builder.build(result.depth, result.rgb, result.confidence))
        cloud = self._built(messages.OrganisedCloud, builder.shape, builder.dtype)
        builder.build(result.depth, result.rgb, result.confidence, cloud.points)
        return cloud.message(result.header)

    def _clearing_points(self, result: Result, camera: CameraModel, settings: Settings) -> PointCloud2:
        ends = self._built(ClearingPoints, camera, min(settings.clearing_range, result.farthest))
        return messages.cloud_message(result.header, ends.build(result.depth).view(_XYZ)[:, 0])

    def _scan(self, result: Result, camera: CameraModel, settings: Settings) -> LaserScan | None:
        optical = result.header.frame_id
        frame = settings.scan_frame or optical.replace("_optical", "")
        if frame == optical:
            text = f"{topics.SCAN}: the image's frame is {optical!r}, expected one with _optical in its name"
            self._problems.error(AREA, "frame", f"{text}, or scan_frame set")
            return None
        try:
            builder = self._built(
                ScanBuilder,
                camera,
                camera_height=settings.scan_camera_height,
                min_height=settings.scan_min_height,
                max_height=settings.scan_max_height,
                pitch=settings.scan_pitch,
                range_min=settings.min_depth,
                range_max=result.farthest,
                max_slant=settings.max_slant,
            )
        except ValueError as error:
            self._problems.error(AREA, "band", f"{topics.SCAN}: {error}; set scan_min_height, scan_max_height")
            return None
        scan = builder.build(result.depth)
        if settings.scan_format == "mavlink":
            scan = for_mavlink(scan)
        return messages.scan_message(
            result.header, scan.ranges, scan.angle_min, scan.angle_increment, scan.range_min, scan.range_max, frame
        )

    def _built(self, kind: Callable[..., _Builder], *args: Any, **options: Any) -> _Builder:
        """The builder of this kind; made anew when its arguments change."""
        arguments = (args, options)
        known = self._builders.get(kind)
        if known is None or known[0] != arguments:
            known = self._builders[kind] = arguments, kind(*args, **options)
        return known[1]
