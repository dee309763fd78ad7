"""Which sample comes when: a function of seed, epoch and position alone, so that a resumed run sees the same ones."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset, DistributedSampler

from training.data.frame import RgbdFrame
from training.transforms import Sample


class Request(NamedTuple):
    """One sample asked of `Samples`, at a scale; a filler makes the processes' shares equal, and has no valid pixel."""

    epoch: int
    frame: int
    filler: bool = False
    scale: float = 1.0


class Frames(Protocol):
    """Frames by index."""

    def __len__(self) -> int: ...  # noqa: D105
    def __getitem__(self, index: int) -> RgbdFrame: ...  # noqa: D105


class Transform(Protocol):
    """A frame to a sample of its usual size times ``scale``, by the numbers of a generator."""

    def __call__(self, frame: RgbdFrame, rng: np.random.Generator, scale: float = 1.0) -> Sample: ...  # noqa: D102


class Samples(Dataset[Sample]):
    """Samples of frames. The random numbers of each come from (seed, epoch, frame), not from a worker or a process."""

    def __init__(self, frames: Frames, transform: Transform, seed: int) -> None:
        self.frames, self.transform, self.seed = frames, transform, seed

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)

    def __getitem__(self, request: Request) -> Sample:
        """Read a frame and transform it."""
        rng = np.random.default_rng((self.seed, request.epoch, request.frame))
        sample = self.transform(self.frames[request.frame], rng, request.scale)
        if request.filler:
            sample["mask"].zero_()
        return sample


class EpochSampler(DistributedSampler):
    """Training order: shuffled by seed and epoch, dealt to the processes a batch at a time, all of one random scale.

    So processes with batches of B see, step by step, what one process sees that accumulates over as many batches of B.
    The last, incomplete round is left out. Lightning calls ``set_epoch``, also after resuming, and leaves a
    DistributedSampler as it is.
    """

    def __init__(
        self, samples: Samples, rank: int, world_size: int, batch_size: int, scales: Sequence[float] = (1.0,)
    ) -> None:
        super().__init__(samples, world_size, rank, seed=samples.seed)
        self.scales = scales
        self.frames, self.batch_size = len(samples), batch_size
        self.rounds = self.frames // (batch_size * world_size)

    def __len__(self) -> int:
        """Samples of this process in an epoch."""
        return self.rounds * self.batch_size

    def __iter__(self) -> Iterator[Request]:
        """Requests of this process, in order."""
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(self.frames, generator=generator)[: len(self) * self.num_replicas]
        own = order.view(self.rounds, self.num_replicas, self.batch_size)[:, self.rank]
        chosen = torch.randint(len(self.scales), (self.rounds,), generator=generator).tolist()
        return (
            Request(self.epoch, frame, scale=self.scales[scale])
            for batch, scale in zip(own.tolist(), chosen, strict=True)
            for frame in batch
        )


class EvaluationSampler(DistributedSampler):
    """Evaluation order: each frame once; where the processes' shares differ in length, fillers even them out."""

    def __init__(self, samples: Samples, rank: int, world_size: int) -> None:
        super().__init__(samples, world_size, rank, shuffle=False)
        self.frames = len(samples)

    def __iter__(self) -> Iterator[Request]:
        """Requests of this process, in order."""
        positions = range(self.rank, self.total_size, self.num_replicas)
        return (Request(0, position % self.frames, filler=position >= self.frames) for position in positions)
