"""A smooth closed path through a room that keeps its distance from everything."""

import numpy as np

from test.rooms.renderer import Pose
from test.rooms.room import Room

CLEARANCE = 0.35  # metres between the lens and anything at its height
LOOP = 14.0  # seconds once around

_CANDIDATES = 400
_RESOLUTION = 0.05  # metres
_SWAY = 0.1  # metres up and down


class Flight:
    """An ellipse at eye height, looking across its middle: the widest free one of many at random.

    Where furniture leaves no ellipse, the camera turns around on the freest spot. Always the same for a room and seed.
    """

    def __init__(self, room: Room, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self._height = float(rng.uniform(1.25, min(1.65, room.size[2] - 0.7)))
        clearance = room.clearance(self._height, CLEARANCE + _SWAY, _RESOLUTION)
        half = np.array(room.size[:2]) / 2
        angles = np.linspace(0, 2 * np.pi, 90)
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)

        def nearest(points: np.ndarray) -> float:
            column, row = ((points + half) / _RESOLUTION).astype(int).clip(0, np.array(clearance.shape[::-1]) - 1).T
            return float(clearance[row, column].min()) - _RESOLUTION

        row, column = np.unravel_index(clearance.argmax(), clearance.shape)
        self._middle = (np.array([column, row]) + 0.5) * _RESOLUTION - half
        self._axes = np.zeros((2, 2))
        for _ in range(_CANDIDATES):
            middle, radii = rng.uniform(-half, half), np.sort(rng.uniform(0.05, half.max(), 2))[::-1]
            turn = rng.uniform(0, np.pi)
            axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) * radii[:, None]
            if radii.prod() > abs(np.linalg.det(self._axes)) and nearest(middle + circle @ axes) > CLEARANCE:
                self._middle, self._axes = middle, axes
        self._start, self._pitch, self._way = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, -0.15), rng.choice((-1, 1))

    def pose(self, seconds: float) -> Pose:
        """Where the camera is at a time; after LOOP seconds it is where it was."""
        phase = self._start + self._way * 2 * np.pi * seconds / LOOP
        offset = np.array([np.cos(phase), np.sin(phase)]) @ self._axes
        x, y = self._middle + offset
        yaw = np.arctan2(-offset[1], -offset[0]) if self._axes.any() else phase
        position = np.array([x, y, self._height + _SWAY * np.sin(2 * phase)])
        return Pose.looking(
            position,
            yaw=float(yaw + 0.4 * np.sin(3 * phase)),
            pitch=float(self._pitch + 0.1 * np.sin(2 * phase + 1)),
            roll=float(0.03 * np.sin(3 * phase + 2)),
        )
