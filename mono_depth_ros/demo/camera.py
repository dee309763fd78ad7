"""The camera process: publishes a source's frames as image and camera_info, as a driver does."""

import sys
from collections.abc import Sequence

from mono_depth_ros.demo.ros_process import StopRequest


def main(args: Sequence[str] | None = None) -> int:
    """Publish until the source ends, or SIGINT or SIGTERM: 0, or 1 where there is no source or nobody to see it."""
    stop = StopRequest()  # before the imports, which take a second
    from mono_depth_ros.demo.player import play

    code = play(sys.argv if args is None else args, stop)
    stop.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
