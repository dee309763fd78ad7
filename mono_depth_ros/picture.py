"""What a picture cannot show: black, white, one colour, too dark, covered. A network sees a room in it all the same."""

import cv2
import numpy as np

# Of a thumbnail's grey values; the least of 795 pictures of real and scanned rooms is 44, 106 and 2.5.
_LEAST_CONTRAST = 16.0  # between its darkest and brightest twentieth
_LEAST_BRIGHTNESS = 24.0  # of its brightest twentieth
_LEAST_DETAIL = 1.0  # between neighbours across and down, together, on average

_THUMBNAIL = (80, 60)


def flaw(rgb: np.ndarray) -> str:
    """Why the depth of a picture (H, W, 3) uint8 cannot be known; empty for a picture that shows something.

    Judged by a thumbnail of 80x60, whose pixels are means: noise of a sensor in the dark is no detail there.
    """
    grey = cv2.cvtColor(cv2.resize(rgb, _THUMBNAIL, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    dark, bright = np.percentile(grey, (5, 95))
    if bright - dark < _LEAST_CONTRAST:
        if bright < _LEAST_BRIGHTNESS:
            return "black or far too dark: no light, or the lens is covered"
        return "white: overexposed" if dark > 255 - 2 * _LEAST_CONTRAST else "of one colour: covered, or no signal"
    if bright < _LEAST_BRIGHTNESS:
        return "far too dark"
    values = grey.astype(np.float32)
    detail = np.abs(np.diff(values, axis=1)).mean() + np.abs(np.diff(values, axis=0)).mean()
    return "without any edges: covered, or out of focus" if detail < _LEAST_DETAIL else ""
