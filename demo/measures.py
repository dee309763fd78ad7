"""What the demo measures: frames in and out, rates, the age at publish, headers, and the error against the truth."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from demo.recording import DEPTH


def read_sent(path: Path) -> dict[int, int]:
    """Numbers of the frames that the camera process published, by stamp in ns."""
    with open(path, newline="", encoding="utf-8") as file:
        return {int(row["stamp_ns"]): int(row["frame"]) for row in csv.DictReader(file)}


class Arrival(NamedTuple):
    """A message of the node: the header's stamp (ns) and frame_id, and when it was published (ns)."""

    stamp: int
    frame_id: str
    published: int


def summary(outputs: Mapping[str, list[Arrival]], frame_ids: set[str], sent: Mapping[int, int]) -> dict[str, Any]:
    """Figures by name, times in seconds: of all messages of the node by topic, and the frames that were sent.

    The age at publish counts from a frame's stamp, the moment at which it was due from the camera.
    """
    depths = outputs[DEPTH]
    ages = [(depth.published - depth.stamp) / 1e9 for depth in depths]
    times = sorted(depth.published for depth in depths)
    seconds = (times[-1] - times[0]) / 1e9 if len(times) > 1 else 0.0
    all_known = all(m.stamp in sent and m.frame_id in frame_ids for messages in outputs.values() for m in messages)
    return {
        "frames_in": len(sent),
        "frames_out": len(depths),
        "messages": {topic: len(messages) for topic, messages in sorted(outputs.items())},
        "frames_per_second": (len(times) - 1) / seconds if seconds else 0.0,
        "age_p50": float(np.percentile(ages, 50)) if ages else None,
        "age_p95": float(np.percentile(ages, 95)) if ages else None,
        "headers_equal": bool(depths) and all_known,
    }


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
