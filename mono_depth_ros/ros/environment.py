"""The Fast DDS settings that large messages need: chosen, and set before rclpy.init."""

import os
import shutil
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from xml.etree import ElementTree

# Humble and Jazzy read the first, Kilted the second.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
SWITCH = "MONO_DEPTH_FASTDDS_PROFILE"  # off: neither profile is set
PROFILE = "config/fastdds.xml"  # 64 MB of shared memory in each process
SMALL_PROFILE = "config/fastdds_small.xml"  # 16 MB

_ROOMY = 4 * 68 << 20  # bytes: PROFILE in four processes, with the 4 MB of ports and locks that come with it
_NEEDED = 2 * 18 << 20  # SMALL_PROFILE at both ends of a topic

_LARGEST_DOMAIN = 232  # whose UDP ports are below 65536

_PACKAGE = Path(__file__).resolve().parents[1]
_SHARED_MEMORY = Path("/dev/shm")


def configure(environ: MutableMapping[str, str], shared_memory: Path = _SHARED_MEMORY) -> str | None:
    """Point Fast DDS to the shipped profile that /dev/shm has room for; call it with os.environ before rclpy.init.

    A profile that the user has set stays, another middleware is left alone, and so is everything where SWITCH is off.
    Returns a warning for the log where large messages may get lost all the same, else None.
    """
    large, small = str(share_file(PROFILE)), str(share_file(SMALL_PROFILE))
    if environ.get(SWITCH) == "off":
        return None
    set_already = {environ.get(variable, "") for variable in PROFILE_VARIABLES}
    if set_already - {"", large, small} or "fastrtps" not in middleware(environ):
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


def middleware(environ: Mapping[str, str]) -> str:
    """Name of the RMW that a process with this environment uses; one that is set to nothing is the default."""
    return environ.get("RMW_IMPLEMENTATION", "") or "rmw_fastrtps_cpp"


def traps(
    environ: Mapping[str, str], shared_memory: Path = _SHARED_MEMORY, user: int | None = None
) -> list[tuple[str, str]]:
    """What in a shell or a container keeps messages from arriving without a word: (what was found, what mends it)."""
    user = os.getuid() if user is None else user
    found = []
    if environ.get("RMW_IMPLEMENTATION") == "":
        text = "RMW_IMPLEMENTATION is set to nothing here, which some tools take for a name that does not exist"
        found.append((text, "unset it, or set it to the camera's"))
    for variable in PROFILE_VARIABLES:
        path = environ.get(variable, "")
        if not path or "fastrtps" not in middleware(environ):
            continue
        try:
            ElementTree.parse(path)
        except (OSError, ElementTree.ParseError) as error:
            why = f"no XML ({error})" if isinstance(error, ElementTree.ParseError) else f"not there ({error.strerror})"
            text = f"{variable} names {path}, which is {why}: Fast DDS runs with its defaults"
            found.append((text, f"correct it in every shell and container, or unset it; ours is {PROFILE}"))
    uri = environ.get("CYCLONEDDS_URI", "").partition("file://")[2]
    if uri and not Path(uri).is_file() and "cyclonedds" in middleware(environ):
        text = (
            f"CYCLONEDDS_URI names {uri}, which is not there: no node starts, or with other settings than the camera's"
        )
        found.append((text, "correct it in every shell and container, or unset it"))
    server = environ.get("ROS_DISCOVERY_SERVER", "")
    if (
        server
        and environ.get("ROS_SUPER_CLIENT", "").upper() not in ("1", "TRUE")
        and "fastrtps" in middleware(environ)
    ):
        text = f"ROS_DISCOVERY_SERVER is {server} here: this shell sees no node that it does not exchange messages with"
        found.append((text, "export ROS_SUPER_CLIENT=TRUE to look around; camera and depth_node need the same server"))
    if environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper() == "OFF":
        text = "ROS_AUTOMATIC_DISCOVERY_RANGE is OFF here: no node sees another, but for ROS_STATIC_PEERS"
        found.append((text, "set it to LOCALHOST or SUBNET where camera and depth_node are to meet"))
    foreign = [file.name for file in shared_memory.glob("fast*_port*") if file.stat().st_uid != user]
    if foreign and user != 0:
        text = f"{shared_memory} has {len(foreign)} ports of another user, such as {foreign[0]}, closed to this one"
        found.append((text, "run camera and depth_node as one user (docker run --user), or share no /dev/shm"))
    return found


def require_domain(environ: Mapping[str, str]) -> None:
    """Raise ValueError for a ROS_DOMAIN_ID with which no node starts."""
    domain = environ.get("ROS_DOMAIN_ID", "") or "0"
    if not (domain.isdecimal() and int(domain) <= _LARGEST_DOMAIN):
        raise ValueError(f"ROS_DOMAIN_ID: found {domain!r}, expected a number from 0 to {_LARGEST_DOMAIN}")


def in_container(root: Path = Path("/")) -> bool:
    """Whether this process runs in a container, whose /dev/shm is its own unless it is told otherwise."""
    return any((root / mark).exists() for mark in (".dockerenv", "run/.containerenv"))


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
