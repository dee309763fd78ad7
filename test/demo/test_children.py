"""The demo's processes: reached from nowhere else, and gone with the demo that started them."""

import ipaddress
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("psutil")
import psutil

from demo.children import interrupt, loopback_environment, start, tail

TIMEOUT = 60  # seconds
PROCESSES = [
    ("mono_depth_ros.ros", ["--ros-args", "-p", "autostart:=false"]),
    ("mono_depth_ros.demo.camera", ["--ros-args", "-p", "source:=clip"]),
]


@pytest.mark.parametrize(("module", "args"), PROCESSES)
def test_their_sockets_are_on_the_loopback_alone(module, args, tmp_path: Path):
    with ExitStack() as children:
        child = start(children, loopback_environment(tmp_path), module, args, tmp_path / "log")
        addresses = settled_sockets(child, tmp_path / "log")
    assert any(address.is_loopback for address in addresses)
    # 239.255.0.1 is where DDS announces itself: joined on the loopback interface, it stays there.
    assert [a for a in addresses if not (a.is_loopback or a.is_multicast)] == []


def settled_sockets(child, log: Path) -> list:
    """Local addresses of the process's sockets, once it has some and opens no more."""
    deadline, found = time.monotonic() + TIMEOUT, []
    while True:
        before, found = found, [ipaddress.ip_address(c.laddr.ip) for c in psutil.Process(child.pid).net_connections()]
        if found and len(found) == len(before):
            return found
        assert child.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.5)


def test_a_profile_of_the_users_does_not_open_it_to_others(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", "/home/robot/everywhere.xml")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    monkeypatch.setenv("ROS_STATIC_PEERS", "192.168.0.7")
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
    environ = loopback_environment(tmp_path)
    assert "<address>127.0.0.1</address>" in Path(environ["FASTRTPS_DEFAULT_PROFILES_FILE"]).read_text()
    assert "ROS_STATIC_PEERS" not in environ and environ["RMW_IMPLEMENTATION"] == "rmw_fastrtps_cpp"
    assert environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SYSTEM_DEFAULT"  # which adds no transport to the profile's


def test_what_is_still_there_in_the_end_is_killed_and_its_log_kept(tmp_path: Path):
    with ExitStack() as children:
        child = start(children, {}, "this", [], tmp_path / "log")
        assert child.wait(TIMEOUT) == interrupt(child, TIMEOUT) == 0
        deaf = "from signal import *; signal(SIGINT, SIG_IGN); print('up', flush=True); pause()"
        (tmp_path / "deaf.py").write_text(deaf)
        sleeper = start(children, {"PYTHONPATH": str(tmp_path)}, "deaf", [], tmp_path / "deaf.log")
        while "up" not in (tmp_path / "deaf.log").read_text():
            time.sleep(0.05)
        assert interrupt(sleeper, 0.1) == -9 and sleeper.poll() is None
    assert sleeper.returncode == -9
    assert tail(tmp_path / "log").startswith(f"the end of {tmp_path / 'log'}:\n")
    assert "Namespaces are one honking great idea" in tail(tmp_path / "log")
