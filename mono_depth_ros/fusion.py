"""Fusion: depths known from other sensors (anchors) correct a predicted depth map, and its sigma.

The residual e(x) = ln(truth) - ln(prediction) at x = (u, v, ln prediction) is a zero-mean Gaussian process: a network
errs alike on pixels that are near each other in the image and in depth. Its posterior given the anchors (Rasmussen and
Williams, 2006, equations 2.23 and 2.24) multiplies the prediction by exp(mean). Far from every anchor the mean is 0,
and the prediction stays as it was.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from mono_depth_ros.prediction import Prediction

MOST_ANCHORS = 200
# What becomes of an anchor: it is used, or dropped for a reason.
USED, INVALID, OUTSIDE, OCCLUDED, CROWDED = "used", "invalid", "outside", "occluded", "crowded"
CONTRADICTED, SATISFIED = "contradicted", "satisfied"
# Anchors in one cell, a share of the longer side (4 of 640 pixels), see one surface: the nearest does.
_CELL = 4 / 640
# Standard deviations beyond which an anchor counts less (Huber, 1964), and not at all.
_HUBER, _GATE = 1.5, 4.0
_ROBUST_PASSES = 2
_TINY = 1e-6
# The variance of one image's process is known as if from so many anchors before it has any.
_MISFIT_ANCHORS = 10
# Standard deviation, in ln depth, of what a pixel's neighbours do not tell of it.
_GRAIN = 0.05
# Knots of the coarse grid along the image's longer side; the correction is linear in (u, v) between them.
_KNOTS = 40
# Pixels that stand for the cone of a wide beam, and for the cones of all of them.
_POINTS_OF_BEAM, _POINTS_OF_BEAMS = 32, 256
# Least distance of a knot's two levels of ln depth.
_THINNEST = 0.02


@dataclass(frozen=True)
class Prior:
    """What is known of a network's errors before any anchor: hyperparameters of the process, by marginal likelihood.

    The kernel is spread^2 exp(-r), r^2 = (du^2 + dv^2) / reach^2 + (dln d)^2 / depth_reach^2.

    Attributes:
        spread: standard deviation of the residual of ln depth.
        reach: as a share of the image's longer side.
        depth_reach: in ln depth.
        registration: standard deviation of the residual's difference between an anchor and its pixel, from errors of
            extrinsics and clock, on top of the anchor's own sigma.
        slip: pixels, as a share of the image's longer side, that an anchor may lie beside its place; its sigma grows by
            what ln depth changes over them.
    """

    spread: float = 0.29
    reach: float = 0.56
    depth_reach: float = 0.79
    registration: float = 0.02
    slip: float = 0.01


@dataclass(frozen=True)
class Anchors:
    """Depths that other sensors know, in the pixels of the predicted image.

    Attributes:
        u, v: (N,) column and row, pixels; the first pixel's centre is (0, 0).
        depth: (N,) metres along the optical axis. For a wide beam, the range over the mean of |ray| / z in its cone.
        sigma: (N,) standard deviation of ln depth.
        radius: (N,) pixels of a wide beam's cone, or one number for all; 0 is a point. Such a sensor returns about
            (sum 1/z) / (sum 1/z^2) over its cone, and the prediction's same mean is compared with it.
        bound: (N,) or one number: 0, measured; 1, the truth is at least ``depth`` (a range of +Inf, REP-117); -1, it is
            at most ``depth`` (-Inf).
        source: (N,) int or one number: which sensor an anchor is from, for `Report`.
    """

    u: np.ndarray
    v: np.ndarray
    depth: np.ndarray
    sigma: np.ndarray
    radius: np.ndarray = field(default_factory=lambda: np.zeros(()))
    bound: np.ndarray = field(default_factory=lambda: np.zeros((), int))
    source: np.ndarray = field(default_factory=lambda: np.zeros((), int))

    def __post_init__(self) -> None:
        size = np.shape(self.u)
        if len(size) != 1:
            raise ValueError(f"anchors: found u of shape {size}, expected (N,)")
        for name in ("u", "v", "depth", "sigma", "radius", "bound", "source"):
            value = np.asarray(getattr(self, name), int if name in ("bound", "source") else np.float64)
            if value.shape != size and (value.ndim or name in ("v", "depth", "sigma")):
                raise ValueError(f"anchors: found {name} of shape {value.shape}, expected {size} as u")
            object.__setattr__(self, name, np.broadcast_to(value, size))

    def __len__(self) -> int:
        """Number of anchors."""
        return len(self.u)

    def __getitem__(self, chosen: np.ndarray) -> "Anchors":
        """The anchors of a mask or of indices."""
        return Anchors(*(np.asarray(getattr(self, name))[chosen] for name in self.__dataclass_fields__))

    @classmethod
    def together(cls, parts: Sequence["Anchors"]) -> "Anchors":
        """The anchors of several sensors; the i-th part's source becomes i."""
        columns = ("u", "v", "depth", "sigma", "radius", "bound")
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in columns}
        return cls(**joined, source=np.repeat(np.arange(len(parts)), [len(part) for part in parts]))


