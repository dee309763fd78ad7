"""A run's folder: begun once, gone on with from its own last checkpoint, and never mixed with another run."""

import csv
import fcntl
import os
import sys
import weakref
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint, ModelCheckpoint
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

LAST = Path("checkpoints/last.ckpt")
# What `fit` leaves; any of it says that the folder has its run.
LEAVINGS = ("config.yaml", "metrics.csv", "checkpoints/*.ckpt")


def checkpoint_of(folder: Path, name: str | None) -> str | None:
    """The file that ``--ckpt_path`` means: ``last`` and ``best`` are the folder's own, all else is a path."""
    return str(folder / f"checkpoints/{name}.ckpt") if name in ("last", "best") else name


def checkpoint_to_fit_from(folder: Path, name: str | None) -> str | None:
    """The checkpoint that `fit` starts from, or None to begin.

    Args:
        folder: of the run.
        name: ``last`` begins where no epoch has ended yet, so that one command serves however often a run was killed.

    Raises:
        FileExistsError: the folder has a run, which this would mix with another.
    """
    checkpoint = checkpoint_of(folder, name)
    if checkpoint and Path(checkpoint).absolute() == (folder / LAST).absolute():
        if Path(checkpoint).is_file():
            return checkpoint
        if has_ended_an_epoch(folder):
            raise FileExistsError(
                f"{checkpoint}: it is not there, but the folder has more of a run, which a new one would overwrite: "
                "put it back, or give the new run a folder of its own by --trainer.default_root_dir"
            )
        return None
    found = next((file for pattern in LEAVINGS for file in sorted(folder.glob(pattern))), None)
    if found:
        raise FileExistsError(
            f"{found}: this folder has a run already. Go on with it by --ckpt_path last, or give the new run a folder "
            "of its own by --trainer.default_root_dir"
        )
    return checkpoint


def has_ended_an_epoch(folder: Path) -> bool:
    """Whether a run got so far that it had a last checkpoint."""
    rows = rows_before(folder / "metrics.csv", sys.maxsize)
    return any(folder.glob("checkpoints/*.ckpt")) or any(int(row.get("epoch") or 0) > 0 for row in rows)


def folder_of_test(folder: Path) -> Path:
    """Where a test writes: the run's folder; if that has a test's figures, ``test_2`` in it, ``test_3`` and so on."""
    numbered = (folder / f"test_{number}" for number in count(2))
    return folder if not (folder / "test.json").exists() else next(f for f in numbered if not f.exists())


def checkpoints(folder: Path) -> list[Checkpoint]:
    """The best epoch by validation RMSE, then the last one, whose file so knows what is best."""
    place: dict[str, Any] = {"dirpath": folder / "checkpoints", "enable_version_counter": False}
    return [
        ModelCheckpoint(monitor="val/RMSE", filename="best", **place),
        ModelCheckpoint(filename="last", save_on_train_epoch_end=True, **place),
    ]


