"""One run: the node, our network on each engine, the peers beside it, and the limits of this machine."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mono_depth_ros.backends.machine import Machine
from mono_depth_ros.benchmark import contenders, limits, node, on_gpu
from mono_depth_ros.benchmark.goals import FULL, SMALL
from mono_depth_ros.benchmark.peers import Peer
from mono_depth_ros.benchmark.race import Timing, race
from mono_depth_ros.benchmark.results import Duel, Results, gather_facts
from mono_depth_ros.checkpoint import Checkpoint
from mono_depth_ros.estimator import network_size

# Both sides are multiples of 32; the largest has 60 times the pixels of the smallest.
SIZES = ((128, 160), (192, 256), SMALL, (384, 512), FULL, (960, 1280))


def run(
    checkpoint: Checkpoint,
    machine: Machine,
    rounds: int = 20,
    peers: Sequence[Peer] = (),
    node_seconds: float = 0,
    node_picture: Path | None = None,
    sizes: Sequence[tuple[int, int]] = SIZES,
) -> Results:
    """Measure. What may be missing here comes first, so that it is noticed at once.

    Args:
        checkpoint: what is measured.
        machine: where.
        rounds: turns of each contender.
        peers: to run beside ours.
        node_seconds: of the node's run; 0 leaves it out.
        node_picture: PNG that it writes, if any.
        sizes: (height, width) of the network's input.

    Raises:
        BackendError: an engine failed.
        ChildProcessError: the node's run failed.
        ModuleNotFoundError: a package is missing that the peers need.
    """
    facts = gather_facts(machine, checkpoint.path.stem)
    by_node = node.measure(checkpoint.path, node_seconds, node_picture) if node_seconds else {}
    results = Results(
        facts,
        rounds,
        duels=duels(checkpoint, machine, peers, rounds),
        timings=engines(checkpoint, machine, sizes, rounds),
        on_gpu=on_gpu.measure(checkpoint, FULL, rounds) if machine.gpu and machine.torch else [],
        node=by_node,
    )
    return with_limits(results, checkpoint, machine) if machine.torch else results


def engines(checkpoint: Checkpoint, machine: Machine, sizes: Sequence[tuple[int, int]], rounds: int) -> list[Timing]:
    """Our network on every engine here at each (height, width), one race a size. Raises `BackendError`."""
    timings: list[Timing] = []
    for height, width in sizes:
        timings += race(contenders.own(checkpoint, machine, (height, width)), rounds, f"{height}x{width}")
    return timings


def duels(checkpoint: Checkpoint, machine: Machine, peers: Sequence[Peer], rounds: int) -> list[Duel]:
    """Ours beside each peer, at the peer's own input size.

    Raises:
        BackendError: a network failed.
        ModuleNotFoundError: PyTorch or `transformers` is missing.
    """
    if not peers:
        return []
    from mono_depth_ros.benchmark import cost, eager

    precision = contenders.openvino_precision(machine)
    networks = [peer.build() for peer in peers]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        xml = Path(folder) / "peer.xml"
        for peer, network in zip(peers, networks, strict=True):
            costs = cost.parameters(network), cost.gigamacs(network, peer.size)
            eager.export(network, peer.size, xml)
            own_size = network_size(*peer.size, peer.size)
            pairs = contenders.beside(checkpoint, precision, peer.name, peer.size, xml, own_size)
            found.append(Duel(peer.name, peer.source, *costs, *race(pairs, rounds, peer.name)))
    return found


def with_limits(results: Results, checkpoint: Checkpoint, machine: Machine) -> Results:
    """The same with what our network costs, and the least time that this machine's limits leave it."""
    from mono_depth_ros.backends.torch_backend import restore
    from mono_depth_ros.benchmark import cost

    network = restore(checkpoint)
    native = {"fp32": True, "bf16": machine.native_bf16, "int8": machine.native_int8}
    timings = limits.measure([precision for precision, is_native in native.items() if is_native], results.rounds)
    return replace(
        results,
        parameters=cost.parameters(network),
        gigamacs=cost.gigamacs(network, FULL),
        limits=limits.limits(timings, cost.layers(network, FULL)),
        gigabytes=limits.gigabytes(timings),
    )
