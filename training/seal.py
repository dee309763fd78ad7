"""Seal: calibrate the error head, measure, and write a training checkpoint as the file that a robot runs."""

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch import nn

from mono_depth_ros.checkpoint import CheckpointInfo, load
from mono_depth_ros.export import round_weights, seal
from mono_depth_ros.network import DepthNetwork
from mono_depth_ros.network.model import ErrorHead
from training.lightning_cli import DepthCLI, assemble
from training.lsq import seal_quantised
from training.module import DepthModule, load_start
from training.report import require_truth


def main(arguments: list[str]) -> None:
    """Seal what a training run left."""
    parser = argparse.ArgumentParser(prog="python -m training seal", description=__doc__)
    parser.add_argument("--config", action="append", required=True, help="the run's configuration; repeatable")
    parser.add_argument("--ckpt_path", required=True, help="its checkpoint, such as checkpoints/best.ckpt, or a mean")
    parser.add_argument("--output", type=Path, required=True, help="NAME.safetensors; NAME.onnx is written beside it")
    parser.add_argument("--ancestors", nargs="*", default=[], help="sealed checkpoints it began from, for their data")
    parser.add_argument("--licence", required=True, help="of the weights, which the data's licences bind")
    options, overrides = parser.parse_known_args(arguments)
    output, written = options.output, (".safetensors", ".onnx", ".int8.onnx")
    there = next((file for suffix in written if (file := output.with_suffix(suffix)).exists()), None)
    if output.suffix != ".safetensors" or there or not output.parent.is_dir():
        parser.error(f"--output: found {there or output}, expected a new NAME.safetensors in a folder that is there")
    configs = [f"--config={config}" for config in options.config]
    cli = assemble([*configs, *overrides, "--model.loss.weights.perceptual=0"])
    if not isinstance(cli.model.network, DepthNetwork):
        raise ValueError(f"seal: found a {type(cli.model.network).__name__}, expected the paper's network")
    inherited = [frames for file in options.ancestors for frames in load(file).info.data]
    info = describe(cli, options.licence, inherited)  # what cannot be sealed is refused before hours of measuring
    load_start(cli.model.network, options.ckpt_path)
    round_weights(cli.model.network)
    if cli.model.network.error_head:
        calibrate(cli.model.network.error_head, measure(cli, "val")["error_scale"])
    info = replace(info, metrics=measure(cli, "test"))
    write = seal_quantised if cli.model.hparams["quantise_bits"] else seal
    sealed = write(cli.model.network.eval(), info, options.output)
    for name, value in info.metrics.items():
        print(f"{name:14s} {value:.4f}")
    print(f"sealed {sealed.path}, SHA-256 {sealed.sha256}")


@torch.inference_mode()
def measure(cli: DepthCLI, use: str) -> dict[str, float]:
    """Figures of the model on the ``val`` or ``test`` frames. Raises ValueError where they have no known depth."""
    model: DepthModule = cli.model.eval()
    data: pl.LightningDataModule = cli.datamodule
    loader = data.val_dataloader() if use == "val" else data.test_dataloader()
    model.depth_metrics.reset()
    model.error_metrics.reset()
    for batch in loader:
        model.evaluate(batch)
    require_truth(use, model.depth_metrics.table())
    return model.results()


@torch.no_grad()
def calibrate(error_head: ErrorHead, error_scale: float) -> None:
    """Multiply every predicted error by ``error_scale``: the head predicts its logarithm, so its bias grows by ln."""
    last = error_head.convs[-1]
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    last.bias += math.log(error_scale)


def describe(cli: DepthCLI, licence: str, inherited: Sequence[str] = ()) -> CheckpointInfo:
    """Everything that must travel with the weights but figures; ``inherited``: sets earlier weights were trained on.

    Raises ValueError for a size that no network runs at, and where frames are missing.
    """
    h, transform, sets = cli.model.hparams, cli.datamodule.transform, cli.datamodule.sets
    if missing := [use for use, frames in sets.items() if not frames]:
        raise ValueError(f"data: found no set of frames for {', '.join(missing)}, expected at least one each")
    mean, std = (tuple(255 * value for value in values) for values in transform.normalisation)
    return CheckpointInfo(
        architecture={name: h[name] for name in ("encoder", "decoder", "width", "max_depth", "error")},
        input_size=transform.input_size,
        focal_length=transform.canonical,
        max_depth=h["max_depth"],
        mean=mean,
        std=std,
        data=tuple(dict.fromkeys([*inherited, *map(str, sets["train"])])),
        licence=licence,
    )
