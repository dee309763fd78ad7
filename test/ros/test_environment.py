"""The Fast DDS profile: found wherever the package is installed, chosen by the room there is, never the user's own."""

import importlib.util
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import pytest

from mono_depth_ros import cli
from mono_depth_ros.ros import environment
from test.conftest import REPOSITORY

FASTDDS = "{http://www.eprosima.com}"
LARGE, SMALL = str(REPOSITORY / "config" / "fastdds.xml"), str(REPOSITORY / "config" / "fastdds_small.xml")
JAZZY, KILTED = "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"


class Usage(NamedTuple):
    free: int


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch):
    """Give the shared memory so many megabytes of free room."""
    return lambda megabytes: monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(megabytes << 20))


@pytest.mark.parametrize(
    ("megabytes", "profile"), [(24_000, LARGE), (272, LARGE), (271, SMALL), (64, SMALL), (36, SMALL)]
)
def test_the_profile_is_chosen_by_the_room(megabytes: int, profile: str, room):
    room(megabytes)
    environ = {"HOME": "/home/robot"}
    assert environment.configure(environ) is None
    assert environ == {"HOME": "/home/robot", JAZZY: profile, KILTED: profile}


def test_too_little_room_is_told_with_what_to_do(room):
    room(35)
    environ: dict[str, str] = {}
    warning = environment.configure(environ)
    assert environ[JAZZY] == SMALL
    for words in (
        "/dev/shm has 35 MB free",
        "at least 36 MB",
        "docker run --shm-size=512m",
        "remount,size=512m /dev/shm",
    ):
        assert words in (warning or "")


def test_a_missing_shared_memory_has_no_room(tmp_path: Path):
    assert "has 0 MB free" in (environment.configure({}, tmp_path / "shm") or "")


@pytest.mark.parametrize(
    "environ",
    [
        {JAZZY: "/etc/fastdds.xml"},
        {KILTED: "/etc/fastdds.xml"},
        {"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"},
        {environment.SWITCH: "off"},
    ],
)
def test_the_users_choice_stays(environ: dict[str, str], room):
    room(1)
    before = dict(environ)
    assert environment.configure(environ) is None
    assert environ == before


def test_a_process_started_by_a_launch_file_of_ours_looks_again(room):
    room(1000)
    environ = {JAZZY: ""}
    environment.configure(environ)
    assert environ[JAZZY] == LARGE
    room(20)
    assert environment.configure(environ)
    assert environ[JAZZY] == environ[KILTED] == SMALL


@pytest.mark.parametrize(("file", "megabytes"), [(LARGE, 64), (SMALL, 16)])
def test_the_profiles_replace_the_transports_by_a_larger_segment_beside_udp(file: str, megabytes: int):
    root = ElementTree.parse(file).getroot()
    kinds = {
        transport.findtext(f"{FASTDDS}transport_id"): transport.findtext(f"{FASTDDS}type")
        for transport in root.iter(f"{FASTDDS}transport_descriptor")
    }
    (participant,) = root.iter(f"{FASTDDS}participant")
    used = [element.text for element in participant.iter(f"{FASTDDS}transport_id")]
    assert [kinds[name] for name in used] == ["SHM", "UDPv4"]
    assert participant.get("is_default_profile") == "true"
    assert [element.text for element in root.iter(f"{FASTDDS}segment_size")] == [str(megabytes << 20)]
    assert [element.text for element in root.iter(f"{FASTDDS}useBuiltinTransports")] == ["false"]


@pytest.mark.parametrize(
    ("packages", "share"),
    [
        ("venv/lib/python3.11/site-packages", "venv/share/mono_depth_ros"),
        ("home/.local/lib/python3.12/site-packages", "home/.local/share/mono_depth_ros"),
        ("install/mono_depth_ros/lib/python3.12/site-packages", "install/mono_depth_ros/share/mono_depth_ros"),
        ("opt/ros/jazzy/lib/python3.12/site-packages", "opt/ros/jazzy/share/mono_depth_ros"),
        ("target", "target/share/mono_depth_ros"),
        ("checkout", "checkout"),
    ],
    ids=["pip", "pip --user", "colcon", "distribution", "pip --target", "checkout"],
)
def test_files_are_found_from_every_kind_of_installation(packages: str, share: str, tmp_path: Path):
    module = tmp_path / packages / "mono_depth_ros" / "ros" / "environment.py"
    module.parent.mkdir(parents=True)
    shutil.copy(environment.__file__, module)
    spec = importlib.util.spec_from_file_location("elsewhere", module)
    assert spec and spec.loader
    elsewhere = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(elsewhere)

    with pytest.raises(FileNotFoundError, match="config/depth.yaml of mono_depth_ros is missing; looked for"):
        elsewhere.share_file("config/depth.yaml")
    config = tmp_path / share / "config" / "depth.yaml"
    config.parent.mkdir(parents=True)
    config.touch()
    assert elsewhere.share_file("config/depth.yaml") == config


