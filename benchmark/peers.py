"""Other depth networks beside ours, each at its own input size, in PyTorch as users run it and in OpenVINO.

They are built after their papers, with random weights, which do not matter for the time that a network takes.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmark.backends import OURS, Own
from benchmark.race import Contender, Runner, race
from benchmark.results import Duel
from mono_depth_ros.backends import select
from mono_depth_ros.backends.machine import Machine
from mono_depth_ros.checkpoint import Checkpoint
from mono_depth_ros.estimator import network_size


@dataclass(frozen=True)
class Peer:
    """One of them.

    Attributes:
        name: as its authors call it.
        source: where it was published.
        size: (height, width) of its input there.
        module, maker: where it is, and what makes the network there; PyTorch is imported with it and not before.
    """

    name: str
    source: str
    size: tuple[int, int]
    module: str
    maker: str

    def build(self) -> Any:
        """The module; it maps a normalised (1, 3, H, W) to depth (1, 1, h, w). Raises ModuleNotFoundError."""
        return getattr(import_module(self.module), self.maker)()


FAST_DEPTH = Peer("FastDepth", "Wofk et al. 2019, not pruned", (224, 224), "training.baselines.fastdepth", "FastDepth")
FCRN = Peer("FCRN ResNet50", "Laina et al. 2016", (228, 304), "training.baselines.fcrn", "FCRN")
DEPTH_ANYTHING = Peer(
    "Depth Anything V2 Small", "Yang et al. 2024", (518, 686), "benchmark.depth_anything", "depth_anything_v2_small"
)
METER = Peer("METER-XXS", "Papa et al. 2023, as released", (192, 256), "training.baselines.meter", "Meter")

YOLO = Peer("YOLO26n-depth", "Ultralytics 2026", (768, 768), "benchmark.yolo26_depth", "Yolo26Depth")

PEERS = {peer.name: peer for peer in (FAST_DEPTH, FCRN, DEPTH_ANYTHING, METER, YOLO)}


@dataclass(frozen=True)
class PeerEager(Contender):
    """A peer in eager PyTorch; ``network`` is its name in `PEERS`."""

    def start(self) -> Runner:
        """See `Contender.start`."""
        from benchmark.eager import Eager

        return Eager(PEERS[self.network].build(), self.device)


@dataclass(frozen=True)
class PeerOpenVino(Contender):
    """A peer in OpenVINO; ``xml`` is its exported form."""

    xml: Path

    def start(self) -> Runner:
        """See `Contender.start`."""
        from mono_depth_ros.backends.openvino_backend import OpenVinoBackend

        return OpenVinoBackend(self.xml, self.precision)


def measure(
    checkpoint: Checkpoint, machine: Machine, rounds: int, peers: Sequence[Peer] = tuple(PEERS.values())
) -> list[Duel]:
    """Ours beside each peer, at the peer's own input size.

    Raises:
        BackendError: a network failed.
        ModuleNotFoundError: `transformers` is missing.
    """
    from benchmark import eager
    from training.baselines import cost

    # What `auto` takes for a network without an int8 form, as the peers are.
    precision = select.candidates(machine, False, backend="openvino", device="cpu")[0].precision
    duels = []
    networks = [peer.build() for peer in peers]  # What is missing is missed before anything is measured.
    with tempfile.TemporaryDirectory() as folder:
        xml = Path(folder) / "peer.xml"
        for peer, network in zip(peers, networks, strict=True):
            eager.export(network, peer.size, xml)
            own_size = network_size(*peer.size, peer.size)
            pairs = (
                PeerEager(peer.name, "eager", "cpu", "fp32", *peer.size),
                PeerOpenVino(peer.name, "openvino", "cpu", precision, *peer.size, xml),
                Own(OURS, "eager", "cpu", "fp32", *own_size, checkpoint.path),
                Own(OURS, "openvino", "cpu", precision, *own_size, checkpoint.path),
            )
            costs = cost.parameters(network), cost.gigamacs(network, peer.size)
            duels.append(Duel(peer.name, peer.source, *costs, *race(pairs, rounds, peer.name)))
    return duels