class OneAtATime(Callback):
    """Keeps a folder to one `fit` at a time; however a process ends, its lock goes with it.

    Raises BlockingIOError where another process has it.
    """

    def __init__(self, folder: Path) -> None:
        self._let_go: Callable[[], object] = lambda: None
        if getattr(rank_zero_only, "rank", 0):
            return
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
        self._let_go = weakref.finalize(self, os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(f"{folder}: another training is at work in this folder; wait for its end") from error

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let go of it."""
        self._let_go()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Let go of it: `teardown` is not called then."""
        self._let_go()


def replace_file(path: Path, content: str) -> None:
    """Write text so that the file is, at any moment, the old one or the new one."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(content, encoding="utf-8")
    part.replace(path)


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes beside the old checkpoint, on the same disk, and puts it in its place once it is whole on the disk.

    (Lightning's own goes by the folder of temporary files and copies, or writes over the old one.)
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Save. Raises OSError, naming the file, where the disk is full; the old checkpoint stays."""
        part = Path(f"{path}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(part, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except (OSError, RuntimeError) as error:  # torch's writer turns a full disk into a RuntimeError
            part.unlink(missing_ok=True)
            raise OSError(f"{path}: could not be written; the one before it is kept: {error}") from error


class MetricsCsv(CSVLogger):
    """CSVLogger whose ``metrics.csv`` goes on: rows of before the checkpoint stay, those after it are written anew.

    Args:
        folder: of the run.
        resumed_from: the checkpoint, or None for a new run.
    """

    def __init__(self, folder: Path, resumed_from: str | None) -> None:
        super().__init__(folder, name="", version="")
        self.resumed_from = resumed_from

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer."""
        if self._experiment is None:
            self._experiment = MetricsWriter(self.log_dir, self.resumed_from)
        return self._experiment


class MetricsWriter(ExperimentWriter):
    """Writes ``metrics.csv`` so that a kill at any moment leaves all rows of before."""

    def __init__(self, log_dir: str, resumed_from: str | None) -> None:
        self.rows: list[dict[str, Any]] = []
        if resumed_from:
            steps = torch.load(resumed_from, map_location="cpu", weights_only=True, mmap=True)["global_step"]
            self.rows = rows_before(Path(log_dir) / self.NAME_METRICS_FILE, steps)
        super().__init__(log_dir)
        self.metrics_keys = list(self.rows[0]) if self.rows else []
        self._rewrite()

    def _check_log_dir_exists(self) -> None:
        """Delete nothing, unlike the base class."""

    def save(self) -> None:
        """Append what was logged; new columns rewrite the file."""
        if not self.metrics:
            return
        self.rows += self.metrics
        if self._record_new_keys():
            self._rewrite()
        else:
            with open(self.metrics_file_path, "a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self.metrics_keys).writerows(self.metrics)
        self.metrics = []

    def _rewrite(self) -> None:
        part = Path(f"{self.metrics_file_path}.part")
        with open(part, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.metrics_keys)
            writer.writeheader()
            writer.writerows(self.rows)
        part.replace(self.metrics_file_path)


def rows_before(file: Path, steps: int) -> list[dict[str, Any]]:
    """The rows of a ``metrics.csv`` that its first ``steps`` optimiser steps logged; none where there is no file."""
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = csv.DictReader(line for line in lines if line.endswith("\n"))  # a kill may have cut the last one
    return [row for row in whole if int(row["step"]) < steps]


class RunConfig(SaveConfigCallback):
    """Saves what a run was configured with: ``config.yaml`` of `fit`, and ``test.yaml`` of `test`.

    The first is never written again: if a run is gone on with otherwise than it was begun, ``config_2.yaml`` (3, ...)
    says how.
    """

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Save it into the run's folder."""
        if stage not in ("fit", "test"):
            return
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        content = self.parser.dump(self.config, skip_none=False)
        if stage == "test":
            replace_file(folder / "test.yaml", content)
            return
        numbered = (folder / (f"config_{number}.yaml" if number > 1 else "config.yaml") for number in count(1))
        for file in numbered:
            if not file.exists():
                replace_file(file, content)
                return
            if not differences(yaml.safe_load(file.read_text()), yaml.safe_load(content)):
                return


def refuse_other_configuration(folder: Path, configuration: dict[str, Any]) -> None:
    """Raise ValueError, naming what differs, where the folder has a run that was configured otherwise.

    Args:
        folder: of the run, if there is one yet.
        configuration: what `fit` would be configured with, as ``config.yaml`` says it.
    """
    file = folder / "config.yaml"
    if file.is_file():
        found = yaml.safe_load(file.read_text())
        changed = differences({key: found.get(key) for key in configuration}, configuration)
        if changed:
            raise ValueError(
                f"{file}: this run was configured otherwise ({'; '.join(changed)}); name another folder by --output, "
                "or remove this one"
            )


def differences(one: Any, other: Any, key: str = "") -> list[str]:
    """Each key whose value differs in two configurations, but for the checkpoint that they start from."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [name for name in {**one, **other} if name != "ckpt_path"]
        return [d for k in keys for d in differences(one.get(k), other.get(k), f"{key}.{k}" if key else k)]
    return [] if one == other else [f"{key}: found {one}, now {other}"]
