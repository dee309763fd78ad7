"""Between a prediction and what is published of it: the range, the least confidence, and what the lens has not seen."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.prediction import Prediction, sigma_at

_SMALLEST = float(np.finfo(np.float32).tiny)


class Gates:
    """Marks what is no depth, in place: +-Inf outside the range, NaN where nothing is known (REP-117).

    In memory of its own, allocated when the size changes.
    """

    def __init__(self) -> None:
        self._mask = np.empty((0, 0), np.bool_)
        self._plane = np.empty((0, 0), np.float32)

    def apply(
        self,
        prediction: Prediction,
        nearest: float = 0.0,
        farthest: float = math.inf,
        min_confidence: float = 0.0,
        seen: NDArray[np.bool_] | None = None,
    ) -> None:
        """Gate depth (H, W), C-contiguous; sigma becomes +Inf where the lens is blind.

        Args:
            prediction: is changed.
            nearest: metres; depth below becomes -Inf, as does 0, which is no depth. NaN stays.
            farthest: metres; depth beyond becomes +Inf.
            min_confidence: depth of less becomes NaN.
            seen: (H, W), where the lens sees anything; None is everywhere.

        Raises ValueError for a minimum of confidence without a sigma.
        """
        depth, sigma = prediction.depth, prediction.sigma
        self._fit(depth)
        np.greater(depth, farthest, out=self._mask)
        self._set(depth, np.inf)
        np.less(depth, max(nearest, _SMALLEST), out=self._mask)
        self._set(depth, -np.inf)
        if min_confidence > 0:
            if sigma is None:
                raise ValueError("min_confidence is set, but this checkpoint predicts no confidence; set it to 0")
            np.greater(sigma, sigma_at(min_confidence), out=self._mask)
            self._set(depth, np.nan)
        if seen is not None:
            np.logical_not(seen, out=self._mask)
            self._set(depth, np.nan)
            if sigma is not None:
                self._set(sigma, np.inf)

    def valid_share(self, depth: NDArray[np.float32]) -> float:
        """Share of the pixels whose depth is finite."""
        self._fit(depth)
        np.isfinite(depth, out=self._mask)
        return cv2.countNonZero(self._mask.view(np.uint8)) / depth.size

    def _fit(self, depth: NDArray[np.float32]) -> None:
        if depth.shape != self._mask.shape:
            self._mask, self._plane = np.empty(depth.shape, np.bool_), np.empty(depth.shape, np.float32)

    def _set(self, values: NDArray[np.float32], value: float) -> None:
        """Where the mask says. OpenCV's copy takes a third of the time of NumPy's assignment by a mask."""
        mask = self._mask.view(np.uint8)
        if cv2.countNonZero(mask):
            self._plane.fill(value)
            cv2.copyTo(self._plane, mask, dst=values)
