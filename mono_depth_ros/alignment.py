"""What a network says that knows no metres, and depths known at some pixels -> metres: the scale and shift left open.

A network trained on many cameras gives depth, or its inverse, up to a scale and a shift of each image (MiDaS; Ranftl
et al., 2022). Both are fitted in the network's own space by weighted least squares, outliers weighing less.
"""

from dataclasses import replace

import numpy as np

from mono_depth_ros.errors import MonoDepthError
from mono_depth_ros.prediction import METRES, Prediction

# Metres between which a fit's depth is kept.
NEAREST, FARTHEST = 1e-3, 1e3
# Of ln depth: what such networks miss, as long as no anchor tells, and how many anchors that counts as.
_PRIOR_SIGMA, _PRIOR_ANCHORS = 0.3, 4
# No anchor is surer of ln depth than that of the pixel beside.
_LEAST_SIGMA = 0.03
_LARGEST_SIGMA = 1e3
# Cauchy's scale, at which an outlier's weight has fallen to half (95 % efficient on normal errors).
_CAUCHY = 2.385
_STEPS = 20


class NotMetricError(MonoDepthError):
    """A network that knows no metres, without the anchors that give it some."""


def align(relative: Prediction, u: np.ndarray, v: np.ndarray, depth: np.ndarray, sigma: np.ndarray) -> Prediction:
    """Metres of a prediction that has none.

    Args:
        relative: whose ``depth`` is, up to a scale and a shift, depth (``relative``) or 1 / depth (``disparity``).
        u: (N,) columns of pixels whose depth is known, inside the image.
        v: (N,) their rows.
        depth: (N,) metres there.
        sigma: (N,) standard deviation of ln depth.

    Returns:
        the prediction in metres; its sigma has what the anchors miss the fit by, and how well they settle the fit for
        values unlike theirs.

    Raises:
        NotMetricError: fewer than two anchors, all at one value, or farther where the network says nearer.
    """
    values = relative.depth.astype(np.float32, copy=False)
    value = values[np.rint(v).astype(int), np.rint(u).astype(int)].astype(float)
    if len(np.unique(value)) < 2:
        raise NotMetricError(
            f"the network's output is {relative.kind}, without a scale: found {len(value)} depths that are known, at "
            f"{len(np.unique(value))} of its values, expected two or more"
        )
    target = 1 / depth if relative.kind == "disparity" else depth
    design = np.stack([value, np.ones_like(value)], axis=1)
    noise, size, doubt = np.hypot(sigma, _LEAST_SIGMA), target, np.ones_like(value)
    for _ in range(_STEPS):
        weight = 1 / (size * noise * doubt)
        fit = np.linalg.lstsq(design * weight[:, None], target * weight, rcond=None)[0]
        size = np.maximum(np.abs(design @ fit), target)  # ln z changes by dz / z, as does ln (1 / z)
        error = (design @ fit - target) / size
        surprise = error / noise
        doubt = np.hypot(1, surprise / (_CAUCHY * max(1.4826 * float(np.median(np.abs(surprise))), 1.0)))
    if fit[0] <= 0:
        raise NotMetricError(f"the network's output is {relative.kind}, and falls where the known depths say it rises")

    squares = float(np.sum((error / doubt) ** 2)) + _PRIOR_ANCHORS * _PRIOR_SIGMA**2
    misfit = squares / (max(len(value) - 2, 0) + _PRIOR_ANCHORS)
    weight = 1 / (size * doubt * np.sqrt(noise**2 + misfit))
    a, b, _, c = np.linalg.pinv((design * weight[:, None]).T @ (design * weight[:, None])).ravel().astype(np.float32)
    fitted = np.float32(fit[0]) * values + np.float32(fit[1])
    bounds = (1 / FARTHEST, 1 / NEAREST) if relative.kind == "disparity" else (NEAREST, FARTHEST)
    np.clip(fitted, *bounds, out=fitted)
    variance = misfit + ((a * values + 2 * b) * values + c) / fitted**2
    spread = np.minimum(np.sqrt(np.maximum(variance, misfit)), _LARGEST_SIGMA)
    metres = 1 / fitted if relative.kind == "disparity" else fitted
    return replace(relative, depth=metres, sigma=spread.astype(np.float32), kind=METRES)
