"""Which sources of anchors are trusted: one that contradicts the images is set aside, and tried again later.

One frame cannot tell a wrong sensor from a wrong network, whose scale is off by a fifth in many views. Over seconds
they differ: the network's error changes with the view, and a sensor that is moved, blocked, frozen, late or out of
scale disagrees with most of them.
"""

import math
from dataclasses import dataclass

from mono_depth_ros.fusion import Report

# Mean square of the normalised innovation beyond which a frame fails: over the last seconds, and of itself.
_LIMIT, _LIMIT_OF_ONE, _MEMORY = 2.0, 6.5, 2.0
# Frames in a row that a new source must pass before it is used, and that set a source aside when they fail.
_FIRST_FRAMES, _FAILING_FRAMES = 5, 5
# Seconds that a source which was set aside must pass without a break before it is used again.
_REST = 2.0


@dataclass
class _Source:
    mean: float = 0.0
    weight: float = 0.0
    stamp: float = math.nan
    passed: int = 0
    failed: int = 0
    passing_since: float = math.nan
    trusted: bool = False
    set_aside: bool = False


class SourceMonitor:
    """Follows each source from frame to frame by its `Report`."""

    def __init__(self) -> None:
        self._sources: dict[int, _Source] = {}

    def trusts(self, source: int) -> bool:
        """Whether the source's anchors are to correct the next frame; the others are for `fusion.examine`."""
        known = self._sources.get(source)
        return known is not None and known.trusted and not known.failed

    def update(self, reports: dict[int, Report], stamp: float) -> dict[int, str]:
        """Take what `fusion.fuse_and_report` says of the trusted sources and `fusion.examine` of the others.

        Args:
            reports: by source; one that measured nothing in this frame says nothing.
            stamp: of the frame, seconds; time that stands or goes back counts as none.

        Returns the sources that are set aside from now on, each with the evidence in words.
        """
        alarms = {}
        for number, report in reports.items():
            if not report.measured:
                continue
            source = self._sources.setdefault(number, _Source())
            if _fails(source, report.innovation**2, stamp):
                source.failed, source.passed = source.failed + 1, 0
            else:
                source.passing_since = source.passing_since if source.passed else stamp
                source.failed, source.passed = 0, source.passed + 1
            if source.failed == _FAILING_FRAMES:
                source.trusted, source.set_aside = False, True
                alarms[number] = (
                    f"its depth is {math.sqrt(source.mean):.1f} standard deviations off the image's, expected about 1, "
                    f"and {report.scale:.2f} times as large; moved, blocked, wrong extrinsics or clock?"
                )
            elif source.passed >= _FIRST_FRAMES and not (source.set_aside and stamp - source.passing_since < _REST):
                source.trusted, source.set_aside = True, False
        return alarms


def _fails(source: _Source, square: float, stamp: float) -> bool:
    """Whether the mean of the squares with this one is too large, or this one alone."""
    elapsed = max(0.0, stamp - source.stamp) if math.isfinite(source.stamp) else 0.0
    source.stamp = stamp
    source.weight = 1 + source.weight * math.exp(-elapsed / _MEMORY)
    # A square far beyond every limit says no more than one well beyond: the mean comes back soon after.
    source.mean += (min(square, 4 * _LIMIT_OF_ONE) - source.mean) / source.weight
    return source.mean > _LIMIT or square > _LIMIT_OF_ONE
