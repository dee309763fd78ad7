"""What the launch files' arguments mean, and which are refused: everything about them that needs no `launch`."""

import re
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mono_depth_ros.ros import environment

_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def refuse_unknown(arguments: Collection[str], launch_file: str, command: Sequence[str] = sys.argv) -> None:
    """Raise ValueError for an argument on the command line that a launch file does not have.

    Where another launch file includes it, nobody can tell whose the others are.
    """
    if not any(Path(word).name == Path(launch_file).name for word in command):
        return
    given = [word.partition(":=")[0] for word in command if ":=" in word]
    if unknown := [name for name in given if name not in arguments]:
        raise ValueError(f"found {', '.join(unknown)}, expected launch arguments out of {', '.join(arguments)}")


def flag(name: str, text: str) -> bool | None:
    """The truth of an argument, None where it is empty. Raises ValueError."""
    if not text:
        return None
    if text.lower() not in _FLAGS:
        raise ValueError(f"{name}: found {text!r}, expected one of {', '.join(_FLAGS)}")
    return _FLAGS[text.lower()]


def choice(name: str, text: str, choices: Collection[str]) -> str:
    """The argument. Raises ValueError where it is none of the choices."""
    if text not in choices:
        raise ValueError(f"{name}: found {text!r}, expected one of {', '.join(choices)}")
    return text


def refuse_useless(params_file: str, node: str) -> None:
    """Raise ValueError where a parameter file is not there, or has nothing for a node, given by its full name."""
    path = Path(params_file)
    if not path.is_file():
        raise ValueError(f"params_file: found no file {params_file!r}, expected a path that exists")
    keys = list(_nodes_of(yaml.safe_load(path.read_text(encoding="utf-8"))))
    if not any(names(key, node) for key in keys):
        found = ", ".join(keys) or "no ros__parameters at all"
        raise ValueError(f"params_file: found parameters of {found} in {params_file}, expected some of {node} (or /**)")


def names(key: str, node: str) -> bool:
    """Whether a key of a parameter file, in which /* is a name and /** any number of them, names a node."""
    pattern = re.sub(r"/\*\*?", lambda wild: r"(/\w+)" + "*" * (len(wild[0]) - 2), f"/{key.lstrip('/')}")
    return re.fullmatch(pattern, node) is not None


def rviz_file(topics: Mapping[str, str]) -> str:
    """Path of a copy of depth.rviz in a temporary file, whose displays show other topics."""
    content = yaml.safe_load(environment.share_file("config/depth.rviz").read_text(encoding="utf-8"))
    for display in content["Visualization Manager"]["Displays"]:
        display["Topic"]["Value"] = topics[display["Topic"]["Value"]]
    with tempfile.NamedTemporaryFile("w", prefix="depth_", suffix=".rviz", delete=False, encoding="utf-8") as file:
        yaml.safe_dump(content, file, sort_keys=False)
    return file.name


def _nodes_of(content: Any, prefix: str = "") -> list[str]:
    """Names of the nodes that a parameter file speaks of, with their namespaces."""
    if not isinstance(content, dict):
        return []
    found = [prefix] if "ros__parameters" in content else []
    inner = ((f"{prefix}/{key}" if prefix else str(key), value) for key, value in content.items())
    return found + [
        name for key, value in inner if not key.endswith("ros__parameters") for name in _nodes_of(value, key)
    ]
