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
from rclpy.node import Node

from mono_depth_ros.demo import player
from mono_depth_ros.ros import consumers, launching
from mono_depth_ros.ros.anchors import KINDS, ODOMETRY
from mono_depth_ros.ros.distributions import given_parameters
from mono_depth_ros.ros.environment import PROFILE_VARIABLES, SWITCH
from mono_depth_ros.ros.outputs import TYPES
from mono_depth_ros.ros.parameters import Settings
from test.conftest import REPOSITORY
from test.ros.harness import DOMAIN, Peer, parameter_file, wait_until

NAMES = {
    "launch": ("LaunchContext", "LaunchDescription"),
    "launch.action": ("Action",),
    "launch.actions": (
        *("DeclareLaunchArgument", "IncludeLaunchDescription", "OpaqueFunction", "SetEnvironmentVariable", "Shutdown"),
    ),
    "launch.launch_description_sources": ("PythonLaunchDescriptionSource",),
    "launch.substitutions": ("LaunchConfiguration",),
    "launch_ros": (),
    "launch_ros.actions": ("Node",),
    "launch_ros.parameter_descriptions": ("ParameterValue",),
}


class Context:
    """What `launch` knows when the actions are made: the arguments, and a namespace that was pushed."""

    def __init__(self, arguments):
        self.launch_configurations = arguments


