"""A camera that plays a recording, and depth_node on it, with RViz on request."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from mono_depth_ros.ros import environment, launching

ARGUMENTS = {
    "source": ("clip", "clip (which ships), a webcam number, a video file, a folder of images or a rosbag2"),
    "loop": ("100", "repeat the first so many frames for ever; 0: end with the source"),
    "namespace": ("", "namespace of both nodes and their topics"),
    "rviz": ("false", "true: show image, depth and cloud in RViz"),
}

PLAYED = {"source": str, "loop": int}  # parameters of the camera


def generate_launch_description() -> LaunchDescription:
    """The arguments of depth.launch.py are this file's, too."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    topics = {"image": "camera/image_raw", "camera_info": "camera/camera_info"}
    passed_on = {name: LaunchConfiguration(name) for name in ("namespace", "rviz")}
    depth = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(environment.share_file("launch/depth.launch.py"))),
        launch_arguments=(topics | passed_on).items(),
    )
    camera = Node(
        package="mono_depth_ros",
        executable="demo_camera",
        name="camera",
        namespace=LaunchConfiguration("namespace"),
        output="screen",
        parameters=[
            {name: ParameterValue(LaunchConfiguration(name), value_type=kind) for name, kind in PLAYED.items()}
        ],
        remappings=list(topics.items()),
        on_exit=Shutdown(reason="the camera has ended"),  # without images nothing is left to do
    )
    description = LaunchDescription([*arguments, depth, camera])
    launching.refuse_unknown([argument.name for argument in description.get_launch_arguments()], __file__)
    return description
