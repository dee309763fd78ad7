"""What happens to a frame on arrival: counted, its stamp checked, and left for the worker."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CompressedImage, Image

from mono_depth_ros.ros.journal import Journal
from mono_depth_ros.ros.statistics import DROPPED, LOST, RECEIVED, REJECTED
from mono_depth_ros.ros.worker import NewestFrameWorker

AREA = "image"


class Arrival(NamedTuple):
    """An image; when it came, by time.perf_counter; seconds since its publication, None if the middleware says none."""

    message: Image | CompressedImage
    at: float
    transit: float | None


class Intake:
    """Takes images from the subscription; the newest is offered to the worker, what it displaces is counted."""

    def __init__(
        self,
        topic: str,
        worker: NewestFrameWorker[Arrival],
        publishers: Callable[[], int],
        max_rate: Callable[[], float],
        journal: Journal,
    ) -> None:
        self._topic, self._worker, self._publishers, self._max_rate = topic, worker, publishers, max_rate
        self._statistics, self._problems = journal
        self._stamp: tuple[int, int] | None = None
        self._number = 0
        self._due = 0.0  # when max_rate allows the next one, by time.perf_counter

    def receive(self, msg: Image | CompressedImage, info: Mapping[str, Any]) -> None:
        """Take in a message and what the middleware says of it."""
        at, published = time.perf_counter(), info.get("source_timestamp")
        transit = (time.time_ns() - published) / 1e9 if published else None
        self._statistics.count(RECEIVED)
        self._count_lost(info.get("publication_sequence_number") or 0)
        if not self._is_newer(msg):
            return
        if not self._is_due(at):
            self._statistics.count(DROPPED, "faster than max_rate")
            return
        if self._worker.offer(Arrival(msg, at, transit)) is not None:
            self._statistics.count(DROPPED, "a newer one came")

    def lost(self, event: Any) -> None:
        """Report what the middleware says was lost on the way; `_count_lost` counts."""
        found = f"{self._topic}: {event.total_count} images were lost on the way so far, {event.total_count_change} now"
        if "fastrtps" in get_rmw_implementation_identifier():
            found += "; start the camera with the Fast DDS profile in config/fastdds.xml"
        self._problems.warn(AREA, "lost", found)

    def _count_lost(self, number: int) -> None:
        """Count frames that were published but never read, by the gap in one publisher's numbers.

        The QoS event for lost messages leaves out those that a newer one overwrote in the subscription's queue.
        """
        if 0 < self._number < number and self._publishers() == 1:
            self._statistics.count(LOST, number=number - self._number - 1)
        self._number = number

    def _is_due(self, at: float) -> bool:
        """Keep to max_rate on average: an image that is late does not put off the ones after it."""
        rate = self._max_rate()
        if rate and at < self._due:
            return False
        if rate:
            self._due = max(self._due, at - 1 / rate) + 1 / rate
        return True

    def _is_newer(self, msg: Image | CompressedImage) -> bool:
        """Compare with the stamp before, whatever that frame's fate: a clock set back costs one frame, not all."""
        now = msg.header.stamp.sec, msg.header.stamp.nanosec
        before, self._stamp = self._stamp, now
        if now == (0, 0):
            text = "images carry no stamp (0): nobody can tell where or when they were taken; let the driver stamp them"
            self._problems.error(AREA, "no stamp", f"{self._topic}: {text}")
        if before is None or now > before:
            return True
        fault = "stamp repeats" if now == before else "stamp runs backwards"
        self._statistics.count(REJECTED, fault)
        text = f"found {_seconds(now)} after {_seconds(before)}, expected a later one"
        self._problems.error(AREA, fault, f"{self._topic}: frame rejected: {fault}: {text}")
        return False


def _seconds(stamp: tuple[int, int]) -> str:
    return f"{stamp[0]}.{stamp[1]:09d} s"
