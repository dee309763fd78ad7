"""Loaders: which process sees which sample when, and that a resumed run sees what an unbroken one does."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import lightning.pytorch as pl
import numpy as np
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch.callbacks import ModelCheckpoint

from mono_depth_ros.camera import CameraModel
from test.conftest import REPOSITORY
from test.training.scenes import Planes
from training.data.frame import RgbdDataset
from training.data.module import RgbdData
from training.data.sampling import EpochSampler, EvaluationSampler, Request, Samples
from training.transforms import TrainTransform

SMALL = CameraModel(width=80, height=60, fx=70, fy=72, cx=41, cy=29)
TRANSFORM = TrainTransform(input_size=(60, 80), crop_size=(32, 48), zoom=(1, 1.5))


def data_of(frames: int = 12, **options: Any) -> RgbdData:
    sets: list[RgbdDataset] = [Planes(frames, SMALL), Planes(3, SMALL)]
    return RgbdData(sets, sets, transform=TRANSFORM, **{"batch_size": 4, "workers": 0, "seed": 5, **options})


def steps(samplers: list[EpochSampler], batch: int) -> list[set[Request]]:
    """The samples of each step, over all processes."""
    per_process = [list(sampler) for sampler in samplers]
    size = batch // len(samplers)
    batches = [[r[i : i + size] for i in range(0, len(r) - size + 1, size)] for r in per_process]
    return [{request for part in parts for request in part} for parts in zip(*batches, strict=True)]


@settings(deadline=None)
@given(st.integers(1, 40), st.sampled_from([(2, 2), (2, 8), (4, 8), (3, 6)]), st.integers(0, 3))
def test_processes_together_take_the_steps_of_one(frames, world_and_batch, epoch):
    world_size, batch = world_and_batch
    samples = Samples(Planes(frames, SMALL), TRANSFORM, seed=1)

    def samplers(count: int) -> list[EpochSampler]:
        made = [EpochSampler(samples, rank, count, batch // count) for rank in range(count)]
        for sampler in made:
            sampler.set_epoch(epoch)
        return made

    alone = steps(samplers(1), batch)
    assert steps(samplers(world_size), batch) == alone
    assert len(alone) == frames // batch and all(len(step) == batch for step in alone)


def test_every_epoch_shuffles_all_frames_anew():
    sampler = EpochSampler(Samples(Planes(30, SMALL), TRANSFORM, seed=1), 0, 1, batch_size=5)
    orders = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        requests = list(sampler)
        assert all(request.epoch == epoch for request in requests)
        orders.append([request.frame for request in requests])
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1]) == list(range(30))


def test_a_batch_has_one_scale_the_same_for_every_process_and_all_scales_come():
    samples = Samples(Planes(60, SMALL), TRANSFORM, seed=1)
    ranks = [[r.scale for r in EpochSampler(samples, rank, 2, batch_size=3, scales=(0.5, 1.0, 2.0))] for rank in (0, 1)]
    assert ranks[0] == ranks[1] and set(ranks[0]) == {0.5, 1.0, 2.0}
    assert all(len(set(ranks[0][i : i + 3])) == 1 for i in range(0, 30, 3))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 5))
def test_evaluation_takes_each_frame_once_and_fills_up_with_nothing(frames, world_size):
    samples = Samples(Planes(frames, SMALL), TRANSFORM, seed=1)
    shares = [list(EvaluationSampler(samples, rank, world_size)) for rank in range(world_size)]
    assert len({len(share) for share in shares}) == 1
    requests = [request for share in shares for request in share]
    assert sorted(r.frame for r in requests if not r.filler) == list(range(frames))
    assert not any(samples[r]["mask"].any() for r in requests if r.filler)


def test_workers_change_nothing():
    cv2.setNumThreads(4)
    cv2.blur(np.zeros((2000, 2000), np.uint8), (9, 9))  # starts threads, which no forked worker inherits
    batches = []
    for workers in (0, 2):
        loader = data_of(workers=workers).train_dataloader()
        assert isinstance(loader.sampler, EpochSampler)
        loader.sampler.set_epoch(3)
        loader.timeout = 300 if workers else 0  # seconds, then a RuntimeError
        batches.append(list(loader))
    assert len(batches[0]) == len(batches[1]) == 3
    for one, other in zip(*batches, strict=True):
        assert all(torch.equal(one[key], other[key]) for key in ("image", "depth", "mask"))


def test_workers_end_with_a_training_that_is_killed():
    program = (
        "import time\n"
        "from test.training.test_data_module import data_of\n"
        "if __name__ == '__main__':\n"
        "    batches = iter(data_of(workers=2).train_dataloader())\n"
        "    next(batches)\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(600)\n"
    )
    training = subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert training.stdout and training.stdout.readline() == "begun\n"
        started = psutil.Process(training.pid).children(recursive=True)
    finally:
        training.kill()
        training.wait(30)
    assert len(started) > 2  # the server and its workers
    deadline = time.monotonic() + 60
    while left := [process for process in started if is_at_work(process)]:
        assert time.monotonic() < deadline, f"{left} outlive the training"
        time.sleep(0.2)


def is_at_work(process: psutil.Process) -> bool:
    """Whether it runs, and is no mere entry of which nobody has taken notice yet."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_validation_gives_whole_frames_of_all_sets():
    samples = list(data_of(frames=2).val_dataloader())
    assert [tuple(sample["depth"].shape) for sample in samples] == [(1, 1, 60, 80)] * 5


