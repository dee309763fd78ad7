"""Where things are by tf2, where a distribution has it."""

from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.time import Time

from mono_depth_ros.poses import Pose, PoseUnknownError, pose_of


class Tree:
    """tf2's tree of frames, where a distribution has it; it is listened to from the first question on."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._buffer: Any = None
        self._listener: Any = None

    def pose(self, frame: str, within: str, stamp: Time) -> Pose:
        """Pose of a frame within another at a time; never waits. Raises PoseUnknownError."""
        if frame == within:
            return np.eye(4)
        question = f"where is {frame!r} in {within!r}?"
        if self._buffer is None:
            try:
                import tf2_ros
            except ImportError as error:
                raise PoseUnknownError(f"{question} tf2_ros is not installed") from error
            self._buffer = tf2_ros.Buffer()
            self._listener = tf2_ros.TransformListener(self._buffer, self._node)
        try:
            found = self._buffer.lookup_transform(within, frame, stamp).transform
        except Exception as error:  # tf2's errors have no base of their own
            raise PoseUnknownError(f"{question} tf2: {error}") from error
        t, q = found.translation, found.rotation
        return pose_of((t.x, t.y, t.z, q.x, q.y, q.z, q.w))

    def close(self) -> None:
        """Listen no more."""
        if self._listener:
            self._listener.unregister()
        self._buffer = self._listener = None
