"""What every part of the node writes to and the diagnostics read: what became of the frames, and what is wrong."""

from typing import NamedTuple

from mono_depth_ros.ros.problems import Problems
from mono_depth_ros.ros.statistics import Statistics


class Journal(NamedTuple):
    """The node's own record; both parts are thread-safe."""

    statistics: Statistics
    problems: Problems
