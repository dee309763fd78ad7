"""The Fast DDS settings that large messages need: chosen, and set before rclpy.init."""

import shutil
from collections.abc import MutableMapping
from pathlib import Path

# Humble and Jazzy read the first, Kilted the second.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
PROFILE = "config/fastdds.xml"  # 64 MB of shared memory in each process
SMALL_PROFILE = "config/fastdds_small.xml"  # 16 MB

_ROOMY = 4 * 68 << 20  # bytes: PROFILE in four processes, with the 4 MB of ports and locks that come with it
_NEEDED = 2 * 18 << 20  # SMALL_PROFILE at both ends of a topic

_PACKAGE = Path(__file__).resolve().parents[1]
_SHARED_MEMORY = Path("/dev/shm")


def configure(environ: MutableMapping[str, str], shared_memory: Path = _SHARED_MEMORY) -> str | None:
    """Point Fast DDS to the shipped profile that /dev/shm has room for; call it with os.environ before rclpy.init.

    A profile that the user has set stays, and another middleware is left alone. Returns a warning for the log where
    large messages may get lost all the same, else None.
    """
    large, small = str(share_file(PROFILE)), str(share_file(SMALL_PROFILE))
    set_already = {environ.get(variable, "") for variable in PROFILE_VARIABLES}
    if set_already - {"", large, small} or "fastrtps" not in environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp"):
        return None
    free = shutil.disk_usage(shared_memory).free if shared_memory.is_dir() else 0
    environ.update(dict.fromkeys(PROFILE_VARIABLES, large if free >= _ROOMY else small))
    if free >= _NEEDED:
        return None
    return (
        f"{shared_memory} has {free >> 20} MB free, expected at least {_NEEDED >> 20} MB: images and clouds may not "
        f"reach other processes. Enlarge it (docker run --shm-size=512m, or mount -o remount,size=512m {shared_memory})"
        f"; while no ROS process runs, what killed ones left there may be deleted: {shared_memory}/*fastrtps_*"
    )


def share_file(name: str) -> Path:
    """Path of a file that ships with the package, such as "config/fastdds.xml".

    It lies in share/mono_depth_ros of the prefix above an installed package (pip, colcon, a distribution), or in the
    checkout beside it. Raises FileNotFoundError.
    """
    places = [_PACKAGE.parent / name] + [prefix / "share" / _PACKAGE.name / name for prefix in _PACKAGE.parents]
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(f"{name} of {_PACKAGE.name} is missing; looked for {', '.join(map(str, places))}")
