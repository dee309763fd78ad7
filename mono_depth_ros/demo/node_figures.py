"""What a run of the node amounts to: figures, whether they reach the goals, and a bar of where the time goes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

MOST_SPREAD = 1.3
MOST_GROWTH = 0.02  # of the memory; what differs less is the allocator's and the middleware's coming and going
LONGEST_REST = 6.0  # ms

_BAR = (9.0, 2.8)  # inches


class Spread(NamedTuple):
    """Median and 95th percentile."""

    p50: float
    p95: float


class Goal(NamedTuple):
    """A figure and the most that it should be."""

    what: str
    most: float
    found: float

    @property
    def is_reached(self) -> bool:
        """Whether it is no more."""
        return self.found <= self.most


@dataclass(frozen=True)
class Figures:
    """One run of camera, node and watcher. Times in milliseconds.

    Attributes:
        seconds: measured, after the warm-up; the counts are of both.
        rate: frames a second that the camera published.
        image: size.
        engine: what ran, by the node's own description.
        sent: frames that the camera published; the four after it are the node's own counts.
        watched: messages that came to the watcher by topic: image, depth, points.
        age: from an image's stamp to the publication of its depth, by the middleware's time stamps.
        stages: of the node, in their order.
        rest: everything of a frame in the node but the network and the wait for it, reception and publication included.
        memory: MB of the node as the warm-up ended and in the end.
    """

    seconds: float
    rate: float
    image: str
    engine: Mapping[str, str]
    sent: int
    received: int
    published: int
    dropped: int
    failed: int
    watched: Mapping[str, int]
    age: Spread
    stages: Mapping[str, Spread]
    rest: Spread
    memory: tuple[float, float]

    @property
    def lost(self) -> int:
        """Messages that were published and did not come: images to the node, and each topic to the watcher."""
        published = {"image": self.sent, "depth": self.published, "points": self.published}
        return self.sent - self.received + sum(published[topic] - came for topic, came in self.watched.items())

    @property
    def growth(self) -> float:
        """Share by which the node's memory grew after the warm-up."""
        before, after = self.memory
        return after / before - 1

    def goals(self) -> list[Goal]:
        """What the run should reach."""
        return [
            Goal("messages lost", 0, self.lost),
            Goal("age at publish, p95 over p50", MOST_SPREAD, self.age.p95 / self.age.p50),
            Goal("growth of memory", MOST_GROWTH, self.growth),
            Goal("all but the network, p50 (ms)", LONGEST_REST, self.rest.p50),
        ]

    def content(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "seconds": self.seconds,
            "rate": self.rate,
            "image": self.image,
            "engine": dict(self.engine),
            "sent": self.sent,
            "received_by_node": self.received,
            "published": self.published,
            "dropped": self.dropped,
            "failed": self.failed,
            "lost": self.lost,
            "received_by_watcher": dict(self.watched),
            "age_at_publish_ms": self.age._asdict(),
            "stages_ms": {stage: spread._asdict() for stage, spread in self.stages.items()},
            "not_network_p50_ms": self.rest.p50,
            "not_network_p95_ms": self.rest.p95,
            "memory_mb": {"warm": self.memory[0], "end": self.memory[1]},
            "memory_growth": self.growth,
            "goals": [goal._asdict() | {"reached": goal.is_reached} for goal in self.goals()],
        }

    def described(self) -> str:
        """For people."""
        engine = ", ".join(self.engine.values())
        lines = [
            f"{self.image} at {self.rate:g} Hz for {self.seconds:.0f} s, depth and points subscribed; {engine}",
            f"frames   {self.sent} sent, {self.received} received by the node, {self.published} published, "
            f"{self.dropped} dropped for newer ones, {self.failed} failed",
            "watcher  " + ", ".join(f"{number} {topic}" for topic, number in self.watched.items()),
            f"age      p50 {self.age.p50:.1f} ms, p95 {self.age.p95:.1f} ms at publish",
            *(f"  {stage:12} {s.p50:7.2f} ms p50 {s.p95:8.2f} ms p95" for stage, s in self.stages.items()),
            f"memory   {self.memory[0]:.0f} MB warm, {self.memory[1]:.0f} MB in the end",
        ]
        for goal in self.goals():
            verdict = "reached" if goal.is_reached else "NOT reached"
            lines.append(f"goal     {goal.what}: {goal.found:.3g}, at most {goal.most:g}: {verdict}")
        return "\n".join(lines)


def plot(path: Path, stages: Mapping[str, Spread], title: str) -> None:
    """Where the time of a frame goes: the stages' medians, one after the other. Raises ImportError, OSError."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=_BAR, layout="constrained")
    axes = figure.subplots()
    left = 0.0
    for stage, spread in stages.items():
        axes.barh(0, spread.p50, left=left, label=f"{stage} {spread.p50:.2f}")
        left += spread.p50
    axes.set(yticks=[], xlabel="milliseconds of a frame in the node: the stages' medians")
    axes.set_title(title, fontsize=8)
    figure.legend(loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    figure.savefig(path, dpi=130)
