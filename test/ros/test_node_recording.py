"""300 real frames of a hand-held Kinect, at their own 30 Hz, with their distorted lens."""

import csv
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from mono_depth_ros.camera import CameraModel, Rectifier
from test.conftest import REPOSITORY
from test.ros.harness import DOMAIN, FRAME_ID, DepthNode, Peer, depth_of, header_of, wait_until


@pytest.fixture
def recording(real_frames):
    return real_frames / "tum_fr1_rpy"


def headers_of(log) -> list[tuple[int, int, str]]:
    """Headers of the frames that the camera sent, by its own list."""
    with open(log, newline="") as file:
        return [(*divmod(int(row["stamp_ns"]), 10**9), FRAME_ID) for row in csv.DictReader(file)]


def play(recording, log) -> subprocess.Popen:
    """The recording's camera as a process; the first frame goes out once depth_node is there."""
    settings = ["-p", f"source:={recording}", "-p", f"sent:={log}"]
    return subprocess.Popen(
        [sys.executable, "-m", "mono_depth_ros.demo.camera", "--ros-args", *settings],
        cwd=REPOSITORY,
        env=os.environ | {"ROS_DOMAIN_ID": str(DOMAIN)},
    )


def abs_rel(depths, recording, sent) -> float:
    """Mean of |depth - Kinect| / Kinect over the pixels that both know, of every tenth message."""
    lens = Rectifier(CameraModel.from_yaml(recording / "camera.yaml"))
    errors = []
    for message in depths[::10]:
        name = f"{sent.index(header_of(message)):05d}.png"
        raw = cv2.imread(str(recording / "depth" / name), cv2.IMREAD_UNCHANGED)
        true = lens.rectify(raw, cv2.INTER_NEAREST) / 1000
        depth = depth_of(message)
        known = (true > 0) & np.isfinite(depth)
        errors.append(np.abs(depth[known] - true[known]) / true[known])
    return float(np.concatenate(errors).mean())


def test_every_frame_is_accounted_for_and_every_message_arrives(recording, tmp_path, capsys):
    with Peer(image_topic="unused") as peer, DepthNode() as node:
        node.expect_active()
        outputs = {
            "depth": peer.watch(Image, "depth"),
            "depth/camera_info": peer.watch(CameraInfo, "depth/camera_info"),
            "depth/points": peer.watch(PointCloud2, "depth/points"),
        }
        wait_until(lambda: peer.value("outputs", "subscribed") == ", ".join(outputs), "depth_node sees the watcher")
        camera = play(recording, tmp_path / "sent.csv")
        try:
            counts = wait_until(lambda: (c := peer.counts()) and settled(c) and c, peer.counts, timeout=120)
        finally:
            camera.terminate()
            camera.wait()
        wait_until(lambda: all(len(m) == counts["published"] for m in outputs.values()), lambda: sizes(outputs, counts))
    sent = headers_of(tmp_path / "sent.csv")
    assert len(sent) == 300
    assert counts["published"] + counts["dropped"] + counts["lost"] == 300
    assert counts["rejected"] == counts["failed"] == 0
    headers = [header_of(message) for message in outputs["depth"]]
    assert set(headers) <= set(sent) and headers == sorted(set(headers))
    for messages in outputs.values():
        assert [header_of(message) for message in messages] == headers
    error = abs_rel(outputs["depth"], recording, sent)
    with capsys.disabled():
        print(f" {counts['published']} of 300 published, AbsRel {error:.3f} against the Kinect", end="")
    assert error < 0.5


def settled(counts) -> bool:
    """Whether the last frame has been sent and all have come to an end."""
    ended = counts["published"] + counts["dropped"] + counts["rejected"] + counts["failed"]
    return counts["received"] + counts["lost"] == 300 and ended == counts["received"]


def sizes(outputs, counts):
    return {topic: len(messages) for topic, messages in outputs.items()}, counts
