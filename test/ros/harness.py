"""depth_node as a process of its own, and a peer in the test's process that feeds and watches it over real DDS."""

import array
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import rclpy
import yaml
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from test.conftest import REPOSITORY

DOMAIN = 1 + os.getpid() % 100
TIMEOUT = 30.0
FRAME_ID = "camera_optical_frame"
OK, WARN, ERROR = b"\x00", b"\x01", b"\x02"


def wait_until(condition, what, timeout=TIMEOUT):
    """Return the condition's value once it is true; fail with `what` when it is not in time."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what() if callable(what) else what}"
        time.sleep(0.01)
    return value


class DepthNode:
    """`with DepthNode(max_depth=5.0) as node`: the process, ended at the end. `fault` is Python to run before."""

    def __init__(self, *ros_arguments: str, fault: str = "", **parameters):
        program = f"{fault}\nimport sys\nfrom mono_depth_ros.ros.main import main\nsys.exit(main())"
        start = ["-c", program] if fault else ["-m", "mono_depth_ros.ros"]
        self.command = [sys.executable, *start, "--ros-args", *ros_arguments]
        for name, value in parameters.items():
            self.command += ["-p", f"{name}:={json.dumps(value)}"]
        self._log = tempfile.TemporaryFile()

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command,
            cwd=REPOSITORY,
            env=os.environ | {"ROS_DOMAIN_ID": str(DOMAIN)},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)  # one that is killed leaves 68 MB of shared memory behind
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process.kill()
        self.process.wait(TIMEOUT)
        self._log.close()

    def log(self) -> str:
        """All it has printed so far."""
        return os.pread(self._log.fileno(), 1 << 24, 0).decode()

    def expect_log(self, text: str) -> "DepthNode":
        """Wait until it has printed the text."""
        wait_until(lambda: text in self.log(), lambda: f"{text!r} in the log:\n{self.log()}")
        return self

    def expect_active(self) -> "DepthNode":
        """Wait until it takes images."""
        return self.expect_log("active: waiting for images")

    def end(self, number=signal.SIGINT) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT)


class Peer:
    """A camera, a consumer and an operator in one node, in a thread of its own."""

    def __init__(self, image_topic: str = "image", compressed: bool = False, name: str = "/depth_node"):
        self._image_topic, self._compressed, self._name = image_topic, compressed, name

    def __enter__(self):
        self._context = rclpy.Context()
        rclpy.init(context=self._context, domain_id=DOMAIN)
        self.node = rclpy.create_node("peer", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        kind = CompressedImage if self._compressed else Image
        self._images = self.node.create_publisher(kind, self._image_topic, 10)
        self._infos = self.node.create_publisher(CameraInfo, "camera_info", 10)
        self._stamps = itertools.count(time.time_ns(), 33_000_000)
        self._statuses = {}
        self._watched = []
        self.depths: list[Image] = []  # what the fixture `camera` watches
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._take_diagnostics, 10)
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._executor.shutdown()
        self._thread.join(TIMEOUT)
        self.node.destroy_node()
        self._context.try_shutdown()

    def _spin(self):
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def watch(self, message_type, topic: str) -> list:
        """The messages of a topic, as they come."""
        received: list = []
        self.watch_with(message_type, topic, received.append)
        return received

    def watch_with(self, message_type, topic: str, take):
        """Give each message of a topic to `take`, as they come."""
        self._watched.append(self.node.create_subscription(message_type, topic, take, 10))

    def connect(self):
        """Wait until depth_node says that it sees our images and camera_infos and all that watches its outputs."""
        for area in ("image", "camera_info"):
            seen = partial(self.value, area, "publishers")
            wait_until(lambda seen=seen: seen() == "1", f"depth_node sees one publisher of {area}")
        wanted = {subscription.topic_name.lstrip("/") for subscription in self._watched}
        wait_until(
            lambda: wanted <= set((self.value("outputs", "subscribed") or "").split(", ")),
            f"depth_node sees who watches {wanted}",
        )

    def stamp(self) -> Time:
        """A new stamp, each 33 ms after the one before."""
        seconds, nanoseconds = divmod(next(self._stamps), 1_000_000_000)
        return Time(sec=seconds, nanosec=nanoseconds)

    def send(self, image: Image, info: CameraInfo | None = None) -> tuple[int, int]:
        """Publish an image, and a camera_info with its header first; the image's stamp comes back."""
        if info:
            info.header = image.header
            self._infos.publish(info)
        self._images.publish(image)
        return image.header.stamp.sec, image.header.stamp.nanosec

    def status(self, area: str):
        """The last diagnostic status of an area, or None."""
        return self._statuses.get(f"{self._name}: {area}")

    def value(self, area: str, key: str) -> str | None:
        """One value of a diagnostic status."""
        status = self.status(area)
        return next((v.value for v in status.values if v.key == key), None) if status else None

    def expect_status(self, area: str, level: bytes, *texts: str):
        """Wait for a diagnostic status, of this level or a worse one, that says these texts."""

        def said():
            status = self.status(area)
            return status and status.level >= level and all(text in status.message for text in texts) and status

        return wait_until(said, lambda: f"status {area} {level!r} {texts}; now {self.status(area)}")

    def counts(self) -> dict[str, int]:
        """Frames by outcome, from the diagnostics; empty before the first."""
        status = self.status("image")
        return {v.key: int(v.value) for v in status.values if v.value.isdigit()} if status else {}

    def expect_counts(self, **counts: int):
        """Wait for diagnostics with these numbers of frames."""
        wait_until(lambda: counts.items() <= self.counts().items(), lambda: f"{counts}; now {self.counts()}")

    def call(self, service_type, name: str, request):
        """Call a service of depth_node."""
        client = self.node.create_client(service_type, f"{self._name}/{name}")
        try:
            assert client.wait_for_service(TIMEOUT), name
            future = client.call_async(request)
            return wait_until(lambda: future.done() and future.result(), name)
        finally:
            self.node.destroy_client(client)

    def change_state(self, transition: str) -> bool:
        """Ask for a lifecycle transition by name; whether it succeeded."""
        number = getattr(Transition, f"TRANSITION_{transition.upper()}")
        return self.call(ChangeState, "change_state", ChangeState.Request(transition=Transition(id=number))).success

    def state(self) -> str:
        """The lifecycle state."""
        return self.call(GetState, "get_state", GetState.Request()).current_state.label

    def set_parameter(self, name: str, value):
        """Set one parameter; the result with its reason."""
        request = SetParameters.Request(parameters=_messages({name: value}))
        return self.call(SetParameters, "set_parameters", request).results[0]

    def set_parameters_together(self, **values):
        """Set parameters as one change; the result with its reason."""
        request = SetParametersAtomically.Request(parameters=_messages(values))
        return self.call(SetParametersAtomically, "set_parameters_atomically", request).result

    def _take_diagnostics(self, message: DiagnosticArray):
        self._statuses.update({status.name: status for status in message.status})


