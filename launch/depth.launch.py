"""depth_node on a robot's camera, with RViz on request."""

import os
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from mono_depth_ros.ros import consumers, environment

DEFAULTS = str(environment.share_file("config/depth.yaml"))
ARGUMENTS = {
    "image": ("image", "topic of the camera's images; with compressed:=true, /compressed is added to it"),
    "camera_info": ("camera_info", "topic of the camera's calibration; else it is looked for beside the image"),
    "compressed": ("", "true: subscribe to the compressed images; empty: as params_file says"),
    "params_file": (DEFAULTS, "parameters of depth_node"),
    "consumer": ("", f"parameters for what uses the depth: {', '.join(consumers.NAMES)}; params_file overrides"),
    "namespace": ("", "namespace of the node and its topics"),
    "rviz": ("false", "true: show image, depth and cloud in RViz"),
    "fixed_frame": ("camera_optical_frame", "RViz's fixed frame: the frame_id of the images, or one that tf knows"),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments first; what depends on their values is made once they are known."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, *large_messages(), OpaqueFunction(function=nodes)])


def large_messages() -> list[Action]:
    """Set the Fast DDS profile for every process of this launch, unless the user has set one."""
    before, after = dict(os.environ), dict(os.environ)
    warning = environment.configure(after)
    actions: list[Action] = [SetEnvironmentVariable(n, v) for n, v in after.items() if before.get(n) != v]
    return actions + ([LogInfo(msg=warning)] if warning else [])


def nodes(context: LaunchContext) -> list[Action]:
    """depth_node, and RViz with its topics."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    parameters: list[str | dict[str, bool]] = [value["params_file"]]
    remappings = [("image", value["image"]), ("camera_info", value["camera_info"])]
    if value["consumer"]:
        pack, renamed = consumers.pack(value["consumer"])
        parameters.insert(1 if value["params_file"] == DEFAULTS else 0, str(pack))  # the later file wins
        remappings += renamed
    if value["compressed"]:
        parameters.append({"compressed": value["compressed"].lower() in ("true", "1")})
    depth = Node(
        package="mono_depth_ros",
        executable="depth_node",
        name="depth_node",
        namespace=value["namespace"],
        output="screen",
        parameters=parameters,
        remappings=remappings,
    )
    if value["rviz"].lower() not in ("true", "1"):
        return [depth]
    prefix = Path("/", value["namespace"])
    shown = [(f"/{topic}", str(prefix / topic)) for topic in ("depth", "depth/color", "depth/points")]
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        arguments=["-d", str(environment.share_file("config/depth.rviz")), "-f", value["fixed_frame"]],
        remappings=[("/image", str(prefix / value["image"])), *shown],
    )
    return [rviz, depth]  # where rviz2 is missing, launch stops before depth_node and leaves no process behind
