"""How bright white is in 16-bit samples: cameras of 10, 12 or 14 bits leave the upper bits empty."""

import numpy as np
from numpy.typing import NDArray

FULL = 65535

_SENSORS = (8, 10, 12, 14)  # bits
# A picture has white where so many samples share the largest value: their least number, and share.
_LEAST, _SHARE = 16, 1e-4


class WhiteLevel:
    """The white of one stream of 16-bit images: FULL, until a picture shows that its camera's white is less.

    A picture of a 12-bit camera and one that a 16-bit camera takes in the dark both stay below 4096. What tells them
    apart is white itself: a saturated sensor gives many samples of one value, the largest, with all its bits set. So
    the stream must show white once before it is made brighter, and no picture is made so for being dark. A sample above
    that white ends the belief in it.

    Args:
        bits: of the camera, where they are known; 0 finds out.

    Attributes:
        value: of white.
        largest: sample of the last image that was looked at.
    """

    def __init__(self, bits: int = 0) -> None:
        self.value = 2**bits - 1 if bits else FULL
        self.largest = 0
        self._is_known = bool(bits)

    @property
    def is_doubtful(self) -> bool:
        """Whether there were samples, and they were dark ones or of fewer bits: nothing has shown which."""
        return not self._is_known and self.value == FULL and self.largest > 0

    @property
    def is_exceeded(self) -> bool:
        """Whether the last image has samples beyond a white that was given: its camera has more bits."""
        return self._is_known and self.largest > self.value

    def settle(self) -> None:
        """Keep the value from now on, whatever comes."""
        self._is_known = True

    def of(self, samples: NDArray[np.uint16]) -> int:
        """The value of white, after a look at the next image of the stream, of any shape."""
        if self.value == FULL and self._is_known:
            return self.value
        largest = self.largest = int(samples.max())
        if self._is_known:
            return self.value
        if largest >= 2 ** _SENSORS[-1]:
            self.value, self._is_known = FULL, True
        elif largest > self.value or self.value == FULL:
            self.value = largest if _is_white(largest, samples) else FULL
        return self.value


def _is_white(largest: int, samples: NDArray[np.uint16]) -> bool:
    """Whether the largest sample is the white of a sensor, whose lowest bits are empty where it was shifted up."""
    step = largest & -largest
    if largest + step not in [2**bits for bits in _SENSORS] or largest < 2 ** _SENSORS[0] - 1:
        return False
    if step > 1 and np.bitwise_or.reduce(samples, axis=None) & (step - 1):
        return False
    return bool(np.count_nonzero(samples == largest) >= max(_LEAST, _SHARE * samples.size))
