"""LightningCLI for this project: fit, validate and test, with the logs, checkpoints and pictures every run keeps."""

import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import yaml
from jsonargparse import ActionConfigFile, Namespace
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from training import run_folder
from training.data.module import RgbdData
from training.data.summary import describe
from training.module import DepthModule
from training.pretrained import normalisation
from training.report import PredictionSheet, WorstCases

USES = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}


class LayeredConfigFile(ActionConfigFile):
    """A ``--config`` whose lists replace those of an earlier one.

    jsonargparse would merge lists of one length item by item: another set of frames would keep the first one's rows.
    """

    @staticmethod
    def apply_config(parser: Any, cfg: Namespace, dest: str, value: str) -> None:
        """Forget each list that the file gives anew, then apply the file."""
        text = Path(value).read_text(encoding="utf-8") if Path(value).is_file() else value
        for key in list_keys(yaml.safe_load(text)):
            if key in cfg:
                cfg[key] = None
        ActionConfigFile.apply_config(parser, cfg, dest, value)


def list_keys(content: Any, prefix: str = "") -> list[str]:
    """Dotted keys of all lists in nested dictionaries."""
    if isinstance(content, list):
        return [prefix]
    items = content.items() if isinstance(content, dict) else ()
    return [found for key, value in items for found in list_keys(value, f"{prefix}.{key}" if prefix else key)]


class DepthCLI(LightningCLI):
    """LightningCLI that keeps in one place what model and data must agree on, and all of a run in one folder.

    The folder is ``trainer.default_root_dir``: see `training.run_folder`. Unless ``trainer.logger`` says otherwise,
    its logs are ``metrics.csv`` and TensorBoard's.
    """

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Lightning's parser with `LayeredConfigFile`."""
        parser = self.parser_class(**kwargs)
        parser.add_argument("-c", "--config", action=LayeredConfigFile, help="a configuration (YAML); may be repeated")
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Link: the range of depth, the normalisation that the encoder was pretrained with, and the seed."""
        parser.link_arguments("model.max_depth", "data.transform.max_depth")
        parser.link_arguments("model.max_depth", "model.loss.init_args.max_depth")
        for part in ("model.seed", "data.seed"):
            parser.link_arguments("seed_everything", part, compute_fn=int)
        parser.link_arguments("model.encoder", "data.transform.normalisation", compute_fn=normalisation)

    def _parse_ckpt_path(self) -> None:
        """Take no hyperparameter out of the checkpoint: Lightning would put them above explicit flags."""

    def before_instantiate_classes(self) -> None:
        """Testing takes no loss, so it needs no weights of a loss network."""
        loss = self._get(self.config, "model.loss", default=None)
        if self.subcommand in ("validate", "test") and loss and loss.init_args.get("weights"):
            loss.init_args.weights.perceptual = 0.0

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """The trainer as configured, with the loggers, callbacks and checkpoints that every run has."""
        folder = Path(self._get(self.config_init, "trainer.default_root_dir") or "runs")
        logger = self._get(self.config_init, "trainer.logger")
        checkpoint = self._get(self.config_init, "ckpt_path") if self.subcommand else None
        callbacks: list[Callback] = []
        if self.subcommand == "fit":
            checkpoint = run_folder.checkpoint_to_fit_from(folder, checkpoint)
            if logger in (None, True):
                tensorboard = TensorBoardLogger(folder, name="", version="")
                logger = [run_folder.MetricsCsv(folder, checkpoint), tensorboard]
            callbacks = [
                run_folder.OneAtATime(folder),
                PredictionSheet(),
                *([LearningRateMonitor()] if logger else []),
                *run_folder.checkpoints(folder),
            ]
        else:
            checkpoint = run_folder.checkpoint_of(folder, checkpoint)
            logger = logger or False
        if self.subcommand == "test":
            folder = run_folder.folder_of_test(folder)
            callbacks = [WorstCases()]
        if self.subcommand:
            self.config_init[self.subcommand]["ckpt_path"] = checkpoint
        self.trainer_defaults = {"callbacks": callbacks}
        plugins = self._get(self.config_init, "trainer.plugins") or []
        plugins = [*(plugins if isinstance(plugins, list) else [plugins]), run_folder.WholeCheckpointIO()]
        return super().instantiate_trainer(logger=logger, default_root_dir=str(folder), plugins=plugins, **kwargs)

    def as_saved(self) -> dict[str, Any]:
        """The configuration of an assembled command as ``config.yaml`` would say it."""
        return yaml.safe_load(self.parser.dump(self.config, skip_none=False))

    @rank_zero_only
    def print_sets(self) -> None:
        """Say which frames the command uses, before it begins."""
        for use in USES[str(self.subcommand)]:
            for frames in self.datamodule.sets[use] or []:
                print(f"{use:5s} {describe(frames)}", flush=True)

    before_fit = before_validate = before_test = print_sets


def options() -> dict[str, Any]:
    """What every command has in common."""
    return {
        "save_config_callback": run_folder.RunConfig,
        "save_config_kwargs": {"save_to_log_dir": False},
        "seed_everything_default": 0,
    }


def run_lightning(arguments: list[str]) -> DepthCLI:
    """Run fit, validate or test."""
    warnings.filterwarnings("ignore", "LightningCLI's args parameter")  # it is meant for notebooks
    return DepthCLI(DepthModule, RgbdData, args=arguments, **options())


def assemble(arguments: list[str]) -> DepthCLI:
    """Model, data and trainer of a configuration, without running anything."""
    return DepthCLI(DepthModule, RgbdData, args=arguments, run=False, **options())
