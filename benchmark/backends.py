"""Our network on every backend of this machine, and in PyTorch as users run it, at several input sizes."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmark.race import Contender, Runner, Timing, race
from mono_depth_ros import checkpoint as checkpoints
from mono_depth_ros.backends import select
from mono_depth_ros.backends.machine import Machine
from mono_depth_ros.checkpoint import Checkpoint

OURS = "mono_depth_ros"
FULL = (480, 640)
# Multiples of 32; the largest has 60 times the pixels of the smallest.
SIZES = ((128, 160), (192, 256), (256, 320), (384, 512), FULL, (960, 1280))


@dataclass(frozen=True)
class Own(Contender):
    """Our network; ``path`` is the checkpoint's."""

    path: Path

    def start(self) -> Runner:
        """See `Contender.start`; CheckpointError and BackendError are RuntimeErrors."""
        checkpoint = checkpoints.load(self.path)
        if self.backend != "eager":
            return select.create(checkpoint, select.Choice(self.backend, self.device, self.precision, ""))
        from benchmark.eager import Eager  # here, so that the other backends' processes do without PyTorch
        from mono_depth_ros.backends.torch_backend import restore

        return Eager(restore(checkpoint), self.device)


def contenders(checkpoint: Checkpoint, machine: Machine, size: tuple[int, int]) -> list[Own]:
    """Ours in eager PyTorch on each device, and on each backend and precision here.

    Without TensorRT, which would build for minutes.
    """
    here = [c for c in select.available(machine, bool(checkpoint.info.int8_sha256)) if c.device != "tensorrt"]
    ways = [("eager", c.device, "fp32") for c in here if (c.backend, c.precision) == ("torch", "fp32")]
    ways += [(c.backend, c.device, c.precision) for c in here]
    return [Own(OURS, *way, *size, checkpoint.path) for way in ways]


def measure(
    checkpoint: Checkpoint, machine: Machine, rounds: int, sizes: Iterable[tuple[int, int]] = SIZES
) -> list[Timing]:
    """All of them at each (height, width), one race a size. Raises `BackendError`."""
    timings: list[Timing] = []
    for size in sizes:
        timings += race(contenders(checkpoint, machine, size), rounds, "{}x{}".format(*size))
    return timings
