"""A time-of-flight sensor of 8 x 8 zones beside the camera, simulated from the depth that a recording knows."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.camera import CameraModel, Rectifier

ZONES = 8  # a side
NOISE = 0.05  # standard deviation of a reading, as a share of it
_FIELD = np.radians(45)  # of view, a side
_FEWEST = 0.5  # share of a zone that must be known
_POINT = np.dtype([(name, np.float32) for name in ("x", "y", "z", "sigma")])


class TimeOfFlight:
    """Readings in the optical frame of a camera: of each zone the median depth, with noise that is always the same."""

    def __init__(self, camera: CameraModel) -> None:
        self._rectifier = Rectifier(camera)
        self._noise = np.random.default_rng(0)
        slopes = np.tan(np.linspace(-_FIELD / 2, _FIELD / 2, ZONES + 1))
        self._middles = (slopes[:-1] + slopes[1:]) / 2
        k = self._rectifier.camera
        self._columns = np.round(k.cx + k.fx * slopes).astype(int).clip(0, k.width)
        self._rows = np.round(k.cy + k.fy * slopes).astype(int).clip(0, k.height)

    def read(self, truth: NDArray[np.float32]) -> NDArray[np.void]:
        """Points (N,) with fields x, y, z, sigma in metres, of the zones that are known in the raw truth (H, W)."""
        return np.array(list(self._zones(self._rectifier.rectify(truth, cv2.INTER_NEAREST))), _POINT)

    def _zones(self, truth: NDArray[np.float32]) -> Iterator[tuple[float, float, float, float]]:
        for row, y in enumerate(self._middles):
            for column, x in enumerate(self._middles):
                zone = truth[slice(*self._rows[row : row + 2]), slice(*self._columns[column : column + 2])]
                known = zone[zone > 0]
                if known.size > _FEWEST * zone.size:
                    z = float(np.median(known)) * (1 + NOISE * self._noise.standard_normal())
                    yield x * z, y * z, z, NOISE * z * float(np.sqrt(1 + x * x + y * y))