@dataclass(frozen=True)
class Report:
    """What became of one source's anchors.

    Attributes:
        used: how many corrected the depth.
        dropped: how many did not, by reason.
        innovation: root mean square of what each anchor says beyond the prediction, over its standard deviation under
            the prior; about 1 for a sensor that is right. NaN without anchors.
        scale: the factor on the prediction that its anchors imply, their median. NaN without anchors.
    """

    used: int
    dropped: dict[str, int] = field(default_factory=dict)
    innovation: float = np.nan
    scale: float = np.nan


def fuse(prediction: Prediction, anchors: Anchors, prior: Prior | None = None) -> Prediction:
    """The prediction, corrected by the anchors; see `fuse_and_report`."""
    return fuse_and_report(prediction, anchors, prior)[0]


def fuse_and_report(
    prediction: Prediction, anchors: Anchors, prior: Prior | None = None
) -> tuple[Prediction, dict[int, Report]]:
    """Correct a prediction, and say by source what became of the anchors.

    Args:
        prediction: depth (H, W) metres, and sigma where the network knows it.
        anchors: of the same image, in any order; at most 200 of them, well spread, are used.
        prior: what is known of the network's errors; None is the shipped network's.

    Returns a prediction with arrays of its own, and a `Report` for each source among the anchors.
    """
    prior = prior or Prior()
    log_depth = np.log(prediction.depth)
    fate = _screen(anchors, log_depth.shape)
    used = np.flatnonzero(fate == USED)
    beams = _Beams(anchors[used], log_depth, prior)

    # What each anchor says beyond the prediction, how the process correlates that, and how far each can be trusted.
    innovation = np.log(anchors.depth[used]) - beams.log_depth
    covariance = beams.covariance()
    noise = anchors.sigma[used] ** 2 + prior.registration**2 + beams.slip**2
    weight = _robust_weights(covariance, noise, innovation, anchors.bound[used])
    kept = weight > 0
    fate[used[~kept]] = np.where(anchors.bound[used[~kept]] == 0, CONTRADICTED, SATISFIED)
    reports = _reports(anchors.source, fate, used, innovation, covariance.diagonal() + noise)

    # The posterior at the knots of a coarse grid, each at the least and at the largest ln depth around it.
    grid = _Grid(log_depth)
    cholesky = np.linalg.cholesky((covariance + np.diag(noise / np.where(kept, weight, 1)))[np.ix_(kept, kept)])
    whitening = np.linalg.inv(cholesky).astype(np.float32)
    whitened = whitening @ innovation[kept].astype(np.float32)
    low, high = (beams.covariance_with(grid.points(level, prior))[:, kept] @ whitening.T for level in grid.levels)
    low_mean, high_mean = low @ whitened, high @ whitened
    known = (np.square(low).sum(axis=1) + np.square(high).sum(axis=1)) / 2

    # Between knots the correction is linear in u, v and ln depth, so it has the edges of the prediction.
    slope = (high_mean - low_mean) / (grid.levels[1] - grid.levels[0])
    depth = grid.enlarge(slope)
    depth *= log_depth
    depth += grid.enlarge(low_mean - slope * grid.levels[0])
    np.exp(depth, out=depth)
    depth *= prediction.depth

    # The network's sigma shrinks as the process's does.
    misfit = (_MISFIT_ANCHORS + whitened @ whitened) / (_MISFIT_ANCHORS + len(whitened))
    share = (misfit * (prior.spread**2 - known) + _GRAIN**2) / (prior.spread**2 + _GRAIN**2)
    sigma = grid.enlarge(np.sqrt(np.maximum(share, 0)))
    sigma *= np.float32(prior.spread) if prediction.sigma is None else prediction.sigma
    return Prediction(depth, sigma), reports


