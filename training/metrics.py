"""Metrics of depth under the evaluation protocol: a row an image, their means and bootstrap intervals.

The protocol: full resolution, predictions clamped to [1e-3, 10] m (or up to the network's own range), valid truth
strictly inside that range and inside the Eigen crop, averaged over images, no alignment. Beside them: the same after
each prediction was scaled to its image's median truth, which shows what is wrong but the scale; the RMSE of the pixels
of all images together; and how well edges of depth are found, as an F-measure over all images.
"""

import math

import numpy as np
import torch
from scipy.stats import bootstrap, spearmanr
from torch import Tensor
from torch.nn.functional import max_pool2d
from torchmetrics import Metric

MIN_DEPTH, MAX_DEPTH = 1e-3, 10.0
NAMES = ("AbsRel", "RMSE", "log10", "delta1", "delta2", "delta3")
MEANS = (*NAMES, "AbsRel_aligned", "RMSE_aligned", "delta1_aligned")
SUMS = ("squared_error", "pixels", "predicted_edges", "right_edges", "true_edges", "found_edges")
COLUMNS = len(MEANS) + len(SUMS)
# An edge is where neighbours' depths differ by over 15 %.
EDGE = math.log(1.15)
# Rows and columns of the Eigen crop at 480x640.
EIGEN_CROP = (45, 471, 41, 601)


def eigen_crop(height: int, width: int) -> Tensor:
    """Boolean (H, W): inside Eigen's crop, scaled from 480x640."""
    top, bottom, left, right = EIGEN_CROP
    inside = torch.zeros(height, width, dtype=torch.bool)
    inside[
        round(top * height / 480) : round(bottom * height / 480), round(left * width / 640) : round(right * width / 640)
    ] = True
    return inside


def image_row(prediction: Tensor, truth: Tensor, mask: Tensor, max_depth: float = MAX_DEPTH) -> Tensor:
    """One image's metrics: those of `MEANS`, then the sums of `SUMS`.

    Args:
        prediction: (H, W) metres.
        truth: (H, W) metres.
        mask: (H, W) bool; at least one pixel.
        max_depth: metres that predictions are clamped to.
    """
    y, p = truth[mask].double(), prediction[mask].double()
    clamped, aligned = (values.clamp(MIN_DEPTH, max_depth) for values in (p, p * (y.median() / p.median())))
    absrel, rmse, _, delta1 = figures(aligned, y)[:4]
    squared = (clamped - y).square().sum()
    edges = edge_counts(prediction.clamp(MIN_DEPTH, max_depth), truth, mask)
    plain, sums = figures(clamped, y), [squared, squared.new_tensor(float(len(y))), *edges.double()]
    return torch.stack([*plain, absrel, rmse, delta1, *sums])


def figures(prediction: Tensor, truth: Tensor) -> Tensor:
    """The metrics of `NAMES` (6,) of pixels (n,) in metres."""
    error, ratio = prediction - truth, torch.maximum(prediction / truth, truth / prediction)
    deltas = [(ratio < 1.25**k).double().mean() for k in (1, 2, 3)]
    log10 = (prediction.log10() - truth.log10()).abs().mean()
    return torch.stack([(error.abs() / truth).mean(), error.square().mean().sqrt(), log10, *deltas])


def depth_edges(depth: Tensor, mask: Tensor) -> Tensor:
    """Boolean (H, W): depth differs by over 15 % from the right or lower neighbour, and both are in the mask."""
    log = torch.where(mask, depth, 1).log()
    edges = torch.zeros_like(mask)
    edges[:, :-1] |= (log.diff(dim=1).abs() > EDGE) & mask[:, 1:] & mask[:, :-1]
    edges[:-1] |= (log.diff(dim=0).abs() > EDGE) & mask[1:] & mask[:-1]
    return edges


