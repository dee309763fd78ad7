"""The paper's ablation (table 3): five models under one seed, a table beside the paper's and a figure like figure 3."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from mono_depth_ros.tables import markdown
from training.files import write_image
from training.lightning_cli import DepthCLI, assemble, run_lightning
from training.metrics import NAMES
from training.report import sheet_row, to_rgb
from training.run_folder import LAST, refuse_other_configuration


@dataclass(frozen=True)
class Model:
    """One row of table 3: what it is called, what it overrides in the configuration, and the paper's figures."""

    name: str
    decoder: str
    cut_depth: bool
    loss_network: bool
    paper: tuple[float, ...]

    def overrides(self, cut_depth: float, perceptual: float) -> list[str]:
        """Command-line arguments; what the model does not switch off stays as configured."""
        return [
            f"--model.decoder={self.decoder}",
            f"--data.transform.cut_depth={cut_depth if self.cut_depth else 0.0}",
            f"--model.loss.weights.perceptual={perceptual if self.loss_network else 0.0}",
        ]


MODELS = (
    Model("U-Net", "unet", False, False, (0.128, 0.436, 0.054, 0.845, 0.975, 0.995)),
    Model("U-Net + CutDepth", "unet", True, False, (0.125, 0.420, 0.052, 0.853, 0.977, 0.995)),
    Model("SU-Net", "sunet", False, False, (0.125, 0.430, 0.053, 0.851, 0.975, 0.995)),
    Model("SU-Net + CutDepth", "sunet", True, False, (0.124, 0.424, 0.053, 0.853, 0.976, 0.995)),
    Model("SU-Net + CutDepth + loss network", "sunet", True, True, (0.120, 0.419, 0.051, 0.860, 0.978, 0.996)),
)


class Prediction(NamedTuple):
    """A test frame and what a model makes of it: RGB (h, w, 3) uint8, truth and depth (H, W) in metres."""

    rgb: np.ndarray
    truth: np.ndarray
    depth: np.ndarray


def main(arguments: list[str]) -> None:
    """Train and test the five models; a model already tested is not run again, one half trained is resumed."""
    parser = argparse.ArgumentParser(prog="python -m training ablation", description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("training/configs/paper.yaml"), help="of model 5")
    parser.add_argument("--output", type=Path, default=Path("runs/ablation"), help="folder of runs, table and figure")
    parser.add_argument("--cut-depth", type=float, default=0.25, help="CutDepth's probability where it is on")
    parser.add_argument("--perceptual", type=float, default=0.5, help="the loss network's weight where it is on")
    parser.add_argument("--frames", type=int, default=4, help="test frames in the figure")
    options, overrides = parser.parse_known_args(arguments)
    reports, predictions = [], []
    for number, model in enumerate(MODELS, start=1):
        folder = options.output / f"model_{number}"
        changes = [*overrides, *model.overrides(options.cut_depth, options.perceptual)]
        print(f"model {number} of {len(MODELS)}: {model.name}")
        cli = assemble([f"--config={options.config}", f"--trainer.default_root_dir={folder}", *changes])
        refuse_other_configuration(folder, cli.as_saved())
        if not (folder / "test.json").is_file():
            train_and_test(options.config, folder, changes)
        reports.append(json.loads((folder / "test.json").read_text()))
        predictions.append(predict(cli, folder, options.frames))
    publish(options.output, comparison(reports), predictions)


def publish(folder: Path, table: str, predictions: list[list[Prediction]]) -> None:
    """Print a comparison's table, and write it and its figure."""
    (folder / "table.md").write_text(table + "\n", encoding="utf-8")
    write_image(folder / "figure.png", figure(predictions))
    print(table)
    print(f"table.md and figure.png are in {folder}")


def train_and_test(config: Path, folder: Path, changes: list[str]) -> None:
    """Train one model, or go on with it where it was stopped, and test what it ended with."""
    arguments = [f"--config={config}", f"--trainer.default_root_dir={folder}", *changes]
    run_lightning(["fit", *arguments, "--ckpt_path=last"])
    run_lightning(["test", *arguments, "--ckpt_path=last"])


@torch.inference_mode()
def predict(cli: DepthCLI, folder: Path, frames: int) -> list[Prediction]:
    """What a model makes of evenly spaced test frames."""
    state = torch.load(folder / LAST, map_location="cpu", weights_only=True)["state_dict"]
    cli.model.load_state_dict(state)
    cli.model.eval()
    loader = cli.datamodule.test_dataloader()
    chosen = set(np.linspace(0, len(loader) - 1, frames).round().astype(int).tolist())
    found = []
    for batch in (batch for index, batch in enumerate(loader) if index in chosen):
        predicted, _ = cli.model.metric_depth(batch)
        found.append(Prediction(to_rgb(batch["image"][0]), batch["depth"][0, 0].numpy(), predicted[0, 0].numpy()))
    return found


def comparison(reports: list[dict[str, Any]]) -> str:
    """The table: ours and, in brackets, the paper's."""
    rows = []
    for model, report in zip(MODELS, reports, strict=True):
        ours = [report["results"][name] for name in NAMES]
        rows.append([model.name, *(f"{a:.3f} ({b:.3f})" for a, b in zip(ours, model.paper, strict=True))])
    return markdown(["model", *NAMES], rows)


def figure(predictions: list[list[Prediction]]) -> np.ndarray:
    """A row a frame, as in the paper's figure 3: image, truth, then the prediction of each of the models."""
    frames = zip(*predictions, strict=True)
    return np.vstack([sheet_row(row[0].rgb, row[0].truth, *(p.depth for p in row)) for row in frames])
