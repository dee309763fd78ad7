"""Reader of a rosbag2 without a depth camera: what a laser scanner, a cloud or the robot's own motion knows is true.

It is known of few pixels, which is enough to fine-tune: a loss counts known pixels alone.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.camera import CameraModel, Rectifier
from mono_depth_ros.estimator import DepthEstimator
from mono_depth_ros.fusion import NO_ANCHORS, Anchors
from mono_depth_ros.io import bag as bags
from mono_depth_ros.landmarks import Landmarks
from mono_depth_ros.poses import Pose, PoseUnknownError, Track, inverse, pose_of, seconds
from mono_depth_ros.readings import ReadingError, of_cloud, of_scan, projected
from training.data.checks import checked_frame
from training.data.frame import BadFrameError, RgbdFrame
from training.data.rosbag2 import Rosbag2

# A point becomes a square of so many pixels of 640, or resizing would lose it.
_SIDE = 5 / 640
_SIGMA = 0.02  # of ln depth; nothing here reads it
_STATIC = "/tf_static"


class SparseBag(Rosbag2):
    """Colour images with the depth that another sensor knew at the time.

    Args:
        bag: the bag's folder.
        color: topic of Image or CompressedImage.
        depth: topic of LaserScan, PointCloud2 or Odometry. From the last, corners of the images are triangulated while
            the camera moves, as the node's ``landmarks`` does; all images of the bag are looked at once.
        camera_info: topic of the colour camera's CameraInfo.
        sensor_pose: x y z (metres) qx qy qz qw of the sensor in the robot's base frame; None asks the bag's /tf_static.
        camera_pose: the same of the camera's optical frame (of Odometry, in its child_frame_id).
        tolerance: seconds between image and message, at most; the robot's motion in between is not taken back.
        rows: half-open ranges of positions among the pairs, in order of time.
        every: of those, take every n-th.

    Raises FileNotFoundError or ValueError for a missing or broken bag or topic, or a pose that nobody knows.
    """

    def __init__(
        self,
        bag: Path,
        color: str,
        depth: str,
        camera_info: str,
        sensor_pose: tuple[float, ...] | None = None,
        camera_pose: tuple[float, ...] | None = None,
        tolerance: float = 0.05,
        rows: Sequence[tuple[int, int]] | None = None,
        every: int = 1,
    ) -> None:
        super().__init__(bag, color, depth, camera_info, tolerance, rows, every)
        self.sensor_pose, self.camera_pose = sensor_pose, camera_pose
        self._rectifier = Rectifier(self.camera)
        first = next(self._messages(depth))[1]
        self._read = {"LaserScan": of_scan, "PointCloud2": of_cloud}.get(first.__msgtype__.rpartition("/")[2])
        if self._read:
            self._pose = self._pose_of_sensor(first.header.frame_id)
        elif first.__msgtype__.endswith("/Odometry"):
            self._landmarks = dict(self._of_motion(first.child_frame_id))
        else:
            expected = "sensor_msgs/msg/LaserScan, PointCloud2 or nav_msgs/msg/Odometry"
            raise ValueError(f"{self.source}: {depth}: found {first.__msgtype__}, expected {expected}")

    def __getitem__(self, index: int) -> RgbdFrame:
        """Read one image, rectified, and what is known of it."""
        time, depth_time = self.pairs[index]
        rgb, camera = self._rgb(time), self._rectifier.camera
        sources = f"{self.source}: {self.color} at {time}", f"{self.source}: {self.depth} at {depth_time}"
        if self._read:
            try:
                reading = self._read(self._message(self.depth, depth_time), _SIGMA)
            except ReadingError as error:
                raise BadFrameError(f"{sources[1]}: {error}") from error
            anchors = projected(reading, self._pose, 0.0, camera)
        else:
            anchors = self._landmarks[time]
        return checked_frame(f"{self.source.name}/{time}", rgb, depth_image(anchors, camera), camera, sources)

    def _rgb(self, time: int) -> NDArray[np.uint8]:
        rgb = self._decoded(partial(bags.decode_color, white=self._white), self.color, time)
        return self._rectifier.rectify(rgb)

    def _pose_of_sensor(self, frame: str) -> Pose:
        """In the camera's optical frame."""
        if self.sensor_pose:
            return inverse(self._pose_of_camera("base_link")) @ pose_of(self.sensor_pose)
        return self._asked("sensor_pose", frame, self._frame_of_camera)

    def _pose_of_camera(self, base: str) -> Pose:
        if self.camera_pose:
            return pose_of(self.camera_pose)
        return self._asked("camera_pose", self._frame_of_camera, base)

    @cached_property
    def _frame_of_camera(self) -> str:
        return next(self._messages(self.color))[1].header.frame_id

    def _asked(self, parameter: str, frame: str, within: str) -> Pose:
        messages = self._messages(_STATIC) if self._has(_STATIC) else iter(())
        try:
            return static_pose([t for _, message in messages for t in message.transforms], frame, within)
        except PoseUnknownError as error:
            raise ValueError(f"{self.source}: {error}; mend that, or set {parameter}") from error

    def _of_motion(self, base: str) -> Iterator[tuple[int, Anchors]]:
        """By time of recording, the landmarks of each image; the network that ships says where to look for a corner."""
        camera, place = self._rectifier.camera, self._pose_of_camera(base)
        estimator, landmarks, track = DepthEstimator.load(), Landmarks(), Track()
        odometry = (message for _, message in self._messages(self.depth))
        ahead = next(odometry, None)
        for stamp, time in self._stamps(self.color):
            while ahead is not None and seconds(ahead.header.stamp) <= stamp / 1e9 + 0.5:
                track.receive(ahead)
                ahead = next(odometry, None)
            robot = track.at(stamp / 1e9)
            anchors = NO_ANCHORS
            if robot is not None:
                rgb = self._rgb(time)
                gray = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
                depth = estimator.predict(rgb, camera).depth
                seen = self._rectifier.valid_mask
                anchors = landmarks.update(gray, depth, camera, robot @ place, stamp / 1e9, seen)
            yield time, anchors


