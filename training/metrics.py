"""Metrics of depth under the evaluation protocol: a row an image, their means and bootstrap intervals.

The protocol: full resolution, predictions clamped to [1e-3, 10] m, valid truth strictly inside that range and inside
the Eigen crop, averaged over images, no alignment; the pooled RMSE takes all pixels of all images together.
"""

import math

import numpy as np
import torch
from scipy.stats import bootstrap
from torch import Tensor
from torchmetrics import Metric

MIN_DEPTH, MAX_DEPTH = 1e-3, 10.0
NAMES = ("AbsRel", "RMSE", "log10", "delta1", "delta2", "delta3")
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


def valid_pixels(truth: Tensor) -> Tensor:
    """Boolean mask of truth (..., H, W) inside the protocol's range."""
    return (truth > MIN_DEPTH) & (truth < MAX_DEPTH)


def image_row(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """One image's metrics in the order of `NAMES`, then its squared error summed and its number of pixels.

    Args:
        prediction: (H, W) metres.
        truth: (H, W) metres.
        mask: (H, W) bool; at least one pixel.
    """
    y = truth[mask].double()
    p = prediction[mask].double().clamp(MIN_DEPTH, MAX_DEPTH)
    error, ratio = p - y, torch.maximum(p / y, y / p)
    squared = error.square()
    deltas = [(ratio < 1.25**k).double().mean() for k in (1, 2, 3)]
    return torch.stack(
        [(error.abs() / y).mean(), squared.mean().sqrt(), (p.log10() - y.log10()).abs().mean(), *deltas]
        + [squared.sum(), squared.new_tensor(float(len(y)))]
    )


class DepthMetrics(Metric):
    """Rows of `image_row`, gathered over processes; `compute` gives their means and the pooled RMSE."""

    rows: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def update(self, prediction: Tensor, truth: Tensor, mask: Tensor) -> None:
        """Add a batch (N, 1, H, W); an image without valid pixels has no error and adds nothing."""
        for p, y, m in zip(prediction[:, 0], truth[:, 0], mask[:, 0], strict=True):
            if m.any():
                self.rows.append(image_row(p, y, m)[None])

    def table(self) -> np.ndarray:
        """All rows (images, 8)."""
        rows = torch.cat(self.rows) if isinstance(self.rows, list) else self.rows
        return rows.cpu().numpy()

    def compute(self) -> dict[str, float]:
        """Mean of each metric over images, and ``RMSE_pooled`` over pixels."""
        table = self.table()
        values = dict(zip(NAMES, table[:, :6].mean(axis=0).tolist(), strict=True))
        return {**values, "RMSE_pooled": pooled_rmse(table[:, 6], table[:, 7])}


def pooled_rmse(squared: np.ndarray, pixels: np.ndarray, axis: int = -1) -> float:
    """RMSE over the pixels of all images."""
    return np.sqrt(squared.sum(axis=axis) / pixels.sum(axis=axis))


def intervals(table: np.ndarray, seed: int = 0) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals over images of every figure that `DepthMetrics.compute` gives."""
    options = {"n_resamples": 2000, "method": "percentile", "rng": seed, "vectorized": True}
    found = {
        name: bootstrap((table[:, column],), np.mean, **options).confidence_interval
        for column, name in enumerate(NAMES)
    }
    pooled = bootstrap((table[:, 6], table[:, 7]), pooled_rmse, paired=True, **options)
    found["RMSE_pooled"] = pooled.confidence_interval
    return {name: (float(i.low), float(i.high)) for name, i in found.items()}


class ErrorMetrics(Metric):
    """How well the predicted error tells the true one, from every n-th valid pixel.

    `compute` gives ``coverage90``, the share of pixels inside their 90 % interval; ``AbsRel_kept80``, AbsRel without
    the least confident fifth of all pixels, as a share of AbsRel with it; and ``error_scale``, the factor on the
    predicted scale that would make the coverage 90 %.
    """

    pixels: list[Tensor]

    def __init__(self, every: int = 37) -> None:
        super().__init__()
        self.every = every
        self.add_state("pixels", default=[], dist_reduce_fx="cat")

    def update(self, residual: Tensor, scale: Tensor, prediction: Tensor, truth: Tensor, mask: Tensor) -> None:
        """Add a batch (N, 1, H, W): |ln(prediction / truth)|, its predicted Laplace scale, and the depths in metres."""
        relative = (prediction - truth).abs() / truth
        columns = [values[mask][:: self.every].double() for values in (residual, scale, relative)]
        self.pixels.append(torch.stack(columns, dim=1))

    def table(self) -> np.ndarray:
        """A row a pixel: |ln(prediction / truth)|, predicted scale, |prediction - truth| / truth."""
        pixels = torch.cat(self.pixels) if isinstance(self.pixels, list) else self.pixels
        return pixels.cpu().numpy()

    def compute(self) -> dict[str, float]:
        """The figures by name."""
        residual, scale, relative = self.table().T
        within = math.log(10)  # a Laplace variable lies within ln(1 / (1 - p)) scales with probability p
        confident = scale.argsort()[: round(0.8 * len(scale))]
        return {
            "coverage90": float((residual <= within * scale).mean()),
            "AbsRel_kept80": float(relative[confident].mean() / relative.mean()),
            "error_scale": float(np.quantile(residual / scale, 0.9)) / within,
        }
