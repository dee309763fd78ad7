"""A camera that plays a recording, and depth_node on it, with RViz on request."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, ThisLaunchFileDir
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

ARGUMENTS = {
    "source": ("clip", "clip (which ships), a webcam number, a video file, a folder of images or a rosbag2"),
    "namespace": ("", "namespace of both nodes and their topics"),
    "rviz": ("false", "true: show image, depth and cloud in RViz"),
}


def generate_launch_description() -> LaunchDescription:
    """depth.launch.py first: it sets the Fast DDS profile for the camera too."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    topics = {"image": "camera/image_raw", "camera_info": "camera/camera_info"}
    passed_on = {name: LaunchConfiguration(name) for name in ("namespace", "rviz")}
    depth = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([ThisLaunchFileDir(), "depth.launch.py"])),
        launch_arguments=(topics | passed_on).items(),
    )
    camera = Node(
        package="mono_depth_ros",
        executable="virtual_camera",
        name="virtual_camera",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        parameters=[{"source": ParameterValue(LaunchConfiguration("source"), value_type=str)}],
        remappings=list(topics.items()),
    )
    return LaunchDescription([*arguments, depth, camera])