def test_traps_of_a_shell_are_found_and_a_healthy_one_has_none(tmp_path):
    profile = tmp_path / "profile.xml"
    profile.write_text("<dds/>")
    assert environment.traps({}, tmp_path) == []
    assert environment.traps({"FASTRTPS_DEFAULT_PROFILES_FILE": str(profile)}, tmp_path) == []
    ((text, fix),) = environment.traps({"FASTRTPS_DEFAULT_PROFILES_FILE": "/nowhere.xml"}, tmp_path)
    assert "names /nowhere.xml, which is not there" in text and fix
    other = {"FASTRTPS_DEFAULT_PROFILES_FILE": "/nowhere.xml", "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}
    assert environment.traps(other, tmp_path) == []
    ((text, _),) = environment.traps({"RMW_IMPLEMENTATION": ""}, tmp_path)
    assert "RMW_IMPLEMENTATION is set to nothing" in text


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({"FASTDDS_DEFAULT_PROFILES_FILE": "{folder}/profile.yaml"}, "profile.yaml, which is no XML"),
        ({"FASTDDS_DEFAULT_PROFILES_FILE": "{folder}/cut.xml"}, "cut.xml, which is no XML"),
        ({"FASTRTPS_DEFAULT_PROFILES_FILE": "{folder}"}, "which is not there"),
        ({"ROS_DISCOVERY_SERVER": "10.0.0.1:11811", "ROS_SUPER_CLIENT": "0"}, "sees no node that it does not exchange"),
        ({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp", "CYCLONEDDS_URI": "file:///nowhere.xml"}, "names /nowhere.xml"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}, "no node sees another"),
    ],
)
def test_more_traps_of_the_same_kinds(tmp_path, environ, found):
    (tmp_path / "profile.yaml").write_text("dds: {}")
    (tmp_path / "cut.xml").write_text("<dds><profiles>")
    ((text, fix),) = environment.traps({k: v.format(folder=tmp_path) for k, v in environ.items()}, tmp_path)
    assert found in text and fix


@pytest.mark.parametrize("domain", ["300", "-1", "robot"])
def test_a_domain_with_which_no_node_starts_is_named(monkeypatch, capsys, domain):
    monkeypatch.setenv("ROS_DOMAIN_ID", domain)
    assert cli.main(["doctor"]) == 1
    assert f"ROS_DOMAIN_ID: found '{domain}', expected a number from 0 to 232" in capsys.readouterr().err


def test_ports_of_another_user_in_shared_memory_are_found(tmp_path):
    (tmp_path / "fastrtps_port7413").touch()
    mine = (tmp_path / "fastrtps_port7413").stat().st_uid
    assert environment.traps({}, tmp_path, user=mine) == []
    ((text, fix),) = environment.traps({}, tmp_path, user=mine + 1)
    assert "1 ports of another user, such as fastrtps_port7413" in text and "--user" in fix
    assert environment.traps({}, tmp_path, user=0) == []


def test_a_middleware_that_is_set_to_nothing_is_the_default_and_gets_its_profile(tmp_path):
    environ = {"RMW_IMPLEMENTATION": ""}
    environment.configure(environ, tmp_path)
    assert environ["FASTRTPS_DEFAULT_PROFILES_FILE"]


@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv"])
def test_a_container_is_known_by_its_mark(tmp_path, mark):
    assert not environment.in_container(tmp_path)
    (tmp_path / mark).parent.mkdir(exist_ok=True)
    (tmp_path / mark).touch()
    assert environment.in_container(tmp_path)
