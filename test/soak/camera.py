"""The soak's camera process: frames rendered beforehand, at 30 Hz, through the lens whose number a file names.

The robot's other sensors go with it: what they say of a frame is out before its first image.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.demo.player import raw_camera_info
from mono_depth_ros.demo.ros_process import StopRequest, spinning_node
from mono_depth_ros.ros.messages import rgb_message
from mono_depth_ros.ros.qos import OUTPUT
from test.rooms.flight import Flight
from test.rooms.renderer import Renderer
from test.rooms.room import Room
from test.soak.sensors import Sensors, samples

RATE = 30.0  # frames a second
FRAME_ID = "camera_optical_frame"
# The first is the reference. The pictures are a pinhole's, also where camera_info says that they are distorted.
LENSES = (
    CameraModel(640, 480, 525.0, 525.0, 319.5, 239.5),
    CameraModel(640, 480, 320.0, 320.0, 319.5, 239.5),
    CameraModel(640, 480, 517.3, 516.5, 318.6, 255.3, "plumb_bob", (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    CameraModel(848, 480, 615.0, 610.0, 423.5, 239.5),
    CameraModel(480, 640, 500.0, 500.0, 239.5, 319.5),
)

_ROOM, _FRAMES = 7, 10
_PERIOD = 0.4  # seconds of flight between two frames
_REPEATED = 3  # images of each; the other sensors speak once, 10 times a second


def render_frames(path: Path) -> None:
    """Write the frames of every lens into a file that the process reads."""
    room = Room(_ROOM)
    flight = Flight(room, 0)
    poses = [flight.pose(_PERIOD * number) for number in range(_FRAMES)]
    places = np.tile(np.eye(4), (_FRAMES, 1, 1))
    for place, pose in zip(places, poses, strict=True):
        place[:3, :3], place[:3, 3] = pose.rotation, pose.position
    arrays = {"poses": places}
    for number, lens in enumerate(LENSES):
        pinhole = CameraModel(lens.width, lens.height, lens.fx, lens.fy, lens.cx, lens.cy)
        renderer = Renderer(pinhole.rays())
        views = [renderer.render(room, pose) for pose in poses]
        arrays[f"rgb{number}"] = np.stack([rgb for rgb, _ in views])
        arrays[f"depth{number}"] = np.stack([samples(depth) for _, depth in views])
    np.savez(path, **arrays)  # type: ignore[arg-type]


def main(args: Sequence[str] | None = None) -> int:
    """Publish until SIGINT or SIGTERM."""
    stop = StopRequest()
    with spinning_node("camera", sys.argv if args is None else args) as node:
        frames = Path(node.declare_parameter("frames", "").value)
        sent = Path(node.declare_parameter("sent", "").value)
        lens = Path(node.declare_parameter("lens", "").value)
        sensors = Sensors(node, Path(node.declare_parameter("sensors", "").value))
        with np.load(frames, allow_pickle=False) as file, open(sent, "a", encoding="utf-8") as log:
            _play(node, dict(file), lens, sensors, log, stop)
    return 0


def _play(node: Node, arrays: dict[str, NDArray], lens: Path, sensors: Sensors, log: TextIO, stop: StopRequest) -> None:
    image = node.create_publisher(Image, "image", OUTPUT)
    info = node.create_publisher(CameraInfo, "camera_info", OUTPUT)
    due, number = time.monotonic(), 0
    while not stop.wait(max(due - time.monotonic(), 0)):
        chosen = int(lens.read_text())
        stamp = time.time_ns()
        header = Header(stamp=Time(sec=stamp // 10**9, nanosec=stamp % 10**9), frame_id=FRAME_ID)
        log.write(f"{stamp}\n")
        log.flush()  # before it goes out: a killed process keeps nothing back
        shown = number // _REPEATED % _FRAMES
        if number % _REPEATED == 0:
            sensors.publish(header, arrays[f"depth{chosen}"][shown], LENSES[chosen], arrays["poses"][shown])
        info.publish(raw_camera_info(header, LENSES[chosen]))
        image.publish(rgb_message(header, arrays[f"rgb{chosen}"][shown]))
        due, number = max(due + 1 / RATE, time.monotonic() - 1 / RATE), number + 1


if __name__ == "__main__":
    sys.exit(main())