class Recorded:
    """Remembers what it was made with; a LaunchConfiguration looks itself up in the context."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs

    def perform(self, context):
        return context.launch_configurations[self.args[0]]

    def get_launch_arguments(self):
        return []


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
    assert arguments.keys() - {"ros_namespace"} <= defaults.keys()
    return [node.kwargs for node in of_kind(launch_file["nodes"](Context(defaults | arguments)), "Node")]


def test_every_argument_is_declared_with_a_default_and_a_description(load):
    for name in ("depth.launch.py", "demo.launch.py"):
        launch_file = load(name)
        declared = of_kind(launch_file["generate_launch_description"]().args[0], "DeclareLaunchArgument")
        assert [argument.args[0] for argument in declared] == list(launch_file["ARGUMENTS"])
        for argument in declared:
            assert isinstance(argument.kwargs["default_value"], str) and len(argument.kwargs["description"]) > 10


def test_depth_node_gets_its_topics_name_and_namespace(load):
    launch_file = load("depth.launch.py")
    arguments = {"image": "/camera/image_raw", "camera_info": "/camera/camera_info", "scan": "front/scan"}
    (node,) = nodes(launch_file, **arguments, namespace="front", name="eye")
    assert (node["package"], node["executable"]) == ("mono_depth_ros", "depth_node")
    assert (node["namespace"], node["name"]) == ("front", "eye")
    assert node["remappings"] == list(arguments.items())
    assert node["parameters"] == []
    (node,) = nodes(launch_file, image="/camera/image_raw")  # a camera_info that is renamed is not looked for beside it
    assert node["remappings"] == [("image", "/camera/image_raw")]


def test_a_sensor_that_is_named_is_listened_to(load):
    topics = {"anchor_range": "/rangefinder", "anchor_scan": "/scan", "anchor_points": "/tof", "odom": "/odometry"}
    (node,) = nodes(load("depth.launch.py"), **topics)
    inputs = ("anchors/range", "anchors/scan", "anchors/points", "odom")
    assert node["remappings"][1:] == list(zip(inputs, topics.values(), strict=True))
    listening = {"anchor_range": True, "anchor_scan": True, "anchor_points": True, "odometry": True}
    assert node["parameters"] == [listening] and set(KINDS) | {ODOMETRY} == set(inputs)
    Settings().changed(listening)


@pytest.mark.parametrize("name", ["compressed", "use_sim_time", "autostart"])
@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("False", False), ("0", False)])
def test_a_flag_is_a_parameter_only_when_it_is_given(load, name, text, value):
    (node,) = nodes(load("depth.launch.py"), **{name: text})
    assert node["parameters"] == [{name: value}]


@pytest.mark.parametrize("name", ["compressed", "use_sim_time", "autostart", "use_respawn", "rviz"])
@pytest.mark.parametrize("text", ["yes", "on", "2", " true"])
def test_what_is_neither_true_nor_false_is_refused_by_name(load, name, text):
    with pytest.raises(ValueError, match=f"{name}: found '{text}', expected one of true, 1, false, 0"):
        nodes(load("depth.launch.py"), **{name: text})


def test_the_arguments_win_over_the_users_parameters_and_these_over_a_pack(load, tmp_path):
    launch_file = load("depth.launch.py")
    mine = parameter_file(tmp_path, max_depth=4.0)
    ours, renamed = consumers.pack("px4")
    given = {"checkpoint": "/weights.safetensors", "camera_info_url": "package://robot/camera.yaml"}
    (node,) = nodes(launch_file, consumer="px4", params_file=mine, **given)
    assert node["parameters"] == [ours, mine, given]
    assert set(renamed) <= set(node["remappings"])
    (node,) = nodes(launch_file, consumer="px4", scan="/uav1/mavros/obstacle/send")
    assert [new for old, new in node["remappings"] if old == "scan"][0] == "/uav1/mavros/obstacle/send"  # rcl's first
    with pytest.raises(ValueError, match="'nav3', expected one of .*nav2"):
        nodes(launch_file, consumer="nav3")


def test_a_parameter_file_that_says_nothing_of_the_node_is_refused(load, tmp_path):
    launch_file = load("depth.launch.py")
    with pytest.raises(ValueError, match="params_file: found no file '/nowhere.yaml'"):
        nodes(launch_file, params_file="/nowhere.yaml")
    file = tmp_path / "mine.yaml"
    file.write_text("front:\n  eye:\n    ros__parameters: {max_depth: 4.0}\n")
    for arguments in ({"name": "eye", "namespace": "front"}, {"name": "eye", "ros_namespace": "/front"}):
        assert nodes(launch_file, params_file=str(file), **arguments)
    with pytest.raises(ValueError, match="found parameters of front/eye in .*, expected some of /front/depth_node"):
        nodes(launch_file, params_file=str(file), namespace="front")


@pytest.mark.parametrize("node", ["/depth_node", "/front/depth_node", "/robot/front/depth_node"])
@pytest.mark.parametrize(
    "key",
    ["depth_node", "/depth_node", "front/depth_node", "/**", "/**/depth_node", "/*/depth_node", "/front/**", "/*"],
)
def test_a_key_names_the_nodes_that_rcl_gives_its_parameters_to(key, node, tmp_path):
    file = tmp_path / "parameters.yaml"
    file.write_text(yaml.safe_dump({key: {"ros__parameters": {"max_depth": 4.0}}}))
    space, _, name = node.rpartition("/")
    with Peer() as peer:
        arguments = ["--ros-args", "--params-file", str(file)]
        options = {"context": peer.node.context, "cli_args": arguments, "start_parameter_services": False}
        real = Node(name, namespace=space or "/", **options)
        assert launching.names(key, node) == bool(given_parameters(real))
        real.destroy_node()


def test_an_argument_that_does_not_exist_is_refused_where_the_command_names_the_file():
    command = ["ros2", "launch", "mono_depth_ros", "depth.launch.py", "image:=/camera/image", "imag:=/x", "foo:=1"]
    with pytest.raises(ValueError, match="found imag, foo, expected launch arguments out of image, rviz"):
        launching.refuse_unknown(["image", "rviz"], "/share/launch/depth.launch.py", command)
    launching.refuse_unknown(["image", "imag", "foo"], "/share/launch/depth.launch.py", command)
    launching.refuse_unknown(
        ["image"], "/share/launch/depth.launch.py", ["ros2", "launch", "bringup.launch.py", "map:=1"]
    )


@pytest.mark.parametrize("pushed", ["", "/robot"])
@pytest.mark.parametrize("compressed", ["", "true"])
def test_rviz_shows_the_nodes_own_topics(load, pushed, compressed):
    arguments = {"rviz": "true", "namespace": "front", "image": "image_raw", "fixed_frame": "map"}
    rviz, _ = nodes(load("depth.launch.py"), ros_namespace=pushed, compressed=compressed, **arguments)
    flag, path, fixed, frame = rviz["arguments"]
    assert (flag, fixed, frame) == ("-d", "-f", "map")
    displays = yaml.safe_load(open(path))["Visualization Manager"]["Displays"]
    assert {display["Class"].split("/")[1] for display in displays} == {"Image", "PointCloud2"}
    image = "image_raw/compressed" if compressed else "image_raw"
    topics = {display["Topic"]["Value"] for display in displays}
    assert topics == {f"{pushed}/front/{topic}" for topic in (image, "depth", "depth/color", "depth/points")}
    os.unlink(path)


def test_topics_in_the_rviz_file_are_those_that_are_published():
    content = yaml.safe_load((REPOSITORY / "config" / "depth.rviz").read_text())
    published = {f"/{topic}" for topic in TYPES}
    topics = {display["Topic"]["Value"] for display in content["Visualization Manager"]["Displays"]}
    assert topics - published == {"/image"}


def test_other_nodes_get_the_large_message_profile_only_when_asked(load, monkeypatch):
    for variable in PROFILE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    launch_file = load("depth.launch.py")
    defaults = {name: default for name, (default, _) in launch_file["ARGUMENTS"].items()}

    def actions(profile):
        return launch_file["nodes"](Context(defaults | {"fastdds_profile": profile}))

    for profile, environ in (("auto", {}), ("off", {SWITCH: "off"})):
        (depth,) = actions(profile)
        assert depth.kwargs["additional_env"] == environ
    set_variables = of_kind(actions("all"), "SetEnvironmentVariable")
    shipped = str(REPOSITORY / "config" / "fastdds.xml")
    assert {action.args for action in set_variables} == {(variable, shipped) for variable in PROFILE_VARIABLES}
    monkeypatch.setenv(PROFILE_VARIABLES[0], "/etc/mine.xml")
    assert not of_kind(actions("all"), "SetEnvironmentVariable")
    with pytest.raises(ValueError, match="fastdds_profile: found 'on', expected one of auto, all, off"):
        actions("on")


def test_the_demo_connects_its_camera_to_depth_node(load):
    actions = load("demo.launch.py")["generate_launch_description"]().args[0]
    (depth,), (camera,) = of_kind(actions, "IncludeLaunchDescription"), of_kind(actions, "Node")
    passed_on = dict(depth.kwargs["launch_arguments"])
    assert passed_on.keys() <= load("depth.launch.py")["ARGUMENTS"].keys()
    assert dict(camera.kwargs["remappings"]).items() <= passed_on.items()


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
