"""depth_node on a robot's camera, with RViz on request."""

import os
from pathlib import PurePosixPath
from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from mono_depth_ros.ros import consumers, environment, launching

ARGUMENTS = {
    "image": ("image", "topic of the camera's images; with compressed:=true, /compressed is added to it"),
    "camera_info": ("", "topic of the camera's calibration; empty: beside the image"),
    "scan": ("", "topic of the scan; empty: scan, or what the consumer reads"),
    "anchor_range": ("", "topic of a Range that corrects the depth"),
    "anchor_scan": ("", "topic of a LaserScan that corrects the depth"),
    "anchor_points": ("", "topic of a PointCloud2 that corrects the depth"),
    "odom": ("", "topic of an Odometry that brings what corrects the depth to the time of the image"),
    "params_file": ("", "parameters of depth_node (config/depth.yaml lists them); what else is given here wins"),
    "consumer": ("", f"parameters for what uses the depth: {', '.join(consumers.NAMES)}; params_file overrides"),
    "compressed": ("", "true: subscribe to the compressed images"),
    "camera_info_url": ("", "calibration file of the camera, in place of camera_info"),
    "checkpoint": ("", "fast (the default), accurate, or a file of sealed weights"),
    "use_sim_time": ("", "true: the time of /clock"),
    "autostart": ("", "false: a lifecycle manager brings the node up"),
    "name": ("depth_node", "name of the node"),
    "namespace": ("", "namespace of the node and its topics"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "use_respawn": ("false", "true: start the node again when it has died"),
    "fastdds_profile": ("auto", "Fast DDS settings for large messages. auto: of depth_node; all: of what this launch"
                        " starts from here on, such as a camera that needs them; off: none"),
    "rviz": ("false", "true: show image, depth and cloud in RViz"),
    "fixed_frame": ("camera_optical_frame", "RViz's fixed frame: the frame_id of the images, or one that tf knows"),
}  # fmt: skip

# Of the arguments that name another sensor: the node's topic, and the parameter that has it listen.
SENSORS = {
    "anchor_range": ("anchors/range", "anchor_range"),
    "anchor_scan": ("anchors/scan", "anchor_scan"),
    "anchor_points": ("anchors/points", "anchor_points"),
    "odom": ("odom", "odometry"),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments first; what depends on their values is made once they are known."""
    launching.refuse_unknown(ARGUMENTS, __file__)
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=nodes)])


def nodes(context: LaunchContext) -> list[Action]:
    """depth_node, and RViz with its topics."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    namespace = PurePosixPath("/", context.launch_configurations.get("ros_namespace", ""), value["namespace"])
    profile = launching.choice("fastdds_profile", value["fastdds_profile"], ("auto", "all", "off"))
    remappings = [(topic, value[topic]) for topic in ("image", "camera_info", "scan") if value[topic]]
    sensors = {name: SENSORS[name] for name in SENSORS if value[name]}
    remappings += [(topic, value[name]) for name, (topic, _) in sensors.items()]
    parameters: list[Any] = []  # the later ones win
    if value["consumer"]:
        pack, renamed = consumers.pack(value["consumer"])
        parameters.append(pack)
        remappings += renamed  # the earlier ones win
    if value["params_file"]:
        launching.refuse_useless(value["params_file"], str(namespace / value["name"]))
        parameters.append(value["params_file"])
    flags = {name: launching.flag(name, value[name]) for name in ("compressed", "use_sim_time", "autostart")}
    files = {name: value[name] or None for name in ("camera_info_url", "checkpoint")}
    heard = {parameter: True for _, parameter in sensors.values()}
    if given := {name: chosen for name, chosen in (flags | files | heard).items() if chosen is not None}:
        parameters.append(given)
    depth = Node(
        package="mono_depth_ros",
        executable="depth_node",
        name=value["name"],
        namespace=value["namespace"],
        output="screen",
        parameters=parameters,
        remappings=remappings,
        ros_arguments=["--log-level", value["log_level"]],
        respawn=launching.flag("use_respawn", value["use_respawn"]),
        respawn_delay=2.0,
        additional_env={environment.SWITCH: "off"} if profile == "off" else {},
    )
    shown = (
        [rviz(value, namespace, bool(flags["compressed"]) or value["image"].endswith("/compressed"))]
        if launching.flag("rviz", value["rviz"])
        else []
    )
    # Where rviz2 is missing, launch stops before depth_node and leaves no process behind.
    return [*(large_messages() if profile == "all" else []), *shown, depth]


def large_messages() -> list[Action]:
    """Set the Fast DDS profile for what this launch starts from here on, unless the user has set one."""
    before, after = dict(os.environ), dict(os.environ)
    environment.configure(after)
    return [SetEnvironmentVariable(name, path) for name, path in after.items() if before.get(name) != path]


def rviz(value: dict[str, str], namespace: PurePosixPath, compressed: bool) -> Node:
    """RViz with the node's own topics."""
    shown = {f"/{topic}": str(namespace / topic) for topic in ("depth", "depth/color", "depth/points")}
    shown["/image"] = str(namespace / value["image"].removesuffix("/compressed")) + ("/compressed" * compressed)
    simulated = bool(launching.flag("use_sim_time", value["use_sim_time"]))
    return Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        arguments=["-d", launching.rviz_file(shown), "-f", value["fixed_frame"]],
        parameters=[{"use_sim_time": simulated}],
    )
