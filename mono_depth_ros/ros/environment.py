"""The Fast DDS settings that large messages need: found, and set before rclpy.init."""

import shutil
from collections.abc import MutableMapping
from pathlib import Path

# Jazzy and Humble read the first, Kilted the second.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
SEGMENT_BYTES = 64 << 20  # segment_size in config/fastdds.xml

_PACKAGE = Path(__file__).resolve().parents[1]
_SHARED_MEMORY = Path("/dev/shm")


def configure(environ: MutableMapping[str, str]) -> str | None:
    """Point Fast DDS to the shipped profile unless the user has set one; call it with os.environ before rclpy.init.

    Returns a warning for the log where large messages may get lost all the same, else None.
    """
    if any(variable in environ for variable in PROFILE_VARIABLES):
        return None
    profile = share_file("config/fastdds.xml")
    environ.update(dict.fromkeys(PROFILE_VARIABLES, str(profile)))
    return shared_memory_warning()


def shared_memory_warning(folder: Path = _SHARED_MEMORY) -> str | None:
    """What to do where the folder has no room for the segment of the profile; None where it has."""
    free = shutil.disk_usage(folder).free if folder.is_dir() else 0
    if free >= SEGMENT_BYTES:
        return None
    return (
        f"{folder} has {free >> 20} MB free; Fast DDS needs {SEGMENT_BYTES >> 20} MB in each process for images and "
        f"clouds; enlarge it (docker run --shm-size=512m or --ipc=host; mount -o remount,size=512m {folder})"
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
    raise FileNotFoundError(f"{name} of {_PACKAGE.name} is missing; looked in {', '.join(map(str, places))}")
