"""Benchmark: each engine at each input size, in interleaved rounds, every engine in a process of its own."""

import json
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from tqdm import tqdm

from mono_depth_ros import checkpoint as checkpoints
from mono_depth_ros.backends import Backend, BackendError, Output, select
from mono_depth_ros.backends.machine import Machine
from mono_depth_ros.checkpoint import Checkpoint

# Both sides are multiples of 32; the largest has 60 times the pixels of the smallest.
SIZES = ((128, 160), (192, 256), (256, 320), (384, 512), (480, 640), (960, 1280))
# One turn of an engine: a frame that brings its weights back into the caches, then frames for this long.
TURN_SECONDS = 0.1
LONGEST_START = 300.0


@dataclass(frozen=True)
class Contender:
    """One way to run the network. ``eager`` is PyTorch as users run it, which the others are compared with."""

    backend: str
    device: str
    precision: str

    @property
    def label(self) -> str:
        """The name in tables."""
        return "torch eager" if self.backend == "eager" else f"{self.backend} {self.device} {self.precision}"

    def engine(self, checkpoint: Checkpoint) -> Backend:
        """Start it. Raises `BackendError`, `CheckpointError`."""
        if self.backend == "eager":
            return Eager(checkpoint, self.device)
        return select.create(checkpoint, select.Choice(self.backend, self.device, self.precision, ""))


@dataclass(frozen=True)
class Row:
    """What was measured of one contender at one size: milliseconds a frame, and the process's peak memory in MiB."""

    contender: str
    height: int
    width: int
    median: float
    p95: float
    memory: float
    times_eager: float

    @property
    def rate(self) -> float:
        """Frames a second."""
        return 1e3 / self.median


class Eager:
    """PyTorch as users run it: eager, single precision, memory format left alone."""

    name, precision = "eager", "fp32"

    def __init__(self, checkpoint: Checkpoint, device: str) -> None:
        import torch

        from mono_depth_ros.backends.torch_backend import restore

        self.device = device
        self._torch = torch
        self._network = restore(checkpoint).to(device)
        mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (checkpoint.info.mean, checkpoint.info.std))
        self._mean, self._std = mean, std

    def prepare(self, height: int, width: int) -> None:
        """Run once."""
        self.infer(np.zeros((height, width, 3), np.uint8))

    def infer(self, rgb: np.ndarray) -> Output:
        """Depth alone, (h, w) float32."""
        with self._torch.inference_mode():
            image = self._torch.from_numpy(rgb).to(self.device).permute(2, 0, 1).contiguous()
            depth, _ = self._network(((image - self._mean) / self._std)[None])
            return depth[0, 0].cpu().numpy(), None


def contenders(machine: Machine, has_int8: bool) -> list[Contender]:
    """Eager PyTorch on each device, and each engine in each precision; TensorRT would build engines for minutes."""
    found = [Contender(c.backend, c.device, c.precision) for c in select.available(machine, has_int8)]
    eager = [Contender("eager", c.device, "fp32") for c in found if (c.backend, c.precision) == ("torch", "fp32")]
    return eager + [c for c in found if c.device != "tensorrt"]


def benchmark(
    checkpoint: Checkpoint, machine: Machine, sizes: Sequence[tuple[int, int]] = SIZES, rounds: int = 20
) -> list[Row]:
    """Time every contender here.

    At each size, one process for each contender is started; then they take turns, ``rounds`` times, so that
    whatever else the machine does meets all of them alike.

    Raises `BackendError` when a contender fails.
    """
    rows = []
    for height, width in tqdm(sizes, unit=" sizes"):
        measured = {}
        with workers(checkpoint, contenders(machine, bool(checkpoint.info.int8_sha256)), (height, width)) as running:
            turns: dict[Contender, list[float]] = {contender: [] for contender in running}
            for _ in range(rounds):
                for contender, connection in running.items():
                    turns[contender] += ask(contender, connection, "turn")
            for contender, connection in running.items():
                measured[contender] = (1e3 * np.array(turns[contender]), ask(contender, connection, "memory"))
        for contender, (times, memory) in measured.items():
            eager = measured.get(Contender("eager", contender.device, "fp32"), (np.array([np.nan]), 0))[0]
            median, p95 = np.percentile(times, (50, 95))
            ratio = float(np.median(eager) / median)
            rows.append(Row(contender.label, height, width, float(median), float(p95), memory / 2**10, ratio))
    return rows


