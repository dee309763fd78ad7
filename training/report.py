"""Reports: the table and JSON of a test, and sheets of predictions beside their truth."""

import json
from pathlib import Path
from typing import Any

import cv2
import lightning.pytorch as pl
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch.distributed
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from mono_depth_ros.preview import DepthPreview
from training.files import write_image
from training.metrics import MEANS, intervals

matplotlib.use("Agg")
PROTOCOL = (
    "predictions at the truth's resolution, clamped to [1e-3, {0:g}] m; valid truth inside (1e-3, {0:g}) m and the "
    "Eigen crop; means over images, no test-time augmentation, no alignment (_aligned: scaled to each image's median "
    "truth); edge_F: of edges where samples a hundredth of the diagonal apart differ by over 15 %; 95 % bootstrap "
    "intervals over images"
)


def write_report(folder: Path, results: dict[str, float], table: np.ndarray, max_depth: float) -> None:
    """Print a test's figures and write them to ``folder/test.json``, with one row an image.

    Args:
        folder: where to write; made if it is not there.
        results: figures by name, as `DepthMetrics.compute` gives them.
        table: rows of `image_row`.
        max_depth: metres up to which depth is judged.

    Raises ValueError where no image had anything to judge.
    """
    require_truth("test", table)
    spread, protocol = intervals(table), PROTOCOL.format(max_depth)
    report = {"protocol": protocol, "images": len(table), "results": results, "intervals": spread}
    rows = [dict(zip(MEANS, row, strict=False)) for row in table.tolist()]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "test.json"
    file.write_text(json.dumps({**report, "per_image": rows}, indent=1) + "\n")
    print(f"{len(table)} images; {protocol}")
    for name, value in results.items():
        low, high = spread.get(name, (None, None))
        print(f"{name:14s} {value:.4f}" + (f"  [{low:.4f}, {high:.4f}]" if low is not None else ""))
    print(f"also in {file}")


def require_truth(use: str, table: np.ndarray) -> None:
    """Raise ValueError where the frames of a use gave no row of `image_row`."""
    if not len(table):
        raise ValueError(f"data.{use}: no frame has known depth in range and inside the Eigen crop; nothing is judged")


def to_rgb(image: Tensor) -> np.ndarray:
    """A normalised image (3, H, W) as RGB uint8 (H, W, 3), stretched over its own range."""
    array = image.float().cpu().numpy().transpose(1, 2, 0)
    low, high = array.min(), array.max()
    return ((array - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)


def sheet_row(rgb: np.ndarray, *depths: np.ndarray, farthest: float = 10.0) -> np.ndarray:
    """The image and depth maps of it side by side in one colour range, 0 m to ``farthest``; unknown (0) is black."""
    height, width = depths[0].shape
    pictures = [cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)]
    for depth in depths:
        known = np.where(depth > 0, depth, np.nan).astype(np.float32)
        pictures.append(DepthPreview(0, farthest).render(known).copy())
    return np.hstack(pictures)


def prediction_row(module: Any, batch: dict[str, Tensor], width: int = 1280) -> np.ndarray:
    """RGB, ``width`` pixels wide, of a batch's first image, its truth and what the `DepthModule` makes of it."""
    predicted = module.metric_depth(batch)[0][0, 0].float().cpu().numpy()
    row = sheet_row(to_rgb(batch["image"][0]), batch["depth"][0, 0].cpu().numpy(), predicted)
    return cv2.resize(row, (width, width * row.shape[0] // row.shape[1]), interpolation=cv2.INTER_AREA)


def write_reliability(file: Path, pixels: np.ndarray) -> None:
    """Plot how far the predicted error can be trusted.

    Left, the share of pixels inside each interval against its nominal probability; right, AbsRel of what remains when
    the least confident pixels are dropped, against dropping those of largest true error.

    Args:
        file: the PNG to write.
        pixels: `ErrorMetrics.table`.
    """
    residual, scale, relative = pixels.T
    nominal = np.linspace(0.02, 0.98, 49)
    inside = [(residual <= -scale * np.log(1 - p)).mean() for p in nominal]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    left.plot([0, 1], [0, 1], color="0.7", label="ideal")
    left.plot(nominal, inside, label="held-out pixels")
    left.set(xlabel="nominal probability of the interval", ylabel="share of pixels inside", title="reliability")
    dropped = np.linspace(0, 0.9, 46)
    for label, order in (("by confidence", scale.argsort()), ("by the true error", relative.argsort())):
        means = np.cumsum(relative[order]) / np.arange(1, len(relative) + 1)
        right.plot(dropped, means[((1 - dropped) * len(relative)).astype(int) - 1], label=label)
    right.set(xlabel="share of pixels dropped", ylabel="AbsRel of the rest", title="sparsification", ylim=(0, None))
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=110)
    plt.close(figure)


class WorstCases(pl.Callback):
    """After a test, ``worst.png``: the frames of largest AbsRel as image, truth and prediction, the worst on top.

    Args:
        frames: how many.
    """

    def __init__(self, frames: int = 6) -> None:
        self.frames = frames
        self._worst: list[tuple[float, int, np.ndarray]] = []

    def on_test_batch_end(
        self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, index: int, loader: int = 0
    ) -> None:
        """Keep the frame if it is among the worst so far."""
        row = module.depth_metrics.rows[-1]
        if not len(row):
            return
        error = float(row[0, 0])
        if len(self._worst) < self.frames or error > self._worst[-1][0]:
            frame = index * trainer.world_size + trainer.global_rank
            self._worst.append((error, frame, prediction_row(module, batch)))
            self._worst = sorted(self._worst, key=lambda case: -case[0])[: self.frames]

    def on_test_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Write the sheet of all processes' frames and say what is on it."""
        shares = [self._worst]
        if trainer.world_size > 1:
            shares = [[] for _ in range(trainer.world_size)]
            torch.distributed.all_gather_object(shares, self._worst)
        worst = sorted((case for share in shares for case in share), key=lambda case: -case[0])[: self.frames]
        if not (trainer.is_global_zero and worst):
            return
        file = Path(trainer.default_root_dir) / "worst.png"
        write_image(file, np.vstack([row for _, _, row in worst]))
        listed = ", ".join(f"frame {frame}: AbsRel {error:.3f}" for error, frame, _ in worst)
        print(f"worst frames, from the top of {file}: {listed}")


class PredictionSheet(pl.Callback):
    """After each validation, a sheet of the first frames: image, truth, prediction; a PNG, and in TensorBoard.

    Args:
        frames: how many.
    """

    def __init__(self, frames: int = 4) -> None:
        self.frames = frames
        self._rows: list[np.ndarray] = []

    @rank_zero_only
    def on_validation_batch_end(
        self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, index: int, loader: int = 0
    ) -> None:
        """Draw a row of the sheet."""
        if len(self._rows) < self.frames:
            self._rows.append(prediction_row(module, batch))

    @rank_zero_only
    def on_validation_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Write the sheet."""
        sheet, self._rows = np.vstack(self._rows), []
        folder = Path(trainer.default_root_dir)
        write_image(folder / "predictions" / f"epoch_{trainer.current_epoch:04d}.png", sheet)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("predictions", sheet, trainer.global_step, dataformats="HWC")