class Recorder(pl.LightningModule):
    """Learns one number and remembers every batch it was trained on; may be stopped in the middle of an epoch."""

    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        self.number = torch.nn.Parameter(torch.zeros(()))
        self.stop_at = stop_at
        self.seen: list[tuple[int, float, float]] = []

    def training_step(self, batch: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        if self.global_step == self.stop_at:
            raise KeyboardInterrupt
        self.seen.append(
            (self.current_epoch, batch["image"].double().sum().item(), batch["depth"].double().sum().item())
        )
        return (self.number - batch["depth"].mean()) ** 2

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.05)


def train(folder: Path, model: Recorder, resume: bool) -> Recorder:
    checkpoints = ModelCheckpoint(folder, save_last=True)
    trainer = pl.Trainer(
        max_epochs=4, accelerator="cpu", callbacks=[checkpoints], logger=False, limit_val_batches=0,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    try:
        trainer.fit(model, data_of(), ckpt_path="last" if resume else None, weights_only=True)
    except SystemExit:
        assert model.stop_at is not None
    return model


@pytest.mark.filterwarnings("ignore")
def test_a_resumed_run_sees_the_samples_of_an_unbroken_one(tmp_path):
    """15 frames in batches of 4 are 3 steps an epoch; stopped at step 7, it goes on from the end of epoch 1."""
    unbroken = train(tmp_path / "unbroken", Recorder(), resume=False)
    torch.manual_seed(12345)
    stopped = train(tmp_path / "stopped", Recorder(stop_at=7), resume=False)
    resumed = train(tmp_path / "stopped", Recorder(), resume=True)
    assert len(unbroken.seen) == 12 and len(set(unbroken.seen)) == 12
    assert stopped.seen == unbroken.seen[:7]
    assert resumed.seen == unbroken.seen[6:]
    assert resumed.number.item() == unbroken.number.item()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: data_of().test_dataloader(), r"data.test: found no set of frames"),
        (lambda: RgbdData(transform=TRANSFORM).train_dataloader(), r"data.train: found no set of frames"),
    ],
)
def test_a_use_without_sets_is_named(build: Callable[[], object], message: str):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_batch_larger_than_the_set_is_named():
    with pytest.raises(ValueError, match="batch_size: found 16, expected at most the 15 frames of train"):
        data_of(batch_size=16).train_dataloader()


def test_a_batch_must_divide_among_the_processes(monkeypatch):
    data = data_of(batch_size=5)
    monkeypatch.setattr(data, "_place", lambda: (0, 2))
    with pytest.raises(ValueError, match="batch_size: found 5, expected a multiple of the 2 processes"):
        data.train_dataloader()
