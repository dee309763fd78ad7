"""Where things are: poses from parameters, and from odometry over time.

A pose is a (4, 4) float64 matrix from the frame it belongs to, to the frame that it is given in; metres.
"""

import threading
from bisect import bisect
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pose = NDArray[np.float64]

_KEPT = 10.0  # seconds of odometry
# Seconds: between two messages that a pose is interpolated from, and after the last one that still holds.
_GAP, _HOLD = 0.5, 0.1


class PoseUnknownError(ValueError):
    """Nobody says where a frame is; the text says who was asked."""


def pose_of(numbers: Sequence[float]) -> Pose:
    """The pose of x, y, z (metres), qx, qy, qz, qw; ValueError for anything else."""
    values = np.asarray(numbers, np.float64)
    if values.shape != (7,) or not np.isfinite(values).all() or not 0.9 < np.linalg.norm(values[3:]) < 1.1:
        raise ValueError(f"found {list(numbers)}, expected x y z qx qy qz qw with a quaternion of length 1")
    pose = np.eye(4)
    pose[:3, :3] = rotation_of(values[3:])
    pose[:3, 3] = values[:3]
    return pose


def rotation_of(quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) rotation of x, y, z, w (which need not be of length 1 exactly)."""
    x, y, z, w = quaternion / np.linalg.norm(quaternion)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


def inverse(pose: Pose) -> Pose:
    """The pose the other way round."""
    result = np.eye(4)
    result[:3, :3] = pose[:3, :3].T
    result[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    return result


class Track:
    """Poses of the robot in the odometry frame over the last seconds; safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stamps: deque[float] = deque()
        self._poses: deque[tuple[NDArray[np.float64], NDArray[np.float64]]] = deque()

    def add(self, stamp: float, position: Sequence[float], quaternion: Sequence[float]) -> float:
        """Take in one pose; time that goes back starts the track anew: by how many seconds it did, else 0.

        Raises ValueError for what is no pose.
        """
        place, turn = np.asarray(position, np.float64), np.asarray(quaternion, np.float64)
        length = np.linalg.norm(turn)
        if not np.isfinite(place).all() or not 0.9 < length < 1.1:
            raise ValueError(f"found position {list(position)}, orientation {list(quaternion)}, expected a pose")
        with self._lock:
            if self._stamps and stamp == self._stamps[-1]:
                return 0.0
            back = self._stamps[-1] - stamp if self._stamps and stamp < self._stamps[-1] else 0.0
            if back:
                self._stamps.clear()
                self._poses.clear()
            self._stamps.append(stamp)
            self._poses.append((place, turn / length))
            while self._stamps[-1] - self._stamps[0] > _KEPT:
                self._stamps.popleft()
                self._poses.popleft()
            return back

    def at(self, stamp: float) -> Pose | None:
        """The pose at a time, between two messages that are near enough; None where odometry does not reach."""
        with self._lock:
            after = bisect(self._stamps, stamp)
            if not after:
                return None
            if after == len(self._stamps):
                if stamp - self._stamps[-1] > _HOLD:
                    return None
                earlier = later = after - 1
            else:
                earlier, later = after - 1, after
            begin, end = self._stamps[earlier], self._stamps[later]
            (place, turn), (next_place, next_turn) = self._poses[earlier], self._poses[later]
        if end - begin > _GAP:
            return None
        share = (stamp - begin) / (end - begin) if end > begin else 0.0
        # Normalised linear interpolation: within 0.02 degrees of the great arc where the messages are 10 degrees apart.
        nearest = next_turn if turn @ next_turn >= 0 else -next_turn
        pose = np.eye(4)
        pose[:3, :3] = rotation_of((1 - share) * turn + share * nearest)
        pose[:3, 3] = (1 - share) * place + share * next_place
        return pose

    def receive(self, message: Any) -> float:
        """Take in an Odometry; see `add`."""
        p, q = message.pose.pose.position, message.pose.pose.orientation
        return self.add(seconds(message.header.stamp), (p.x, p.y, p.z), (q.x, q.y, q.z, q.w))


def seconds(stamp: Any) -> float:
    """A message's stamp (builtin_interfaces/Time) in seconds."""
    return stamp.sec + 1e-9 * stamp.nanosec
