"""How the camera is turned in the scan's level frame: by tf2, where it is installed, by parameters, by attitude."""

import math
import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import Imu
from std_msgs.msg import Header

from mono_depth_ros.poses import Pose, PoseUnknownError, pose_of, rotation_of
from mono_depth_ros.ros.frames import Tree
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.ros.qos import IMU_INPUT, OVERRIDABLE

_OLDEST_ATTITUDE = 0.5  # seconds
_ASIDE = 0.3  # metres from the scan's frame that a camera may be off without a word
_STEP = 0.02  # rad; finer turns than this are one, so that the scan's tables are kept
_BODY_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
_UP_FROM_DOWN = np.diag([1.0, -1.0, -1.0])  # a frame of x forward, y right, z down in one of y left, z up


class Turn(NamedTuple):
    """Radians about x, y, z of the level frame, as `ScanBuilder` takes them."""

    roll: float = 0.0
    pitch: float = 0.0
    yaw: float = 0.0


class Orientation:
    """Asks tf2 and the attitude topic; `close` ends the latter."""

    def __init__(self, node: Node, tree: Tree, attitude: bool) -> None:
        self._node, self._tree = node, tree
        self._attitude: tuple[float, Imu] | None = None
        self._subscription = None
        if attitude:
            self._subscription = node.create_subscription(
                Imu, "imu", self._take, IMU_INPUT, qos_overriding_options=OVERRIDABLE
            )

    def close(self) -> None:
        """Take nothing more."""
        if self._subscription:
            self._node.destroy_subscription(self._subscription)
        self._subscription = None

    def of_camera(self, header: Header, frame: str, settings: Settings) -> tuple[Turn, str]:
        """How the camera of an image is turned in a scan's frame, levelled by the attitude; and what is doubted of it.

        Raises ValueError where it is not known, and a guess would be dangerous.
        """
        turn, doubt = self._mounted(header, frame, settings)
        if settings.scan_attitude:
            turn = _angles(_matrix(self._levelled()) @ _matrix(turn))
            turn = Turn(*(round(angle / _STEP) * _STEP for angle in turn))
        return turn, doubt

    def _mounted(self, header: Header, frame: str, settings: Settings) -> tuple[Turn, str]:
        given = Turn(settings.scan_roll, settings.scan_pitch, settings.scan_yaw)
        source, of_vehicle = settings.scan_rotation, settings.scan_format == "mavlink"
        # A pitch says nothing of where a camera looks round the vehicle.
        if source == "parameters" or (source == "auto" and (given.yaw if of_vehicle else any(given))):
            return given, ""
        own = frame == header.frame_id.replace("_optical", "")
        if source == "auto" and own and not of_vehicle:
            return given, ""  # consumers turn the scan by the camera's own frame
        try:
            if own and of_vehicle:
                raise PoseUnknownError("it is the camera's own, and the bins are the vehicle's; set scan_frame")
            return self._by_tf(header, frame, settings)
        except PoseUnknownError as error:
            text = f"how the camera is turned in {frame} is not known: {error}"
            remedy = "set scan_yaw (0 for a camera that looks ahead) and scan_rotation: parameters"
            if source == "auto" and not of_vehicle:
                return given, f"{text}; taken to look along its x; {remedy}"
            raise ValueError(f"{text}; {remedy}") from error

    def pose_of_camera(self, header: Header, frame: str, settings: Settings) -> Pose:
        """Where the camera of an image is in a frame: by camera_pose, or by tf2. Raises PoseUnknownError."""
        if frame == settings.base_frame and any(settings.camera_pose):
            return pose_of(settings.camera_pose)
        try:
            return self._tree.pose(header.frame_id, frame, Time.from_msg(header.stamp))
        except PoseUnknownError:  # of that moment; a camera's mount is there at every
            return self._tree.pose(header.frame_id, frame, Time())

    def _by_tf(self, header: Header, frame: str, settings: Settings) -> tuple[Turn, str]:
        pose = self.pose_of_camera(header, frame, settings)
        aside = float(np.hypot(*pose[:2, 3]))
        doubt = (
            f"the camera is {aside:.2f} m beside {frame}, and ranges count from the camera" if aside > _ASIDE else ""
        )
        level_from_optical = pose[:3, :3]
        if frame.endswith("_frd"):
            level_from_optical = _UP_FROM_DOWN @ level_from_optical
        return _angles(level_from_optical @ _BODY_FROM_OPTICAL.T), doubt

    def _take(self, msg: Imu) -> None:
        self._attitude = time.monotonic(), msg

    def _levelled(self) -> Turn:
        """Roll and pitch of the vehicle in the world; its heading is the scan's own."""
        if self._attitude is None or time.monotonic() - self._attitude[0] > _OLDEST_ATTITUDE:
            raise ValueError(f"scan_attitude: no imu has come for {_OLDEST_ATTITUDE} s; remap imu, or set it false")
        q = self._attitude[1].orientation
        numbers = np.array([q.x, q.y, q.z, q.w])
        if self._attitude[1].orientation_covariance[0] == -1 or not 0.9 < np.linalg.norm(numbers) < 1.1:  # NaN, too
            raise ValueError("scan_attitude: imu has no orientation; take the topic of a filter or an autopilot")
        return _angles(rotation_of(numbers))._replace(yaw=0.0)


def _matrix(turn: Turn) -> NDArray[np.float64]:
    (sr, cr), (sp, cp), (sy, cy) = ((math.sin(angle), math.cos(angle)) for angle in turn)
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    return about_z @ about_y @ np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])


def _angles(m: NDArray[np.float64]) -> Turn:
    """The turn that a rotation matrix is."""
    pitch = math.asin(float(np.clip(-m[2, 0], -1, 1)))
    return Turn(math.atan2(m[2, 1], m[2, 2]), pitch, math.atan2(m[1, 0], m[0, 0]))
