"""With the shipped Fast DDS profiles, every image and every cloud gets from one process to another."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mono_depth_ros.ros import environment
from test.conftest import REPOSITORY

FRAMES = 90  # three seconds
ALL = {topic: list(range(FRAMES)) for topic in ("image", "points")}
TIMEOUT = 100


def exchanged(reliability: str, domain: int, **variables: str) -> dict[str, list[int]]:
    """Frames that arrived, by topic."""
    environ = {name: value for name, value in os.environ.items() if name not in environment.PROFILE_VARIABLES}
    environ |= {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_DOMAIN_ID": str(domain), **variables}
    processes: list[subprocess.Popen] = []
    try:
        for role in ("receive", "publish"):
            command = [sys.executable, "-m", "test.ros.large_messages", role, reliability, str(FRAMES)]
            processes.append(subprocess.Popen(command, cwd=REPOSITORY, env=environ, stdout=subprocess.PIPE, text=True))
        printed, _ = processes[0].communicate(timeout=TIMEOUT)
        assert [process.wait(timeout=TIMEOUT) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait(timeout=TIMEOUT)
    return json.loads(printed.splitlines()[-1])  # Fast DDS reports its errors on stdout


def assert_all_arrive(reliability: str, domain: int, **variables: str) -> None:
    """Tried up to three times: on a busy machine either process may be kept waiting for longer than its queues last.

    Without the profiles half of the messages and more are lost, every time.
    """
    for attempt in range(3):
        arrived = exchanged(reliability, domain + attempt, **variables)
        if arrived == ALL:
            return
    assert arrived == ALL


@pytest.mark.parametrize(("reliability", "domain"), [("best_effort", 71), ("reliable", 74)])
def test_every_image_and_every_cloud_arrives(reliability: str, domain: int):
    assert_all_arrive(reliability, domain)


def test_they_arrive_with_the_small_profile_too(tmp_path: Path):
    # A copy counts as the user's own choice, so that a roomy /dev/shm does not bring back the large one.
    profile = shutil.copy(environment.share_file(environment.SMALL_PROFILE), tmp_path)
    assert_all_arrive("best_effort", 77, **dict.fromkeys(environment.PROFILE_VARIABLES, str(profile)))
