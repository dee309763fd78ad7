"""Who takes part: our network on each engine here, and each peer as its users run it and on the best engine here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mono_depth_ros import checkpoint as checkpoints
from mono_depth_ros.backends import select
from mono_depth_ros.backends.machine import Machine
from mono_depth_ros.benchmark.race import Contender, Runner
from mono_depth_ros.checkpoint import Checkpoint

OURS = "mono_depth_ros"


@dataclass(frozen=True)
class Own(Contender):
    """Our network; ``path`` is the checkpoint's."""

    path: Path

    def start(self) -> Runner:
        """See `Contender.start`; CheckpointError and BackendError are RuntimeErrors."""
        checkpoint = checkpoints.load(self.path)
        if self.backend != "eager":
            return select.create(checkpoint, select.Choice(self.backend, self.device, self.precision, ""))
        from mono_depth_ros.backends.torch_backend import restore
        from mono_depth_ros.benchmark.eager import Eager

        return Eager(restore(checkpoint), self.device)


@dataclass(frozen=True)
class PeerEager(Contender):
    """A peer in eager PyTorch; ``network`` is its name in `PEERS`."""

    def start(self) -> Runner:
        """See `Contender.start`."""
        from mono_depth_ros.benchmark.eager import Eager
        from mono_depth_ros.benchmark.peers import PEERS

        return Eager(next(peer for peer in PEERS if peer.name == self.network).build(), self.device)


@dataclass(frozen=True)
class PeerOpenVino(Contender):
    """A peer in OpenVINO; ``xml`` is its exported form."""

    xml: Path

    def start(self) -> Runner:
        """See `Contender.start`."""
        from mono_depth_ros.backends.openvino_backend import OpenVinoBackend

        return OpenVinoBackend(self.xml, self.precision)


def own(checkpoint: Checkpoint, machine: Machine, size: tuple[int, int]) -> list[Own]:
    """Ours in eager PyTorch on each device, and in each engine and precision here.

    Without TensorRT, which would build engines for minutes.
    """
    here = [c for c in select.available(machine, bool(checkpoint.info.int8_sha256)) if c.device != "tensorrt"]
    engines = [("eager", c.device, "fp32") for c in here if (c.backend, c.precision) == ("torch", "fp32")]
    engines += [(c.backend, c.device, c.precision) for c in here]
    return [Own(OURS, *engine, *size, checkpoint.path) for engine in engines]


def openvino_precision(machine: Machine) -> str:
    """What ``auto`` picks in OpenVINO for a network without an int8 form, as the peers are."""
    return select.candidates(machine, False, backend="openvino", device="cpu")[0].precision


def beside(
    checkpoint: Checkpoint, precision: str, peer: str, size: tuple[int, int], xml: Path, own_size: tuple[int, int]
) -> Sequence[Contender]:
    """A peer and ours, each in eager PyTorch and in OpenVINO with one precision, on the CPU."""
    return (
        PeerEager(peer, "eager", "cpu", "fp32", *size),
        PeerOpenVino(peer, "openvino", "cpu", precision, *size, xml),
        Own(OURS, "eager", "cpu", "fp32", *own_size, checkpoint.path),
        Own(OURS, "openvino", "cpu", precision, *own_size, checkpoint.path),
    )