def _screen(anchors: Anchors, size: tuple[int, int]) -> np.ndarray:
    """The fate of each anchor (N,) as far as it shows before the process is asked."""
    fate = np.full(len(anchors), USED, dtype=object)
    numbers = np.stack([anchors.u, anchors.v, anchors.depth, anchors.sigma, anchors.radius])
    valid = np.isfinite(numbers).all(axis=0) & (anchors.depth > 0) & (anchors.sigma >= 0) & (anchors.radius >= 0)
    height, width = size
    inside = (np.abs(anchors.u - (width - 1) / 2) <= width / 2) & (np.abs(anchors.v - (height - 1) / 2) <= height / 2)
    fate[~inside] = OUTSIDE
    fate[~valid] = INVALID

    # One of each cell, the nearest; then one of ever larger cells until few enough are left.
    cell, reason = _CELL * max(size), OCCLUDED
    order = np.lexsort((anchors.v, anchors.u, anchors.sigma, anchors.depth))
    while True:
        left = order[fate[order] == USED]
        column, row = anchors.u[left] // cell, anchors.v[left] // cell
        _, first = np.unique(row * max(size) + column, return_index=True)
        fate[np.delete(left, first)] = reason
        if len(first) <= MOST_ANCHORS:
            return fate
        cell, reason = 1.25 * cell, CROWDED


def _robust_weights(covariance: np.ndarray, noise: np.ndarray, innovation: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """(N,) weights in [0, 1] by what the other anchors say of each (Rasmussen and Williams, equation 5.12).

    An anchor that they contradict has 0, and so has a bound that they satisfy.
    """
    weight = np.where(bound == 0, 1.0, _TINY)
    for _ in range(_ROBUST_PASSES):
        inverse = np.linalg.inv(covariance + np.diag(noise / weight))
        variance = 1 / inverse.diagonal()
        surprise = variance * (inverse @ innovation)
        deviation = np.abs(surprise) / np.sqrt(np.maximum(variance + noise - noise / weight, noise))
        weight = _HUBER / np.maximum(deviation, _HUBER)
        weight[(deviation > _GATE) & (bound == 0) | (surprise * bound < 0)] = _TINY
    return np.where(weight > _TINY, weight, 0)


def _reports(
    source: np.ndarray, fate: np.ndarray, asked: np.ndarray, innovation: np.ndarray, variance: np.ndarray
) -> dict[int, Report]:
    """A report for each source; innovation and its variance under the prior are those of the anchors ``asked``."""
    reports = {}
    for number in np.unique(source):
        count = Counter(fate[source == number])
        own = source[asked] == number
        normalised = innovation[own] / np.sqrt(variance[own])
        reports[int(number)] = Report(
            used=count.pop(USED, 0),
            dropped=dict(count),
            innovation=float(np.sqrt(np.mean(normalised**2))) if own.any() else math.nan,
            scale=float(np.exp(np.median(innovation[own]))) if own.any() else math.nan,
        )
    return reports


class _Beams:
    """Anchors as weighted means of the process over points: one point, or several in the cone of a wide beam.

    Attributes:
        log_depth: (N,) what the prediction says of each anchor.
        slip: (N,) how much ln depth changes over the pixels that an anchor may lie beside its place.
    """

    def __init__(self, anchors: Anchors, log_depth: np.ndarray, prior: Prior) -> None:
        height, width = log_depth.shape
        wide = np.asarray(anchors.radius > 0)
        points_of_each = np.clip(_POINTS_OF_BEAMS // max(int(wide.sum()), 1), 4, _POINTS_OF_BEAM)
        number = np.where(wide, points_of_each, 1)
        self._start = np.cumsum(number) - number
        # A sunflower's seeds cover a disc evenly.
        seed = np.arange(number.sum()) - np.repeat(self._start, number)
        distance = np.repeat(anchors.radius, number) * np.sqrt((seed + 0.5) / np.repeat(number, number))
        angle = seed * math.pi * (3 - math.sqrt(5))
        u = np.clip(np.repeat(anchors.u, number) + distance * np.cos(angle), 0, width - 1)
        v = np.clip(np.repeat(anchors.v, number) + distance * np.sin(angle), 0, height - 1)
        seen = _sample(log_depth, u, v)
        self._points, self._prior = _in_reaches(u, v, seen, log_depth.shape, prior), prior

        # ln(A / B) with A = sum 1/z and B = sum 1/z^2, and its derivatives by ln z, which add up to 1.
        inverse = np.exp(-seen)
        a, b = (np.add.reduceat(x, self._start) if len(x) else x for x in (inverse, inverse**2))
        self.log_depth = np.log(a / b)
        self._weight = 2 * inverse**2 / np.repeat(b, number) - inverse / np.repeat(a, number)
        offset = prior.slip * max(height, width) * np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]])
        around = _sample(log_depth, anchors.u + offset[:, :1], anchors.v + offset[:, 1:])
        self.slip = np.where(wide, 0, np.ptp(around, axis=0) / 2)

    def covariance(self) -> np.ndarray:
        """(N, N) of the anchors' residuals under the prior."""
        difference = self._points[:, None] - self._points[None]
        return self._summed(self._summed(self._kernel(np.einsum("ijk,ijk->ij", difference, difference))).T)

    def covariance_with(self, points: np.ndarray) -> np.ndarray:
        """(M, N) float32 of the process at ``points`` (M, 3) with the anchors."""
        own, points = self._points.astype(np.float32), points.astype(np.float32)
        squared = (points**2).sum(axis=1)[:, None] + (own**2).sum(axis=1) - 2 * points @ own.T
        return self._summed(self._kernel(np.maximum(squared, 0, out=squared)))

    def _kernel(self, squared: np.ndarray) -> np.ndarray:
        """spread^2 exp(-r) of r^2, in place."""
        np.sqrt(squared, out=squared)
        np.negative(squared, out=squared)
        np.exp(squared, out=squared)
        squared *= self._prior.spread**2
        return squared

    def _summed(self, columns: np.ndarray) -> np.ndarray:
        """(M, N) of (M, P): each anchor's weighted mean over its points."""
        if len(self._start) == len(self._weight):
            return columns
        return np.add.reduceat(columns * self._weight.astype(columns.dtype), self._start, axis=1)


