"""Prediction: the metric depth of one image, and how sure each of its pixels is."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

# What ``depth`` holds, unless the network knows no metres.
METRES = "metres"
# A depth counts as right where it is within this factor of the truth, as in the metric delta < 1.25.
RIGHT_WITHIN = 1.25
# Of ln depth, for a picture that shows nothing: a confidence of 0.0003.
_BLIND_SIGMA = 1e3


@dataclass(frozen=True)
class Prediction:
    """Metric depth and its uncertainty; or what a network says that knows no metres, for `fusion` to make some of.

    Attributes:
        depth: (H, W) float32, metres along the optical axis; finite and above 0.
        sigma: (H, W) float32, standard deviation of ln(depth) - ln(truth); None where nobody knows it.
        flaw: why nothing can be seen in the image, so that depth is a guess; empty where something can.
        kind: ``metres``; else ``depth`` holds depth (``relative``) or 1 / depth (``disparity``) up to a scale and a
            shift, any finite numbers.
    """

    depth: np.ndarray
    sigma: np.ndarray | None = None
    flaw: str = ""
    kind: str = METRES

    @property
    def confidence(self) -> np.ndarray | None:
        """(H, W) float32 in [0, 1], the probability that depth is within a factor of 1.25 of the truth; or None."""
        return None if self.sigma is None else confidence(self.sigma)


def blinded(prediction: Prediction, flaw: str) -> Prediction:
    """The prediction of a picture that shows nothing: its sigma, in place, says that nothing is known of it."""
    if prediction.sigma is not None:
        prediction.sigma.fill(_BLIND_SIGMA)
    return replace(prediction, flaw=flaw)


def confidence(sigma: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """P(|ln d - ln d*| < ln 1.25) = 1 - exp(-sqrt(2) ln(1.25) / sigma), for an error distributed as Laplace's.

    A 90 % interval of that distribution is +-1.628 sigma; of a normal one, +-1.645 sigma: nearly the same.

    Args:
        sigma: (H, W) float32, standard deviation of ln depth's error; 0 gives 1.
        out: (H, W) float32, C-contiguous, written and returned; None allocates it.
    """
    out = np.empty_like(sigma) if out is None else out
    with np.errstate(divide="ignore"):
        np.divide(np.float32(-math.sqrt(2) * math.log(RIGHT_WITHIN)), sigma, out=out)
    cv2.exp(out, out)
    return np.subtract(np.float32(1), out, out=out)


def sigma_at(confidence: float) -> float:
    """The sigma whose `confidence` is this number in [0, 1]."""
    with np.errstate(divide="ignore"):
        return float(-math.sqrt(2) * math.log(RIGHT_WITHIN) / np.log1p(-np.float64(confidence)))
