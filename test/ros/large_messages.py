"""Processes for test_large_messages: `publish` and `receive` an image and a cloud at 30 Hz; run with -m.

Arguments: publish or receive, best_effort or reliable, number of frames. The receiver prints one JSON object: for each
topic the frames that arrived.
"""

import array
import json
import os
import struct
import sys
import time
from collections.abc import Callable
from functools import partial

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2

from mono_depth_ros.ros import environment

RATE = 30
SIZES = {"image": 640 * 480 * 4, "points": 640 * 480 * 16}
TYPES = {"image": Image, "points": PointCloud2}
LONGEST = 30  # seconds that either process waits for the other
SILENCE = 3  # seconds after which the receiver gives up on the rest


def publish(node: Node, reliability: ReliabilityPolicy, frames: int) -> None:
    qos = QoSProfile(depth=5, reliability=reliability)
    publishers = {topic: node.create_publisher(kind, topic, qos) for topic, kind in TYPES.items()}
    messages = {topic: kind(data=array.array("B", bytes(SIZES[topic]))) for topic, kind in TYPES.items()}
    _wait(lambda: all(publisher.get_subscription_count() for publisher in publishers.values()))
    time.sleep(1)  # best effort: the other end may know of us a little later than we of it
    start = time.monotonic()
    for frame in range(frames):
        for topic, publisher in publishers.items():
            messages[topic].header.stamp.sec = frame
            publisher.publish(messages[topic])
        time.sleep(max(0.0, start + (frame + 1) / RATE - time.monotonic()))
    _wait(lambda: not any(publisher.get_subscription_count() for publisher in publishers.values()))


def receive(node: Node, reliability: ReliabilityPolicy, frames: int) -> None:
    # As deep as the test is long: what counts is what gets here, not how soon a busy machine looks at it.
    qos = QoSProfile(depth=frames, reliability=reliability)
    arrived: dict[str, list[int]] = {topic: [] for topic in TYPES}
    for topic, kind in TYPES.items():
        node.create_subscription(kind, topic, partial(_note, arrived[topic]), qos, raw=True)
    heard = time.monotonic() + LONGEST  # the first message may take its time
    while any(len(f) < frames for f in arrived.values()) and time.monotonic() - heard < SILENCE:
        before = sum(map(len, arrived.values()))
        rclpy.spin_once(node, timeout_sec=0.1)
        if sum(map(len, arrived.values())) > before:
            heard = time.monotonic()
    print(json.dumps(arrived), flush=True)


def _note(frames: list[int], serialized: bytes) -> None:
    frames.append(struct.unpack_from("<i", serialized, 4)[0])  # header.stamp.sec, behind the four bytes that CDR adds


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LONGEST
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)


if __name__ == "__main__":
    role, reliability, frames = sys.argv[1:]
    environment.configure(os.environ)
    rclpy.init()
    node = Node(role)
    {"publish": publish, "receive": receive}[role](node, ReliabilityPolicy[reliability.upper()], int(frames))
    rclpy.try_shutdown()
