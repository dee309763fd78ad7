"""What the demo measures: frames in and out, rates, the age at publish, headers, and the error against the truth."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.camera import Rectifier
from mono_depth_ros.io import Source


@dataclass(frozen=True)
class Sent:
    """A frame that the camera process published: its number, stamp and time of publication, both in ns."""

    index: int
    stamp: int
    published: int


class Arrival(NamedTuple):
    """A message of the node: the header's stamp (ns) and frame_id, and when it was published (ns)."""

    stamp: int
    frame_id: str
    published: int


def read_sent(path: Path) -> dict[int, Sent]:
    """Frames by stamp, from the camera process's file as far as it has been written."""
    if not path.is_file():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if len(row) == 3 and row[0].isdigit()]
    return {int(stamp): Sent(int(index), int(stamp), int(published)) for index, stamp, published in rows}


@dataclass(frozen=True)
class Errors:
    """Depth against the truth, over the pixels that have both: the metrics of Eigen et al. (2014).

    Attributes:
        abs_rel: mean of |depth - truth| / truth.
        rmse: root of the mean squared difference, metres.
        delta1: share of pixels with max(depth / truth, truth / depth) < 1.25.
        compared: share of the pixels with truth that have a depth as well.
    """

    abs_rel: float
    rmse: float
    delta1: float
    compared: float

    @classmethod
    def between(cls, depth: NDArray[np.float32], truth: NDArray[np.float32]) -> "Errors | None":
        """Errors of one frame, (H, W) metres each; truth of 0 is unknown. None where nothing can be compared."""
        known = truth > 0
        both = known & np.isfinite(depth) & (depth > 0)
        if not both.any():
            return None
        estimate, exact = depth[both].astype(np.float64), truth[both].astype(np.float64)
        ratio = estimate / exact
        return cls(
            abs_rel=float(np.abs(ratio - 1).mean()),
            rmse=float(np.sqrt(np.square(estimate - exact).mean())),
            delta1=float((np.maximum(ratio, 1 / ratio) < 1.25).mean()),
            compared=float(both.sum() / known.sum()),
        )

    @classmethod
    def mean(cls, errors: Iterable["Errors"]) -> "Errors | None":
        """Means over frames, each of which counts the same."""
        rows = [tuple(asdict(error).values()) for error in errors]
        return cls(*np.mean(rows, axis=0).tolist()) if rows else None


class Truth:
    """The depth that a source knows, as the node's camera would see it: rectified where the lens is distorted."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.rectifier = Rectifier(source.camera)

    def of(self, sent: Sent | None) -> NDArray[np.float32] | None:
        """Depth (H, W) in metres of a frame that was sent, 0 where unknown, or None."""
        truth = None if sent is None else self._source.truth(sent.index)
        return None if truth is None else self.rectifier.rectify(truth, cv2.INTER_NEAREST)


@dataclass
class Measurements:
    """Everything that came out, by topic; the frame_ids of the images; the node's own last counts, by outcome."""

    outputs: dict[str, list[Arrival]] = field(default_factory=dict)
    frame_ids: set[str] = field(default_factory=set)
    node_counts: dict[str, int] = field(default_factory=dict)

    def summary(self, sent: Mapping[int, Sent], depth_topic: str) -> dict[str, object]:
        """Figures by name; times in seconds.

        The age at publish counts from the moment the camera published the frame: for a live source that is its stamp,
        for a recording, whose stamps are of another day, it is what its age would be.
        """
        depth = self.outputs.get(depth_topic, [])
        ages = [(m.published - sent[m.stamp].published) / 1e9 for m in depth if m.stamp in sent]
        times = sorted(m.published for m in depth)
        seconds = (times[-1] - times[0]) / 1e9 if len(times) > 1 else 0.0
        strangers = [
            m for messages in self.outputs.values() for m in messages
            if m.stamp not in sent or m.frame_id not in self.frame_ids
        ]  # fmt: skip
        return {
            "frames_in": len(sent),
            "frames_out": len(depth),
            "frames_dropped": len(sent) - len(depth),
            "messages": {topic: len(messages) for topic, messages in sorted(self.outputs.items())},
            "node_counts": self.node_counts,
            "frames_per_second": (len(times) - 1) / seconds if seconds else 0.0,
            "age_p50": float(np.percentile(ages, 50)) if ages else None,
            "age_p95": float(np.percentile(ages, 95)) if ages else None,
            "headers_equal": bool(depth) and not strangers,
        }
