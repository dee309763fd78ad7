"""RgbdData: sets of RGB-D frames as Lightning's loaders of samples."""

import multiprocessing
import os
import threading
import time
from functools import partial
from multiprocessing.context import BaseContext

import cv2
import lightning.pytorch as pl
import psutil
import torch
from torch.utils.data import ConcatDataset, DataLoader

from training.data.frame import RgbdDataset
from training.data.sampling import EpochSampler, EvaluationSampler, Samples, Transform
from training.data.skipping import SkipBadFrames
from training.transforms import EvaluationTransform, Sample, TrainTransform


def worker_context() -> BaseContext:
    """Workers come from a server process without threads.

    A fork of this process would copy the locks of its other threads (PyTorch's, OpenCV's, of a ROS node or of an
    inference engine in one process with it) in whatever state they are, and hang or crash on them.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.data.module"])  # imported once, not by each worker
    return context


def start_worker(worker: int, trainer: int) -> None:
    """Make a worker use one core, for the workers are the parallelism, and end when its training process does.

    PyTorch's workers watch their parent, which here is the server, and the server lives as long as they do: a training
    that is killed would leave all of them behind.
    """
    cv2.setNumThreads(1)
    threading.Thread(target=end_with, args=(trainer,), daemon=True).start()


def end_with(process: int) -> None:
    """End this process once another one is gone."""
    while psutil.pid_exists(process):
        time.sleep(2)
    os._exit(1)


class RgbdData(pl.LightningDataModule):
    """Training, validation and test frames, each from one set or several.

    Args:
        train: sets to train on; their sizes are their weights (see their ``every``).
        val: held-out sets that a checkpoint is chosen by.
        test: sets of the final figures.
        transform: of training frames; evaluation takes its ``input_size`` and ``max_depth``.
        batch_size: images a step, over all processes together.
        workers: processes that read ahead, beside each training process.
        seed: of order and augmentation.
    """

    def __init__(
        self,
        train: list[RgbdDataset] | None = None,
        val: list[RgbdDataset] | None = None,
        test: list[RgbdDataset] | None = None,
        transform: TrainTransform = TrainTransform(),  # noqa: B008 - frozen
        batch_size: int = 8,
        workers: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.sets = {"train": train, "val": val, "test": test}
        self.transform = transform
        self.batch_size, self.workers, self.seed = batch_size, workers, seed

    def train_dataloader(self) -> DataLoader[Sample]:
        """Batches of `TrainTransform`'s samples."""
        rank, world_size = self._place()
        if self.batch_size % world_size:
            raise ValueError(f"batch_size: found {self.batch_size}, expected a multiple of the {world_size} processes")
        samples = self._samples("train", self.transform)
        if self.batch_size > len(samples):
            raise ValueError(
                f"batch_size: found {self.batch_size}, expected at most the {len(samples)} frames of train"
            )
        batch_size = self.batch_size // world_size
        sampler = EpochSampler(samples, rank, world_size, batch_size, self.transform.scales)
        return self._loader(samples, sampler, batch_size)

    def val_dataloader(self) -> DataLoader[Sample]:
        """Single samples of `EvaluationTransform`, because sets differ in size."""
        return self._evaluation("val")

    def test_dataloader(self) -> DataLoader[Sample]:
        """Single samples of `EvaluationTransform`."""
        return self._evaluation("test")

    def _evaluation(self, use: str) -> DataLoader[Sample]:
        t = self.transform
        samples = self._samples(use, EvaluationTransform(t.input_size, t.canonical, t.max_depth, t.normalisation))
        return self._loader(samples, EvaluationSampler(samples, *self._place()), batch_size=1)

    def _samples(self, use: str, transform: Transform) -> Samples:
        sets = self.sets[use]
        if not sets:
            raise ValueError(f"data.{use}: found no set of frames, expected at least one")
        skipping = [SkipBadFrames(frames, training=use == "train") for frames in sets]
        return Samples(ConcatDataset(skipping), transform, self.seed)

    def _loader(
        self, samples: Samples, sampler: EpochSampler | EvaluationSampler, batch_size: int
    ) -> DataLoader[Sample]:
        return DataLoader(
            samples,
            batch_size,
            sampler=sampler,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            multiprocessing_context=worker_context() if self.workers else None,
            worker_init_fn=partial(start_worker, trainer=os.getpid()),
            pin_memory=torch.cuda.is_available(),
        )

    def _place(self) -> tuple[int, int]:
        """Rank and number of processes."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