@contextmanager
def workers(
    checkpoint: Checkpoint, contenders: Sequence[Contender], size: tuple[int, int]
) -> Iterator[dict[Contender, Connection]]:
    """A process for each contender, ready for turns; all are ended on leaving."""
    context = get_context("spawn")
    running: dict[Contender, Connection] = {}
    processes = []
    try:
        for contender in contenders:
            running[contender], far_end = context.Pipe()
            process = context.Process(target=work, args=(far_end, checkpoint.path, contender, size), daemon=True)
            process.start()
            far_end.close()
            processes.append(process)
            ask(contender, running[contender], "start")
        yield running
    finally:
        for process in processes:
            process.terminate()
            process.join(10)


def ask(contender: Contender, connection: Connection, request: str) -> Any:
    """The worker's answer. Raises `BackendError` when it has failed."""
    try:
        connection.send(request)
        if not connection.poll(LONGEST_START):
            raise BackendError(f"{contender.label}: no answer within {LONGEST_START:.0f} s")
        answer = connection.recv()
    except (EOFError, OSError) as error:
        raise BackendError(f"{contender.label}: its process has died; is there enough memory?") from error
    if isinstance(answer, str):
        raise BackendError(f"{contender.label}: {answer}")
    return answer


def work(connection: Connection, path: Path, contender: Contender, size: tuple[int, int]) -> None:
    """One worker: answers ``start`` and ``turn`` by seconds a frame, ``memory`` by KiB, a failure by its message."""
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    try:
        checkpoint = checkpoints.load(path)
        engine = contender.engine(checkpoint)
        engine.prepare(*size)
        while request := connection.recv():
            is_memory = request == "memory"
            connection.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if is_memory else turn(engine, rgb))
    except RuntimeError as error:
        connection.recv()
        connection.send(str(error))


def turn(engine: Backend, rgb: np.ndarray) -> list[float]:
    """Seconds of each frame of one turn."""
    engine.infer(rgb)
    times: list[float] = []
    while sum(times) < TURN_SECONDS:
        started = perf_counter()
        engine.infer(rgb)
        times.append(perf_counter() - started)
    return times


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = ["| input | engine | median ms | p95 ms | frames/s | peak MiB | x eager |", "|---|---|--:|--:|--:|--:|--:|"]
    for r in rows:
        numbers = f"{r.median:.1f} | {r.p95:.1f} | {r.rate:.1f} | {r.memory:.0f} | {r.times_eager:.2f}"
        lines.append(f"| {r.width}x{r.height} | {r.contender} | {numbers} |")
    return "\n".join(lines)


def write(folder: Path, rows: Sequence[Row], machine: Machine) -> None:
    """``benchmark.md``, ``benchmark.json`` and ``benchmark.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = f"{machine.cpu}, {machine.cores} cores, GPU: {machine.gpu or 'none'}; {', '.join(machine.versions)}"
    (folder / "benchmark.md").write_text(f"{facts}\n\n{table(rows)}\n")
    content = {"machine": asdict(machine), "rows": [asdict(row) for row in rows]}
    (folder / "benchmark.json").write_text(json.dumps(content, indent=1))
    plot(folder / "benchmark.png", rows, facts)


def plot(path: Path, rows: Sequence[Row], title: str) -> None:
    """How the time grows with the number of pixels, one line an engine."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name in dict.fromkeys(row.contender for row in rows):
        mine = [row for row in rows if row.contender == name]
        axes.loglog([r.height * r.width for r in mine], [r.median for r in mine], marker="o", label=name)
    sizes = sorted({(row.height * row.width, f"{row.width}x{row.height}") for row in rows})
    axes.set_xticks([pixels for pixels, _ in sizes], [label for _, label in sizes], rotation=30)
    axes.minorticks_off()
    axes.set(xlabel="network input", ylabel="median milliseconds a frame")
    axes.set_title(title, fontsize=8)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)
