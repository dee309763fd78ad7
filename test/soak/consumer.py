"""A process of the soak that subscribes to every output, and is killed some time."""

import sys

from mono_depth_ros.demo.ros_process import StopRequest, spinning_node
from mono_depth_ros.ros.outputs import TYPES


def main() -> int:
    """Subscribe until a signal comes."""
    stop = StopRequest()
    with spinning_node("consumer", sys.argv) as node:
        for topic, kind in TYPES.items():
            node.create_subscription(kind, topic, lambda _: None, 5, raw=True)
        while not stop.wait(1.0):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
