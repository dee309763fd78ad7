"""What a picture cannot show: black, white, one colour, too dark, covered. A network sees a room in it all the same."""

import cv2
import numpy as np

# Of a thumbnail's values, the largest of R, G, B. The least of 604 pictures of real and scanned rooms: 29, 52 and 0.29.
_LEAST_CONTRAST = 16.0  # between its darkest and brightest twentieth
_LEAST_BRIGHTNESS = 24.0  # of its brightest fifth
_LEAST_EDGE = 0.1  # of the contrast, from one pixel to the next, at its sharpest hundredth

_THUMBNAIL = (80, 60)


def flaw(rgb: np.ndarray) -> str:
    """Why the depth of a picture (H, W, 3) uint8 cannot be known; empty for a picture that shows something.

    Judged by a thumbnail of 80x60, whose pixels are means: noise of a sensor in the dark is no detail there. Two rows
    of the picture for each of its own are enough, and a third of the time.
    """
    rows = rgb[:: max(1, len(rgb) // (2 * _THUMBNAIL[1]))]
    thumbnail = cv2.resize(rows, _THUMBNAIL, interpolation=cv2.INTER_AREA)
    values = np.maximum.reduce(cv2.split(thumbnail)).astype(np.int16)
    dark, light, bright = _percentiles(values, 5, 80, 95)
    if light < _LEAST_BRIGHTNESS:
        return "black or far too dark: no light, or the lens is covered"
    if bright - dark < _LEAST_CONTRAST:
        return "white: overexposed" if dark > 255 - 2 * _LEAST_CONTRAST else "of one colour: covered, or no signal"
    edge = max(_percentiles(np.abs(np.diff(values, axis=axis)), 99)[0] for axis in (0, 1))
    return "without any edges: covered, or out of focus" if edge < _LEAST_EDGE * (bright - dark) else ""


def _percentiles(values: np.ndarray, *shares: float) -> list[int]:
    """Values below which so many per cent lie. np.percentile, which interpolates, takes three times as long."""
    ordered = np.sort(values, axis=None)
    return [int(ordered[round(share / 100 * (ordered.size - 1))]) for share in shares]
