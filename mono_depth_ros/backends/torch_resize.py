"""OpenCV's resize of uint8 images in PyTorch, with its rounding: networks notice a level more or less."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

# OpenCV resizes bytes linearly in whole numbers: weights have 11 bits, of which a row's sums lose 4 and the result 18.
_WEIGHT_BITS, _ROW_SHIFT, _COLUMN_SHIFT, _RESULT_SHIFT = 11, 4, 16, 2


class ImageResize(nn.Module):
    """``cv2.resize`` of images (H, W, C) uint8 to (h, w, C), but for a rare level more or less.

    Args:
        old, new: (height, width).
        interpolation: cv2.INTER_AREA or cv2.INTER_LINEAR.
    """

    def __init__(self, old: tuple[int, int], new: tuple[int, int], interpolation: int) -> None:
        super().__init__()
        grows = new[0] > old[0] or new[1] > old[1]
        self.averages = interpolation == cv2.INTER_AREA and not grows
        self.halves = self.averages and old == (2 * new[0], 2 * new[1])
        sides = [weights(a, b, interpolation, grows) for a, b in zip(old, new, strict=True)]
        if not self.averages:
            sides = [np.rint(w * 2**_WEIGHT_BITS).astype(np.int32) for w in sides]
        self.rows, self.columns = Taps(sides[0], 0), Taps(sides[1], 1)

    def forward(self, image: Tensor) -> Tensor:
        """The image at its new size."""
        if self.averages:
            mean = total(self.rows(total(self.columns(image.float()))))
            # OpenCV rounds a half to the even level, but up where it takes the mean of 2 x 2 pixels.
            return ((mean + 0.5) if self.halves else mean.round()).to(torch.uint8)
        across = total(self.columns(image.int())) >> _ROW_SHIFT
        down = total([product >> _COLUMN_SHIFT for product in self.rows(across)])
        return ((down + 2 ** (_RESULT_SHIFT - 1)) >> _RESULT_SHIFT).to(torch.uint8)


class Taps(nn.Module):
    """The products of a resize along one side: few of all the pixels have a weight.

    Args:
        matrix: (new, old), the weight of each old pixel in each new one.
        side: 0 for rows, 1 for columns.
    """

    places: Tensor
    weights: Tensor

    def __init__(self, matrix: np.ndarray, side: int) -> None:
        super().__init__()
        self.side = side
        first = (matrix != 0).argmax(axis=1)
        places = first + np.arange((matrix != 0).sum(axis=1).max())[:, None]
        inside = np.minimum(places, matrix.shape[1] - 1)
        weights = np.where(places == inside, np.take_along_axis(matrix.T, inside, axis=0), 0)
        self.register_buffer("places", torch.from_numpy(inside))
        shape = (-1, matrix.shape[0], 1, 1) if side == 0 else (-1, 1, matrix.shape[0], 1)
        self.register_buffer("weights", torch.from_numpy(weights.reshape(shape)))

    def forward(self, image: Tensor) -> list[Tensor]:
        """One (h, W, C) or (H, w, C) for each pixel that has a part in a new one, of ``image`` (H, W, C)."""
        taps = zip(self.places, self.weights, strict=True)
        return [image.index_select(self.side, places) * weights for places, weights in taps]


def total(products: Sequence[Tensor]) -> Tensor:
    """Their sum, added up in OpenCV's order."""
    return sum(products[1:], products[0])


def weights(old: int, new: int, interpolation: int, grows: bool) -> np.ndarray:
    """Matrix (new, old) of OpenCV's interpolation along one side, read off from how it resizes a unit matrix.

    Where one side grows, INTER_AREA becomes another interpolation for both. So the unit matrix' other side is doubled
    then, which that interpolation does by repetition.
    """
    every = 2 if interpolation == cv2.INTER_AREA and grows else 1
    unit = np.eye(old, dtype=np.float32)
    return np.asarray(cv2.resize(unit, (every * old, new), interpolation=interpolation)[:, ::every])