def static_pose(transforms: Sequence[Any], frame: str, within: str) -> Pose:
    """Pose of a frame within another, by geometry_msgs/TransformStamped that do not change.

    Raises:
        PoseUnknownError: the transforms do not connect the two.
    """
    parents = {t.child_frame_id: t for t in transforms}

    def chain(name: str) -> tuple[str, Pose]:
        """The root that a frame hangs from, and its pose there."""
        pose = np.eye(4)
        for _ in parents:
            if name not in parents:
                break
            t, name = parents[name].transform, parents[name].header.frame_id
            numbers = (t.translation, "xyz"), (t.rotation, "xyzw")
            pose = pose_of([getattr(part, axis) for part, axes in numbers for axis in axes]) @ pose
        return name, pose

    (root, pose), (other_root, other) = chain(frame), chain(within)
    if root != other_root:
        raise PoseUnknownError(f"where is {frame!r} in {within!r}? {_STATIC} does not connect them")
    return inverse(other) @ pose


def depth_image(anchors: Anchors, camera: CameraModel) -> NDArray[np.float32]:
    """(H, W) metres, 0 where unknown: a small square for each depth that was measured, the nearer one on top."""
    measured = anchors[anchors.bound == 0]
    column, row = np.rint(measured.u).astype(int), np.rint(measured.v).astype(int)
    reach = round((_SIDE * max(camera.width, camera.height) - 1) / 2)
    depth = np.full((camera.height, camera.width), np.inf, np.float32)
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            v, u = np.clip(row + down, 0, camera.height - 1), np.clip(column + right, 0, camera.width - 1)
            np.minimum.at(depth, (v, u), measured.depth.astype(np.float32))
    depth[np.isinf(depth)] = 0
    return depth
