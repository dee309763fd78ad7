"""A folder's RGB-D frames as the bag of a robot that has a 2D lidar and no depth camera: the lidar is simulated."""

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from tqdm import tqdm

from mono_depth_ros.camera import CameraModel
from training.data.place import locate
from training.data.rgbd_folder import RgbdFolder

TYPES = get_typestore(Stores.ROS2_JAZZY)
CAMERA, LIDAR = "camera_optical_frame", "lidar"
# The lidar at the camera, level with it: x ahead, y left, z up, in the camera's optical frame.
MOUNT = (0.0, 0.0, 0.0, 0.5, -0.5, 0.5, 0.5)
STEP, NOISE = math.radians(0.5), 0.02  # between two beams, and metres
NEAREST, FARTHEST = 0.1, 12.0


def scan(depth: np.ndarray, camera: CameraModel, rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """First bearing (to the left is positive), and ranges (N,) ``STEP`` apart; NaN where the frame has no depth."""
    half = min(math.atan(camera.cx / camera.fx), math.atan((camera.width - 1 - camera.cx) / camera.fx))
    bearing = np.arange(-half, half, STEP)
    column = np.rint(camera.cx - camera.fx * np.tan(bearing)).astype(int)
    z = depth[round(camera.cy), column]
    ranges = z / np.cos(bearing) + NOISE * rng.standard_normal(len(z))
    return -half, np.where(z > 0, ranges, np.nan).astype(np.float32)


def write(frames: RgbdFolder, bag: Path, rate: float) -> None:
    """Write images, their camera_info, scans and /tf_static, ``rate`` of them a second."""
    with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topics: dict[str, Any] = {}

        def send(topic: str, stamp: int, content: Any) -> None:
            kind = content.__msgtype__
            topics[topic] = topics.get(topic) or writer.add_connection(topic, kind, typestore=TYPES)
            writer.write(topics[topic], stamp, TYPES.serialize_cdr(content, kind))

        send("/tf_static", 0, tf_static())
        rng = np.random.default_rng(0)
        for index in tqdm(range(len(frames)), unit=" frames"):
            frame, stamp = frames[index], round((1 + index / rate) * 1e9)
            height, width = frame.depth.shape
            camera, lidar = header(stamp, CAMERA), header(stamp, LIDAR)
            first, ranges = scan(frame.depth, frame.camera, rng)
            send("/camera_info", stamp, camera_info(camera, frame.camera))
            send(
                "/image", stamp,
                made("sensor_msgs/msg/Image", header=camera, height=height, width=width, encoding="rgb8",
                     is_bigendian=0, step=3 * width, data=np.ascontiguousarray(frame.rgb).reshape(-1)),
            )  # fmt: skip
            send(
                "/scan", stamp,
                made("sensor_msgs/msg/LaserScan", header=lidar, angle_min=first, angle_max=-first,
                     angle_increment=STEP, time_increment=0.0, scan_time=0.0, range_min=NEAREST, range_max=FARTHEST,
                     ranges=ranges, intensities=np.zeros(0, np.float32)),
            )  # fmt: skip


def made(name: str, **fields: Any) -> Any:
    """A message."""
    return TYPES.types[name](**fields)


def header(stamp: int, frame: str) -> Any:
    """Of a stamp in ns."""
    time = made("builtin_interfaces/msg/Time", sec=stamp // 10**9, nanosec=stamp % 10**9)
    return made("std_msgs/msg/Header", stamp=time, frame_id=frame)


def camera_info(head: Any, camera: CameraModel) -> Any:
    """Of a pinhole."""
    roi = made("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return made(
        "sensor_msgs/msg/CameraInfo", header=head, height=camera.height, width=camera.width,
        distortion_model="plumb_bob", d=np.zeros(5), k=camera.matrix.reshape(-1), r=np.eye(3).reshape(-1),
        p=np.zeros(12), binning_x=0, binning_y=0, roi=roi,
    )  # fmt: skip


def tf_static() -> Any:
    """Where the lidar is."""
    x, y, z, *turn = MOUNT
    place = made(
        "geometry_msgs/msg/Transform",
        translation=made("geometry_msgs/msg/Vector3", x=x, y=y, z=z),
        rotation=made("geometry_msgs/msg/Quaternion", **dict(zip("xyzw", turn, strict=True))),
    )
    stamped = made(
        "geometry_msgs/msg/TransformStamped", header=header(0, CAMERA), child_frame_id=LIDAR, transform=place
    )
    return made("tf2_msgs/msg/TFMessage", transforms=[stamped])


def main(arguments: list[str]) -> None:
    """Write the bag of a folder."""
    parser = argparse.ArgumentParser(prog="python -m training scan-bag", description=__doc__)
    parser.add_argument("folder", type=Path, help="rgb/, depth/ and camera.yaml")
    parser.add_argument("bag", type=Path, help="the bag to write")
    parser.add_argument("--rows", type=int, nargs=2, help="first frame, and that after the last (default: all)")
    parser.add_argument("--rate", type=float, default=30.0, help="frames a second (default: 30)")
    options = parser.parse_args(arguments)
    write(RgbdFolder(locate(options.folder), [options.rows] if options.rows else None), options.bag, options.rate)
