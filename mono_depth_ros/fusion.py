"""Fusion: depths known from other sensors (anchors) correct a predicted depth map, and its sigma.

The residual e(x) = ln(truth) - ln(prediction) at x = (u, v, ln prediction) is a zero-mean Gaussian process: a network
errs alike on pixels that are near each other in the image and in depth. Its posterior given the anchors (Rasmussen and
Williams, 2006, equations 2.23 and 2.24) multiplies the prediction by exp(mean). Far from every anchor the mean is 0,
and the prediction stays as it was.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from mono_depth_ros.alignment import align
from mono_depth_ros.prediction import METRES, Prediction

MOST_ANCHORS = 200
# What becomes of an anchor: it is used, or dropped for a reason.
USED, INVALID, OUTSIDE, OCCLUDED, CROWDED = "used", "invalid", "outside", "occluded", "crowded"
CONTRADICTED, SATISFIED = "contradicted", "satisfied"
# Anchors in one cell, a share of the longer side (4 of 640 pixels), see one surface: the nearest does.
_CELL = 4 / 640
# Standard deviations between an anchor and what all others say of its place, beyond which it is contradicted.
_GATE = 6.0
_GATE_PASSES = 3
# Variance of an anchor that is not to count.
_IGNORED = 1e4
# An image's own anchors tell whether its errors are wider than the prior, which counts as so many of them. They count
# as no more, since neighbours repeat each other; that they agree too well makes nothing more certain.
_MISFIT_ANCHORS = 10
# Standard deviation, in ln depth, of what a pixel's neighbours do not tell of it.
_GRAIN = 0.05
# Of ln depth: whatever anchors claim, float32 holds the depth, and it is above 0.
_MOST_CORRECTION = 20.0
# Knots along the image's longer side of the grids on which mean and variance are computed.
_MEAN_KNOTS, _VARIANCE_KNOTS = 64, 24
# Range of ln depth around a knot from where on it stands at an edge of depth.
_EDGE = 0.4
_NEIGHBOURS = np.ones((3, 3), np.uint8)
# Points that stand for the cone of one wide beam, and for those of all of them.
_POINTS_OF_BEAM, _POINTS_OF_BEAMS = 32, 256
# Rounds the tip of the kernel, so that float32 never finds a distance squared below 0.
_TIP = 1e-4


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

    spread: float = 0.32
    reach: float = 0.83
    depth_reach: float = 1.1
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


NO_ANCHORS = Anchors(*np.empty((4, 0)))


@dataclass(frozen=True)
class Report:
    """What became of one source's anchors: how many corrected the depth, and how many did not, by reason."""

    used: int
    dropped: dict[str, int] = field(default_factory=dict)


def fuse(prediction: Prediction, anchors: Anchors, prior: Prior | None = None) -> Prediction:
    """The prediction, corrected by the anchors; see `fuse_and_report`."""
    return fuse_and_report(prediction, anchors, prior)[0]


def in_metres(prediction: Prediction, anchors: Anchors) -> Prediction:
    """The same; of a prediction without metres, its fit to the anchors that are measured. Raises `NotMetricError`."""
    if prediction.kind == METRES:
        return prediction
    known = screened(anchors[anchors.bound == 0], prediction.depth.shape)
    return align(prediction, known.u, known.v, known.depth, known.sigma)


