"""Depth as colour for human eyes: a fixed range, so that nothing flickers, and a bar that says what it is."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_TICK_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)  # metres
_MOST_TICKS = 10
_WHITE = (255, 255, 255)


class DepthPreview:
    """Renders depth (H, W) in metres as RGB (H, W + bar, 3): red is near, blue far, black unknown (NaN).

    The colours run evenly from `nearest` to `farthest` metres and stop there, for +-Inf too. The bar to the right is
    64 pixels wide at a height of 480 and scales with it. Raises ValueError for a range that is empty.
    """

    def __init__(self, nearest: float, farthest: float) -> None:
        if not 0 <= nearest < farthest:
            raise ValueError(f"preview range from {nearest} to {farthest} m; expected 0 <= nearest < farthest")
        self._nearest, self._farthest = nearest, farthest
        spectrum = cv2.applyColorMap(np.arange(255, -1, -1, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)
        self._colors = cv2.cvtColor(spectrum, cv2.COLOR_BGR2RGB)
        self._colors[0] = 0
        self._scaled = np.empty((0, 0), np.float32)
        self._canvas = np.empty((0, 0, 3), np.uint8)

    def render(self, depth: NDArray[np.float32]) -> NDArray[np.uint8]:
        """RGB picture uint8 of depth and bar; it is overwritten by the next call."""
        height, width = depth.shape
        if self._scaled.shape != depth.shape:
            bar_width = max(40, 2 * round(32 * height / 480))
            self._scaled = np.empty(depth.shape, np.float32)
            self._canvas = np.zeros((height, width + bar_width, 3), np.uint8)
            self._draw_bar(self._canvas[:, width:])
        self._canvas[:, :width] = self._colored(depth, self._scaled)
        return self._canvas

    def _colored(self, depth: NDArray[np.float32], scaled: NDArray[np.float32]) -> NDArray[np.uint8]:
        """RGB of each depth: colour 1 at the nearest to 255 at the farthest, 0 for NaN; `scaled` is working memory."""
        np.subtract(depth, np.float32(self._nearest), out=scaled)
        scaled *= np.float32(254 / (self._farthest - self._nearest))
        scaled += np.float32(1.5)
        np.clip(scaled, 1, 255, out=scaled)
        cv2.patchNaNs(scaled, 0)
        colored: NDArray[Any] = cv2.applyColorMap(scaled.astype(np.uint8), self._colors)
        return colored

    def _draw_bar(self, strip: NDArray[np.uint8]) -> None:
        """Farthest on top, with the metres written beside it."""
        height, width = strip.shape[:2]
        rows = np.arange(height // 24, height - height // 24)
        metres = np.linspace(self._farthest, self._nearest, len(rows), dtype=np.float32)
        column = np.repeat(metres[:, None], width // 4, axis=1)
        strip[rows, width // 8 : width // 8 + width // 4] = self._colored(column, np.empty_like(column))
        span = self._farthest - self._nearest
        step = next((step for step in _TICK_STEPS if span / step <= _MOST_TICKS), span)
        for tick in np.arange(math.ceil(self._nearest / step), math.floor(self._farthest / step) + 1) * step:
            row = np.interp(-tick, -metres, rows)
            baseline = (width * 7 // 16, round(row + height / 100))
            cv2.putText(strip, f"{tick:g} m", baseline, cv2.FONT_HERSHEY_SIMPLEX, height / 1100, _WHITE, 1, cv2.LINE_AA)