def edge_counts(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Numbers of predicted edges, of those with a true one beside, of true edges, of those with a predicted one beside.

    Depth is sampled every hundredth of the diagonal (8 pixels of 640x480), because depth that spreads its edges over
    fewer pixels than that is sharp enough for a map; beside is at most one sample away.
    """
    every = max(round(math.hypot(*truth.shape) / 100), 1)
    sampled, known = torch.stack([prediction, truth])[:, ::every, ::every], mask[::every, ::every]
    edges = torch.stack([depth_edges(depth, known) for depth in sampled])
    beside = max_pool2d(edges.float(), 3, stride=1, padding=1).bool().flip(0)
    return torch.stack([edges, edges & beside]).sum((2, 3)).T.flatten()


def no_rows(like: Tensor, columns: int) -> Tensor:
    """(0, columns) float64, on the device of another tensor."""
    return like.new_zeros((0, columns), dtype=torch.float64)


def whole(rows: list[Tensor] | Tensor, columns: int) -> np.ndarray:
    """All rows of a metric's state, which is one tensor once it is gathered over processes; none is (0, columns)."""
    parts = rows if isinstance(rows, list) else [rows]
    return np.concatenate([np.zeros((0, columns)), *(part.cpu().numpy().reshape(-1, columns) for part in parts)])


class DepthMetrics(Metric):
    """Rows of `image_row`, gathered over processes; `compute` gives their means and the figures of all pixels.

    max_depth: metres that predictions are clamped to.
    """

    rows: list[Tensor]

    def __init__(self, max_depth: float = MAX_DEPTH) -> None:
        super().__init__()
        self.max_depth = max_depth
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def update(self, prediction: Tensor, truth: Tensor, mask: Tensor) -> None:
        """Add a batch (N, 1, H, W); an image without valid pixels has no error and adds no row.

        It adds the shape of rows, though: a process that has none of them would not know what the others gather.
        """
        for p, y, m in zip(prediction[:, 0], truth[:, 0], mask[:, 0], strict=True):
            self.rows.append(image_row(p, y, m, self.max_depth)[None] if m.any() else no_rows(p, COLUMNS))

    def table(self) -> np.ndarray:
        """All rows (images, columns of `MEANS` and `SUMS`)."""
        return whole(self.rows, COLUMNS)

    def compute(self) -> dict[str, float]:
        """Means over images of `MEANS`, and over all images together ``RMSE_pooled`` and ``edge_F``."""
        table = self.table()
        if not len(table):  # no frame had a known pixel: no figure, but no end of a run either
            return dict.fromkeys((*MEANS, "RMSE_pooled", "edge_F"), math.nan)
        means = dict(zip(MEANS, table.mean(axis=0).tolist(), strict=False))
        sums = table[:, len(MEANS) :].T
        return {**means, "RMSE_pooled": float(pooled_rmse(*sums[:2])), "edge_F": float(pooled_f(*sums[2:]))}


def pooled_rmse(squared: np.ndarray, pixels: np.ndarray, axis: int = -1) -> np.ndarray:
    """RMSE over the pixels of all images."""
    return np.sqrt(squared.sum(axis=axis) / pixels.sum(axis=axis))


def pooled_f(
    predicted: np.ndarray, right: np.ndarray, true: np.ndarray, found: np.ndarray, axis: int = -1
) -> np.ndarray:
    """Harmonic mean of the edges' precision and recall over all images; 0 where either has no edge."""
    precision, recall = (
        part.sum(axis=axis) / np.maximum(whole.sum(axis=axis), 1) for part, whole in ((right, predicted), (found, true))
    )
    return 2 * precision * recall / np.maximum(precision + recall, 1e-12)


def intervals(table: np.ndarray, seed: int = 0) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals over images of every figure that `DepthMetrics.compute` gives; none of one image."""
    if len(table) < 2:
        return {}
    options = {"n_resamples": 2000, "method": "percentile", "rng": seed, "vectorized": True}
    found = {
        name: bootstrap((table[:, column],), np.mean, **options).confidence_interval
        for column, name in enumerate(MEANS)
    }
    sums = table[:, len(MEANS) :].T
    for name, columns, pooled in (("RMSE_pooled", sums[:2], pooled_rmse), ("edge_F", sums[2:], pooled_f)):
        found[name] = bootstrap(tuple(columns), pooled, paired=True, **options).confidence_interval
    return {name: (float(i.low), float(i.high)) for name, i in found.items()}


class ErrorMetrics(Metric):
    """How well the predicted error tells the true one, from every n-th valid pixel.

    `compute` gives ``coverage90``, the share of pixels inside their 90 % interval; ``AbsRel_kept80``, AbsRel without
    the least confident fifth of all pixels, as a share of AbsRel with it; ``error_scale``, the factor on the predicted
    scale that would make the coverage 90 %; and ``error_rank``, Spearman's rank correlation of the images' AbsRel with
    their mean predicted scale (NaN for a single image).
    """

    pixels: list[Tensor]
    images: list[Tensor]

    def __init__(self, every: int = 37) -> None:
        super().__init__()
        self.every = every
        self.add_state("pixels", default=[], dist_reduce_fx="cat")
        self.add_state("images", default=[], dist_reduce_fx="cat")

    def update(self, residual: Tensor, scale: Tensor, prediction: Tensor, truth: Tensor, mask: Tensor) -> None:
        """Add a batch (N, 1, H, W): |ln(prediction / truth)|, its predicted Laplace scale, and the depths in metres."""
        relative = (prediction - truth).abs() / truth
        columns = [values[mask][:: self.every].double() for values in (residual, scale, relative)]
        self.pixels.append(torch.stack(columns, dim=1))
        for s, r, m in zip(scale, relative, mask, strict=True):
            means = torch.stack([s[m].double().mean(), r[m].double().mean()])[None]
            self.images.append(means if m.any() else no_rows(s, 2))

    def table(self) -> np.ndarray:
        """A row a pixel: |ln(prediction / truth)|, predicted scale, |prediction - truth| / truth."""
        return whole(self.pixels, 3)

    def compute(self) -> dict[str, float]:
        """The figures by name."""
        residual, scale, relative = self.table().T
        if not len(scale):
            return dict.fromkeys(("coverage90", "AbsRel_kept80", "error_scale", "error_rank"), math.nan)
        within = math.log(10)  # a Laplace variable lies within ln(1 / (1 - p)) scales with probability p
        confident = scale.argsort()[: round(0.8 * len(scale))]
        return {
            "coverage90": float((residual <= within * scale).mean()),
            "AbsRel_kept80": float(relative[confident].mean() / relative.mean()),
            "error_scale": float(np.quantile(residual / scale, 0.9)) / within,
            "error_rank": rank_correlation(*whole(self.images, 2).T),
        }


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, in [-1, 1]; NaN where one of them has but one value."""
    return float(spearmanr(a, b).statistic) if np.ptp(a) and np.ptp(b) else math.nan
