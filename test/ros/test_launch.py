"""The launch files: what they start with which arguments. Stand-ins record what `launch` would be asked for."""

import configparser
import importlib.util
import os
import runpy
import signal
import subprocess
import sys
import types

import pytest
import yaml

from mono_depth_ros.demo import player
from mono_depth_ros.ros.environment import PROFILE_VARIABLES
from mono_depth_ros.ros.outputs import TYPES
from test.conftest import REPOSITORY
from test.ros.harness import DOMAIN, Peer, wait_until

NAMES = {
    "launch": ("LaunchContext", "LaunchDescription"),
    "launch.action": ("Action",),
    "launch.actions": (
        *("DeclareLaunchArgument", "IncludeLaunchDescription", "LogInfo", "OpaqueFunction"),
        *("SetEnvironmentVariable", "Shutdown"),
    ),
    "launch.launch_description_sources": ("PythonLaunchDescriptionSource",),
    "launch.substitutions": ("LaunchConfiguration", "PathJoinSubstitution", "ThisLaunchFileDir"),
    "launch_ros": (),
    "launch_ros.actions": ("Node",),
    "launch_ros.parameter_descriptions": ("ParameterValue",),
}


class Recorded:
    """Remembers what it was made with; a LaunchConfiguration looks itself up in a dict."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs

    def perform(self, context):
        return context[self.args[0]]


@pytest.fixture
def load(monkeypatch):
    """A launch file's globals."""
    for module, classes in NAMES.items():
        stand_in = types.ModuleType(module)
        for name in classes:
            setattr(stand_in, name, type(name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module, stand_in)
    return lambda name: runpy.run_path(str(REPOSITORY / "launch" / name))


def of_kind(actions, kind):
    return [action for action in actions if type(action).__name__ == kind]


def nodes(launch_file, **arguments):
    """Keyword arguments of the nodes that depth.launch.py starts, with the defaults for the other arguments."""
    defaults = {name: default for name, (default, _) in launch_file["ARGUMENTS"].items()}
    assert arguments.keys() <= defaults.keys()
    return [node.kwargs for node in of_kind(launch_file["nodes"](defaults | arguments), "Node")]


def test_every_argument_is_declared_with_a_default_and_a_description(load):
    for name in ("depth.launch.py", "demo.launch.py"):
        launch_file = load(name)
        declared = of_kind(launch_file["generate_launch_description"]().args[0], "DeclareLaunchArgument")
        assert [argument.args[0] for argument in declared] == list(launch_file["ARGUMENTS"])
        for argument in declared:
            assert isinstance(argument.kwargs["default_value"], str) and len(argument.kwargs["description"]) > 10


def test_depth_node_gets_its_topics_parameters_and_namespace(load):
    launch_file = load("depth.launch.py")
    (node,) = nodes(launch_file, image="/camera/image_raw", camera_info="/camera/camera_info", namespace="front")
    assert (node["package"], node["executable"], node["namespace"]) == ("mono_depth_ros", "depth_node", "front")
    assert node["remappings"] == [("image", "/camera/image_raw"), ("camera_info", "/camera/camera_info")]
    assert node["parameters"] == [str(REPOSITORY / "config" / "depth.yaml")]


@pytest.mark.parametrize(
    ("argument", "parameters"), [("", []), ("true", [{"compressed": True}]), ("False", [{"compressed": False}])]
)
def test_compressed_overrides_the_parameter_file_only_when_given(load, argument, parameters):
    (node,) = nodes(load("depth.launch.py"), compressed=argument, params_file="mine.yaml")
    assert node["parameters"] == ["mine.yaml", *parameters]


def test_a_consumers_pack_comes_after_the_defaults_and_before_the_users_own_parameters(load):
    launch_file = load("depth.launch.py")
    pack = str(REPOSITORY / "config" / "consumers" / "px4.yaml")
    (node,) = nodes(launch_file, consumer="px4")
    assert node["parameters"] == [str(REPOSITORY / "config" / "depth.yaml"), pack]
    assert ("scan", "/mavros/obstacle/send") in node["remappings"]
    (node,) = nodes(launch_file, consumer="px4", params_file="mine.yaml")
    assert node["parameters"] == [pack, "mine.yaml"]
    with pytest.raises(ValueError, match="'nav3', expected one of .*nav2"):
        nodes(launch_file, consumer="nav3")


def test_rviz_shows_the_nodes_own_topics(load):
    arguments = {"rviz": "true", "namespace": "front", "image": "/camera/image_raw", "fixed_frame": "map"}
    rviz, _ = nodes(load("depth.launch.py"), **arguments)
    shown = dict(rviz["remappings"])
    flag, path, fixed, frame = rviz["arguments"]
    assert (flag, fixed, frame) == ("-d", "-f", "map")
    displays = yaml.safe_load(open(path))["Visualization Manager"]["Displays"]
    assert {display["Class"].split("/")[1] for display in displays} == {"Image", "PointCloud2"}
    topics = [shown.pop(display["Topic"]["Value"]) for display in displays]
    assert sorted(topics) == ["/camera/image_raw", "/front/depth", "/front/depth/color", "/front/depth/points"]
    assert not shown


def test_topics_in_the_rviz_file_are_those_that_are_published():
    content = yaml.safe_load((REPOSITORY / "config" / "depth.rviz").read_text())
    published = {f"/{topic}" for topic in TYPES}
    topics = {display["Topic"]["Value"] for display in content["Visualization Manager"]["Displays"]}
    assert topics - published == {"/image"}


def test_the_large_message_profile_is_set_unless_the_user_has_one(load, monkeypatch):
    for variable in PROFILE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    launch_file = load("depth.launch.py")
    profile = str(REPOSITORY / "config" / "fastdds.xml")
    actions = of_kind(launch_file["large_messages"](), "SetEnvironmentVariable")
    assert {action.args for action in actions} == {(variable, profile) for variable in PROFILE_VARIABLES}
    monkeypatch.setenv(PROFILE_VARIABLES[0], "/etc/mine.xml")
    assert not of_kind(launch_file["large_messages"](), "SetEnvironmentVariable")


def test_the_demo_connects_its_camera_to_depth_node(load):
    actions = load("demo.launch.py")["generate_launch_description"]().args[0]
    (depth,), (camera,) = of_kind(actions, "IncludeLaunchDescription"), of_kind(actions, "Node")
    passed_on = dict(depth.kwargs["launch_arguments"])
    assert passed_on.keys() <= load("depth.launch.py")["ARGUMENTS"].keys()
    assert dict(camera.kwargs["remappings"]).items() <= passed_on.items()
    assert actions.index(depth) < actions.index(camera)  # the camera starts with the profile set


def test_the_demo_ends_with_its_camera(load):
    (camera,) = of_kind(load("demo.launch.py")["generate_launch_description"]().args[0], "Node")
    assert type(camera.kwargs["on_exit"]).__name__ == "Shutdown"
    (played,) = camera.kwargs["parameters"]
    assert played.keys() <= player.PARAMETERS.keys()


def test_the_executables_are_those_that_the_package_installs(load):
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    scripts = {
        line.split("=")[0].strip() for line in setup["options.entry_points"]["console_scripts"].split("\n") if line
    }
    (camera,) = of_kind(load("demo.launch.py")["generate_launch_description"]().args[0], "Node")
    assert {nodes(load("depth.launch.py"))[0]["executable"], camera.kwargs["executable"]} <= scripts


@pytest.mark.skipif(importlib.util.find_spec("launch_ros") is None, reason="launch_ros is not installed")
def test_ros2_launch_starts_the_node_and_ends_it_cleanly():
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        get_package_prefix("mono_depth_ros")
    except PackageNotFoundError:
        pytest.skip("mono_depth_ros is not in the ament index; colcon build and source install/setup.bash")
    launch = "import launch, sys\nfrom launch.launch_description_sources import *\nservice = launch.LaunchService()\n"
    include = "launch.actions.IncludeLaunchDescription(PythonLaunchDescriptionSource(sys.argv[1]))"
    program = f"{launch}service.include_launch_description({include})\nsys.exit(service.run())"
    with Peer() as peer:
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(REPOSITORY / "launch" / "depth.launch.py")],
            env=os.environ | {"ROS_DOMAIN_ID": str(DOMAIN)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            wait_until(lambda: peer.value("node", "state") == "active", "depth_node to be active")
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=20)
            assert process.returncode == 0, output
            assert "process has finished cleanly" in output
        finally:
            process.kill()
            process.wait()
