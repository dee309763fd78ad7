"""The processes that a demo starts: on this machine's loopback alone, their output in a log, none left behind."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mono_depth_ros.ros import environment
from mono_depth_ros.ros.environment import PROFILE_VARIABLES

PROFILE = "fastdds_loopback.xml"

# What a user may have set that brings in other machines, or a transport beside the profile's.
_REACH_OUT = ("ROS_STATIC_PEERS", "ROS_DISCOVERY_SERVER", "ROS_LOCALHOST_ONLY")

_TAIL = 15  # lines of a log that explain a failure


def loopback_environment(folder: Path) -> dict[str, str]:
    """Environment of processes that nobody beyond this machine can reach, in a domain of their own unless one is set.

    Fast DDS opens its sockets on every interface, also where it is told to look for peers on this machine alone; what
    keeps it to one is a list of addresses in its profile. That profile is written into `folder`.
    """
    environ = {name: value for name, value in os.environ.items() if name not in (*PROFILE_VARIABLES, *_REACH_OUT)}
    environ["PYTHONUNBUFFERED"] = "1"
    environ["RMW_IMPLEMENTATION"] = "rmw_fastrtps_cpp"  # whose profile it is
    environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    if warning := environment.configure(environ):
        print(warning, file=sys.stderr)
    shipped, profile = Path(environ[PROFILE_VARIABLES[0]]), folder.absolute() / PROFILE
    only = "<interfaceWhiteList><address>127.0.0.1</address></interfaceWhiteList>"
    profile.write_text(re.sub("<type>UDPv4</type>", rf"\g<0>{only}", shipped.read_text(encoding="utf-8")))
    environ.update(dict.fromkeys(PROFILE_VARIABLES, str(profile)))
    # LOCALHOST would add a transport of its own, on every interface.
    environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "SYSTEM_DEFAULT"
    return environ


def start(
    children: ExitStack, environ: Mapping[str, str], module: str, args: Sequence[str], log: Path
) -> subprocess.Popen:
    """Run a module in a session of its own, so that Ctrl-C reaches this process alone, which then ends the others.

    `children` kills it if it is still there in the end. What it prints is added to `log`.
    """
    stream = children.enter_context(open(log, "ab"))
    command = [sys.executable, "-m", module, *args]
    child = subprocess.Popen(command, env=dict(environ), start_new_session=True, stdout=stream, stderr=stream)
    children.callback(kill, child)
    return child


def ros_arguments(parameters: Mapping[str, Any]) -> list[str]:
    """Parameters of a node as arguments; texts in quotes, so that a webcam's number stays a text."""
    quoted = {name: value if isinstance(value, int) else json.dumps(str(value)) for name, value in parameters.items()}
    return ["--ros-args", *(part for name, value in quoted.items() for part in ("-p", f"{name}:={value}"))]


def kill(child: subprocess.Popen) -> None:
    """End a process by SIGKILL, unless it has ended."""
    child.kill()
    child.wait()


def interrupt(child: subprocess.Popen, timeout: float) -> int:
    """End a process as Ctrl-C does, unless it has ended: its exit code; after so many seconds, that of a killed one."""
    child.send_signal(signal.SIGINT)
    try:
        return child.wait(timeout)
    except subprocess.TimeoutExpired:
        return -int(signal.SIGKILL)


def tail(log: Path) -> str:
    """The end of a log, under a line that names it."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]
    return "\n".join([f"the end of {log}:", *lines])
