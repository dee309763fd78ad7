"""LightningCLI for this project: fit, validate and test, with the logs, checkpoints and pictures every run keeps."""

import warnings
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from training.data.module import RgbdData
from training.module import DepthModule
from training.pretrained import normalisation
from training.report import PredictionSheet, WorstCases


class DepthCLI(LightningCLI):
    """LightningCLI that keeps in one place what model and data must agree on, and all of a run in one folder.

    The folder is ``trainer.default_root_dir``: TensorBoard and CSV logs, ``predictions/`` and ``checkpoints/`` with
    the last epoch and the best one by validation RMSE.
    """

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link: the range of depth, the normalisation that the encoder was pretrained with, and the seed."""
        parser.link_arguments("model.max_depth", "data.transform.max_depth")
        parser.link_arguments("model.max_depth", "model.loss.init_args.max_depth")
        for part in ("model.seed", "data.seed"):
            parser.link_arguments("seed_everything", part, compute_fn=int)
        parser.link_arguments("model.encoder", "data.transform.normalisation", compute_fn=normalisation)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """The trainer as configured, with the loggers and callbacks that every run has."""
        folder = self._get(self.config_init, "trainer.default_root_dir") or "runs"
        place: dict[str, Any] = {"save_dir": folder, "name": "", "version": ""}
        return super().instantiate_trainer(logger=[CSVLogger(**place), TensorBoardLogger(**place)], **kwargs)


def options() -> dict[str, Any]:
    """What every run has in common; new callbacks each time, for they remember their run."""
    checkpoints = ModelCheckpoint(monitor="val/RMSE", save_last=True, filename="best")
    return {
        "trainer_defaults": {"callbacks": [checkpoints, LearningRateMonitor(), PredictionSheet(), WorstCases()]},
        "save_config_kwargs": {"overwrite": True},
        "seed_everything_default": 0,
    }


def run_lightning(arguments: list[str]) -> DepthCLI:
    """Run fit, validate or test."""
    warnings.filterwarnings("ignore", "LightningCLI's args parameter")  # it is meant for notebooks
    return DepthCLI(DepthModule, RgbdData, args=arguments, **options())


def assemble(arguments: list[str]) -> DepthCLI:
    """Model, data and trainer of a configuration, without running anything."""
    return DepthCLI(DepthModule, RgbdData, args=arguments, run=False, **options())