def fuse_and_report(
    prediction: Prediction, anchors: Anchors, prior: Prior | None = None
) -> tuple[Prediction, dict[int, Report]]:
    """Correct a prediction, and say by source what became of the anchors.

    Args:
        prediction: depth (H, W), and sigma where the network knows it; see `in_metres` for one without metres.
        anchors: of the same image, in any order; at most 200 of them, well spread, are used.
        prior: what is known of the network's errors; None is the shipped network's.

    Returns a prediction with arrays of its own, and a `Report` for each source among the anchors. Raises
    `NotMetricError` where the anchors give no metres to a prediction without.
    """
    prior = prior or Prior()
    prediction = in_metres(prediction, anchors)
    log_depth = cv2.log(prediction.depth)
    fate = _screen(anchors, log_depth.shape)
    used = np.flatnonzero(fate == USED)
    beams = _Beams(anchors[used], log_depth, prior)
    kept, inverse = _gate(beams)
    gain, inverse = (inverse @ beams.innovation).astype(np.float32), inverse.astype(np.float32)
    fate[used[~kept]] = np.where(beams.bound[~kept] == 0, CONTRADICTED, SATISFIED)
    reports = _reports(anchors.source, fate)

    # The posterior mean at the knots of a grid, bilinear between them; at an edge of depth linear in ln depth too, from
    # one side's to the other's, so that the correction is as sharp as the prediction.
    grid = _Grid(log_depth, _MEAN_KNOTS)
    offset = beams.covariance_with(grid.points(grid.log_depth, prior)) @ gain
    slope = np.zeros_like(offset)
    low, high = grid.around()
    edge = high - low > _EDGE
    low_mean, high_mean = (beams.covariance_with(grid.points(side, prior)[edge]) @ gain for side in (low, high))
    slope[edge] = (high_mean - low_mean) / (high - low)[edge]
    offset[edge] = low_mean - slope[edge] * low[edge]
    correction = grid.enlarge(slope)
    correction *= log_depth
    correction += grid.enlarge(offset)
    np.clip(correction, -_MOST_CORRECTION, _MOST_CORRECTION, out=correction)
    depth = prediction.depth * cv2.exp(correction)

    # The network's sigma shrinks as the process's does.
    grid = _Grid(log_depth, _VARIANCE_KNOTS)
    towards = beams.covariance_with(grid.points(grid.log_depth, prior))
    known = np.einsum("ij,ij->i", towards @ inverse, towards, dtype=np.float64)
    counted = min(_MISFIT_ANCHORS, kept.sum()) / max(1, kept.sum())
    squares = (_MISFIT_ANCHORS + counted * beams.innovation @ gain) / (_MISFIT_ANCHORS + counted * kept.sum())
    misfit = max(1.0, float(squares))
    share = (misfit * np.maximum(prior.spread**2 - known, 0) + _GRAIN**2) / (prior.spread**2 + _GRAIN**2)
    share += share**2 * np.maximum(1 - share, 0)  # what few anchors say of far places is known less well than that
    sigma = grid.enlarge(np.sqrt(share))
    sigma *= np.float32(prior.spread) if prediction.sigma is None else prediction.sigma
    return replace(prediction, depth=depth, sigma=sigma), reports


def screened(anchors: Anchors, size: tuple[int, int]) -> Anchors:
    """Those of the anchors that an image (height, width) can be held against."""
    return anchors[_screen(anchors, size) == USED]


def innovation(log_depth: np.ndarray, anchors: Anchors) -> np.ndarray:
    """(N,) what the ln depth of each anchor says beyond that of an image (H, W)."""
    return _Cones(anchors, log_depth).innovation


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


def _gate(beams: "_Beams") -> tuple[np.ndarray, np.ndarray]:
    """Hold each anchor against what the others say of its place (Rasmussen and Williams, equation 5.12).

    Returns which ones are kept (N,), all but those contradicted and the bounds that hold anyway, and (N, N) the inverse
    of the covariance of the innovations of those kept; 0 elsewhere.
    """
    agrees = beams.bound == 0
    for _ in range(_GATE_PASSES):
        kept = agrees
        noise = np.where(kept, beams.noise, _IGNORED)
        inverse = _inverse(beams.covariance + np.diag(noise))
        variance = 1 / inverse.diagonal()
        surprise = variance * (inverse @ beams.innovation)
        deviation = np.abs(surprise) / np.sqrt(np.maximum(variance - noise, 0) + beams.noise)
        agrees = np.where(beams.bound == 0, deviation <= _GATE, surprise * beams.bound > 0)
        if np.array_equal(agrees, kept):
            break
    inverse[~kept] = 0
    inverse[:, ~kept] = 0
    return kept, inverse


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Of a symmetric positive definite one (N, N); half the time of NumPy's, which knows of no such thing."""
    return cv2.invert(matrix, flags=cv2.DECOMP_CHOLESKY)[1] if len(matrix) else matrix


def _reports(source: np.ndarray, fate: np.ndarray) -> dict[int, Report]:
    counts = {int(number): Counter(fate[source == number]) for number in np.unique(source)}
    return {number: Report(count.pop(USED, 0), dict(count)) for number, count in counts.items()}


