"""The consumer packs: parameters, and topics renamed, for what stands behind the node (config/consumers/*.yaml)."""

from pathlib import Path
from typing import Any

import yaml

from mono_depth_ros.ros import environment

NAMES = ("collision_monitor", "depth_image_proc", "depthimage_to_laserscan", "nav2", "px4", "rtabmap", "stvl")

# What a consumer's own topic names ask for; the others are given our names in their parameters.
_REMAPPINGS = {
    "depthimage_to_laserscan": [("depth/camera_info", "depth_camera_info"), ("scan", "depth/scan")],  # it has scan
    "px4": [("scan", "mavros/obstacle/send"), ("obstacle_distance", "fmu/in/obstacle_distance")],
}


def pack_file(name: str) -> Path:
    """Path of a pack. Raises ValueError for a name that has none."""
    if name not in NAMES:
        raise ValueError(f"consumer: found {name!r}, expected one of {', '.join(NAMES)}")
    return environment.share_file(f"config/consumers/{name}.yaml")


def pack(name: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """depth_node's part of a pack: parameters and remappings. Raises ValueError for a name that has none."""
    content = yaml.safe_load(pack_file(name).read_text(encoding="utf-8"))
    ours = next(part for key, part in content.items() if key.endswith("depth_node"))
    return ours["ros__parameters"], _REMAPPINGS.get(name, [])