class _Grid:
    """Knots of a coarse grid over the image, and the range of ln depth around each.

    Attributes:
        levels: least and largest ln depth within a knot's distance of each knot, (knots,) each.
    """

    def __init__(self, log_depth: np.ndarray) -> None:
        self._size = log_depth.shape
        self._knots = tuple(max(1, round(_KNOTS * side / max(self._size))) for side in self._size)
        every = max(1, max(self._size) // (4 * _KNOTS))
        sparse = log_depth[::every, ::every]
        starts = [np.arange(knots) * side // knots for knots, side in zip(self._knots, sparse.shape, strict=True)]
        low, high = (
            _spread(f, f.reduceat(f.reduceat(sparse, starts[1], axis=1), starts[0], axis=0))
            for f in (np.minimum, np.maximum)
        )
        thin = np.maximum(_THINNEST - (high - low), 0) / 2
        self.levels = (low - thin).ravel(), (high + thin).ravel()
        self._enlarge = [_interpolation(side, knots) for side, knots in zip(self._size, self._knots, strict=True)]

    def points(self, level: np.ndarray, prior: Prior) -> np.ndarray:
        """(knots, 3) in units of the kernel's reaches."""
        v, u = ((np.arange(n) + 0.5) * side / n - 0.5 for side, n in zip(self._size, self._knots, strict=True))
        return _in_reaches(np.tile(u, len(v)), np.repeat(v, len(u)), level, self._size, prior)

    def enlarge(self, values: np.ndarray) -> np.ndarray:
        """(H, W) float32, bilinear between the knots, of values (knots,)."""
        rows, columns = self._enlarge
        return rows @ (values.reshape(self._knots).astype(np.float32) @ columns.T)


@lru_cache(maxsize=16)
def _interpolation(size: int, knots: int) -> np.ndarray:
    """(size, knots) float32: how pixels interpolate linearly between the centres of so many equal parts."""
    place = np.clip((np.arange(size) + 0.5) * knots / size - 0.5, 0, knots - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(knots))).astype(np.float32)


def _spread(function: np.ufunc, values: np.ndarray) -> np.ndarray:
    """The function over each value and its eight neighbours."""
    for axis in (0, 1):
        padded = np.pad(values, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        before, after = (np.take(padded, np.arange(values.shape[axis]) + shift, axis) for shift in (0, 2))
        values = function(values, function(before, after))
    return values


def _sample(image: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The pixels nearest to (u, v), float64; the border's, outside."""
    column, row = (
        np.clip(np.rint(x), 0, side - 1).astype(int) for x, side in ((u, image.shape[1]), (v, image.shape[0]))
    )
    return image[row, column].astype(np.float64)


def _in_reaches(u: np.ndarray, v: np.ndarray, log_depth: np.ndarray, size: tuple[int, int], prior: Prior) -> np.ndarray:
    """(N, 3) coordinates in which the kernel's r is the distance."""
    pixels = prior.reach * max(size)
    return np.stack([u / pixels, v / pixels, log_depth / prior.depth_reach], axis=1)