class _Cones:
    """Anchors as one point of the image, or several in the cone of a wide beam.

    Attributes:
        u, v, log_depth: (P,) the points, and ln depth there.
        start: (N,) the first point of each anchor.
        weight: (P,) of the points in their anchor's mean.
        innovation: (N,) what the ln depth of each says beyond the prediction.
    """

    def __init__(self, anchors: Anchors, log_depth: np.ndarray) -> None:
        height, width = log_depth.shape
        wide = np.asarray(anchors.radius > 0)
        points_of_each = np.clip(_POINTS_OF_BEAMS // max(int(wide.sum()), 1), 4, _POINTS_OF_BEAM)
        number = np.where(wide, points_of_each, 1)
        self.start = np.cumsum(number) - number
        # A sunflower's seeds cover a disc evenly.
        seed = np.arange(number.sum()) - np.repeat(self.start, number)
        distance = np.repeat(anchors.radius, number) * np.sqrt((seed + 0.5) / np.repeat(number, number))
        angle = seed * math.pi * (3 - math.sqrt(5))
        self.u = np.clip(np.repeat(anchors.u, number) + distance * np.cos(angle), 0, width - 1)
        self.v = np.clip(np.repeat(anchors.v, number) + distance * np.sin(angle), 0, height - 1)
        self.log_depth = _sample(log_depth, self.u, self.v)

        # ln(A / B) with A = sum 1/z and B = sum 1/z^2, and its derivatives by ln z, which add up to 1.
        inverse = np.exp(-self.log_depth)
        a, b = (np.add.reduceat(x, self.start) if len(x) else x for x in (inverse, inverse**2))
        self.innovation = np.log(anchors.depth) - np.log(a / b)
        self.weight = 2 * inverse**2 / np.repeat(b, number) - inverse / np.repeat(a, number)


class _Beams:
    """Anchors as weighted means of the process over points: one point, or several in the cone of a wide beam.

    Attributes:
        innovation: (N,) what the ln depth of each says beyond the prediction.
        noise: (N,) its variance that is not the process's.
        covariance: (N, N) of the process under the prior.
        bound: (N,) as in `Anchors`.
    """

    def __init__(self, anchors: Anchors, log_depth: np.ndarray, prior: Prior) -> None:
        cones = _Cones(anchors, log_depth)
        self.innovation, self._start, self._weight = cones.innovation, cones.start, cones.weight
        self._points, self._prior = _in_reaches(cones.u, cones.v, cones.log_depth, log_depth.shape, prior), prior
        offset = prior.slip * max(log_depth.shape) * np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]])
        around = _sample(log_depth, anchors.u + offset[:, :1], anchors.v + offset[:, 1:])
        slip = np.where(anchors.radius > 0, 0, np.ptp(around, axis=0) / 2)
        self.noise = anchors.sigma**2 + prior.registration**2 + slip**2
        self.bound = anchors.bound

        self.covariance = self._summed(self._summed(self._kernel(self._points, np.float64)).T)

    def covariance_with(self, points: np.ndarray) -> np.ndarray:
        """(M, N) float32 of the process at ``points`` (M, 3) with the anchors."""
        return self._summed(self._kernel(points, np.float32))

    def _kernel(self, points: np.ndarray, dtype: type[np.floating]) -> np.ndarray:
        """(M, P) spread^2 exp(-r) between ``points`` (M, 3) and the beams'; r^2 = x.x + y.y - 2 x.y in one product."""
        centre = self._points.mean(axis=0) if len(self._points) else 0  # near 0, numbers have the most digits
        own, points = self._points - centre, points - centre
        left: np.ndarray = np.column_stack([points, (points**2).sum(axis=1), np.ones(len(points))]).astype(dtype)
        right: np.ndarray = np.column_stack([-2 * own, np.ones(len(own)), (own**2).sum(axis=1) + _TIP]).astype(dtype)
        kernel = left @ right.T
        if kernel.size:  # OpenCV's exp takes a third of NumPy's time, and nothing empty
            np.sqrt(kernel, out=kernel)
            np.negative(kernel, out=kernel)
            cv2.exp(kernel, kernel)
            kernel *= dtype(self._prior.spread**2)
        return kernel

    def _summed(self, columns: np.ndarray) -> np.ndarray:
        """(M, N) of (M, P): each anchor's weighted mean over its points."""
        if len(self._start) == len(self._weight):
            return columns
        return np.add.reduceat(columns * self._weight.astype(columns.dtype), self._start, axis=1)


class _Grid:
    """Knots of a coarse grid over the image.

    Attributes:
        log_depth: (knots,) ln depth there.
    """

    def __init__(self, log_depth: np.ndarray, most: int) -> None:
        self._size = log_depth.shape
        self._knots = tuple(max(1, round(most * side / max(self._size))) for side in self._size)
        v, u = ((np.arange(n) + 0.5) * side / n - 0.5 for side, n in zip(self._size, self._knots, strict=True))
        self._u, self._v = np.tile(u, len(v)), np.repeat(v, len(u))
        self.log_depth = _sample(log_depth, self._u, self._v)

    def around(self) -> tuple[np.ndarray, np.ndarray]:
        """(knots,) the least and the largest ln depth among each knot and its eight neighbours."""
        own = self.log_depth.reshape(self._knots)
        return cv2.erode(own, _NEIGHBOURS).ravel(), cv2.dilate(own, _NEIGHBOURS).ravel()

    def points(self, log_depth: np.ndarray, prior: Prior) -> np.ndarray:
        """(knots, 3) in units of the kernel's reaches, of the knots at another ln depth (knots,)."""
        return _in_reaches(self._u, self._v, log_depth, self._size, prior)

    def enlarge(self, values: np.ndarray) -> np.ndarray:
        """(H, W) float32, bilinear between the knots, of values (knots,)."""
        small = values.reshape(self._knots).astype(np.float32)
        return cv2.resize(small, self._size[::-1], interpolation=cv2.INTER_LINEAR)


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
