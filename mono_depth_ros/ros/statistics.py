"""What became of the frames, and how long each stage took."""

import threading
from collections import Counter, deque
from collections.abc import Mapping
from time import perf_counter

import numpy as np

RECEIVED, PUBLISHED, LOST = "received", "published", "lost"
DROPPED, REJECTED, FAILED = "dropped", "rejected", "failed"

# The stages of a frame: receive is from its publication to the callback; in wait, the worker is busy with another.
RECEIVE, WAIT, DECODE, CAMERA, RECTIFY = "receive", "wait", "decode", "camera_info", "rectify"
NETWORK, FUSE, PACK, PUBLISH = "network", "fuse", "pack", "publish"  # with the estimator's own around the network

OVERHEAD = "all but the network"  # and the wait for it
AGE = "age at publish"
VALID = "valid pixels"
_WINDOW = 300  # samples: 10 s at 30 Hz


class Laps:
    """Seconds that one frame spent in each stage, and the stage it is in. They follow each other without a gap."""

    def __init__(self, arrived: float) -> None:
        self.seconds: dict[str, float] = {}
        self.stage = WAIT
        self._last = arrived

    def begin(self, stage: str) -> None:
        """End the stage that ran until now, and begin another; "" is none."""
        now = perf_counter()
        if self.stage:
            self.seconds[self.stage] = now - self._last
        self.stage, self._last = stage, now

    def end_measured(self, stages: Mapping[str, float]) -> None:
        """What ran until now were these stages, which somebody else has timed."""
        self.seconds |= stages
        self.stage, self._last = "", perf_counter()


class Statistics:
    """Counts since the node started and samples of the last frames; thread-safe.

    Each frame received ends as exactly one of published, dropped (a good frame not worth or not able to be processed in
    time), rejected (the frame is bad) or failed (the backend is). Lost frames are those that the camera published and
    the node never read: lost on the way, or overwritten by a newer one in the subscription's queue.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._samples: dict[str, deque[float]] = {}

    def count(self, outcome: str, reason: str = "", number: int = 1) -> None:
        """Add frames with an outcome and, for those that were not published, why."""
        with self._lock:
            self._counts[outcome] += number
            if reason:
                self._reasons[f"{outcome}: {reason}"] += number

    def counts(self) -> dict[str, int]:
        """Number of frames by outcome, then by outcome and reason."""
        with self._lock:
            totals = {name: self._counts[name] for name in (RECEIVED, PUBLISHED, DROPPED, REJECTED, FAILED, LOST)}
            return totals | dict(sorted(self._reasons.items()))

    def sample(self, name: str, value: float) -> None:
        """Add a measurement of the frame in hand, in seconds or as a share."""
        with self._lock:
            self._samples.setdefault(name, deque(maxlen=_WINDOW)).append(value)

    def sample_stages(self, laps: Laps) -> None:
        """Add the stages of a frame that was published, and what they took without the network."""
        for stage, seconds in laps.seconds.items():
            self.sample(stage, seconds)
        self.sample(OVERHEAD, sum(s for stage, s in laps.seconds.items() if stage not in (WAIT, NETWORK)))

    def percentiles(self) -> dict[str, tuple[float, float]]:
        """The median and the 95th percentile of each measurement over the last 300 frames."""
        with self._lock:
            samples = {name: list(values) for name, values in self._samples.items()}
        return {name: (float(np.median(v)), float(np.percentile(v, 95))) for name, v in samples.items()}

    def forget_samples(self) -> None:
        """Start the measurements anew; the counts go on."""
        with self._lock:
            self._samples.clear()