def accepted(peer: Peer, image: Image, info: CameraInfo | None = None) -> tuple[int, int]:
    """Send a frame and wait for its depth in `peer.depths`; its stamp."""
    stamp = peer.send(image, info)
    wait_until(lambda: peer.depths and stamp_of(peer.depths[-1]) == stamp, lambda: f"depth of {stamp}: {peer.counts()}")
    return stamp


def _messages(values) -> list[ParameterMessage]:
    return [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]


def make_image(stamp: Time, width=320, height=240, encoding="rgb8", frame_id=FRAME_ID) -> Image:
    """A smooth picture with some texture, rgb8 or mono8."""
    channels = {"rgb8": 3, "mono8": 1}[encoding]
    v, u, c = np.mgrid[:height, :width, :channels]
    pixels = (128 + 80 * np.sin(u / 23 + c) * np.cos(v / 17)).astype(np.uint8)
    image = Image(width=width, height=height, encoding=encoding, step=width * channels)
    image.header.stamp, image.header.frame_id = stamp, frame_id
    image.data = array.array("B", pixels.tobytes())
    return image


def make_info(width=320, height=240, focal=260.0, d=(), distortion_model="plumb_bob") -> CameraInfo:
    """A camera with the axis in the middle."""
    k = [focal, 0.0, width / 2, 0.0, focal, height / 2, 0.0, 0.0, 1.0]
    return CameraInfo(width=width, height=height, k=k, d=list(d), distortion_model=distortion_model)


def make_compressed(stamp: Time, data: bytes) -> CompressedImage:
    """A message with these bytes."""
    image = CompressedImage(format="rgb8; jpeg compressed bgr8", data=array.array("B", data))
    image.header.stamp, image.header.frame_id = stamp, FRAME_ID
    return image


def depth_of(message: Image) -> np.ndarray:
    """(H, W) of a depth image, with its own dtype."""
    dtype = {"32FC1": np.float32, "16UC1": np.uint16}[message.encoding]
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width)


def header_of(message) -> tuple[int, int, str]:
    """Stamp and frame."""
    return message.header.stamp.sec, message.header.stamp.nanosec, message.header.frame_id


def stamp_of(message) -> tuple[int, int]:
    """Stamp."""
    return message.header.stamp.sec, message.header.stamp.nanosec


def parameter_file(folder: Path, **values) -> str:
    """Path of a parameter file for depth_node."""
    path = folder / "parameters.yaml"
    path.write_text(yaml.safe_dump({"/**/depth_node": {"ros__parameters": values}}))
    return str(path)
