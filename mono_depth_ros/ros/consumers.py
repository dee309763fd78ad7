"""The consumer packs: parameters, and topics renamed, for what stands behind the node (config/consumers/*.yaml)."""

from pathlib import Path

from mono_depth_ros.ros import environment

NAMES = ("collision_monitor", "depth_image_proc", "depthimage_to_laserscan", "nav2", "px4", "rtabmap", "stvl")

# What a consumer's own topic names ask for; the others are given our names in their parameters.
_REMAPPINGS = {
    "depthimage_to_laserscan": [("depth/camera_info", "depth_camera_info")],
    "px4": [("scan", "/mavros/obstacle/send")],
}


def pack(name: str) -> tuple[Path, list[tuple[str, str]]]:
    """The pack's parameter file, and the remappings of depth_node. Raises ValueError for a name that has no pack."""
    if name not in NAMES:
        raise ValueError(f"consumer: found {name!r}, expected one of {', '.join(NAMES)}")
    return environment.share_file(f"config/consumers/{name}.yaml"), _REMAPPINGS.get(name, [])
