"""What the soak does to depth_node: one method for each kind of event; each says what it did, and checks the answer."""

import random
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rclpy.qos import qos_profile_parameters

from demo.children import interrupt
from mono_depth_ros.ros.outputs import TYPES
from mono_depth_ros.ros.statistics import PUBLISHED, RECEIVED
from test.soak import sensors
from test.soak.camera import LENSES
from test.soak.driver import Driver
from test.soak.process import Mortal

FRAMES, SENT, LENS, SENSORS = "frames.npz", "sent.csv", "lens", "sensors"
CAMERA_LOG, CONSUMER_LOG = "camera.log", "consumer.log"

# What the events change, as it is by default.
_DEFAULTS: dict[str, Any] = {
    "max_depth": 10.0, "min_confidence": 0.0, "points_stride": 1, "points_dense": False, "points_confidence": False,
    "depth_format": "32FC1", "image_is": "auto", "image_bits": 0, "max_age": 0.0,
    "scan_max_height": 0.1,
}  # fmt: skip
_ILLEGAL: tuple[dict[str, Any], ...] = (
    {"max_depth": -1.0},  # out of range
    {"min_confidence": float("nan")},
    {"points_stride": 0},
    {"max_depth": "far"},  # of another type
    {"points_dense": 1},
    {"depth_format": "mono8"},  # none of the choices
    {"min_depth": 5.0, "max_depth": 4.0},  # that do not fit together
    {"max_depth": 5.0, "scan_max_height": -1.0},  # one of them is legal
    {"input_size": [64, 64]},  # not while configured
    {"autostart": False},  # read-only
    {"no_such_parameter": 1},
)


class UnexpectedAnswer(Exception):
    """depth_node did not answer as it should; the text says what was asked, found and expected."""


class Events:
    """All kinds of events, and the way back to the reference state.

    Attributes:
        kinds: by name; each returns what it did, or raises UnexpectedAnswer or TimeoutError.
        held_by_killed: names in /dev/shm that processes held when they were killed. Fast DDS counts who holds the file
            of a port, so nobody removes these.
    """

    def __init__(
        self, driver: Driver, choose: random.Random, children: ExitStack, environ: Mapping[str, str], folder: Path
    ) -> None:
        self._driver, self._choose = driver, choose
        self._children, self._environ, self._folder = children, environ, folder
        self._consumer: Mortal | None = None
        self._states = dict.fromkeys(sensors.TOPICS, sensors.RIGHT)
        self._use_lens(0)
        self._use_sensors()
        self._camera = self._started_camera()
        self.held_by_killed: frozenset[str] = frozenset()
        self.kinds: dict[str, Callable[[], str]] = {
            "subscriber": self._subscriber,
            "legal value": self._legal,
            "illegal value": self._illegal,
            "lens": self._lens,
            "sensor": self._sensor,
            "camera killed": self._camera_killed,
            "pause": self._pause,
            "reload": self._reload,
            "impossible": self._impossible,
            "consumer": self._consumer_comes_or_is_killed,
        }

    def warm_up(self) -> str:
        """Fill what the middleware keeps, which has its bounds but takes longer than a soak to reach them.

        Its buffers are as large as the largest image so far: frames of the largest lens, every output subscribed. And
        a parameter service keeps its last 1000 requests, /rosout as many lines: so many are made.
        """
        for _ in range(qos_profile_parameters.depth):
            self._set(_DEFAULTS)
            self._impossible()
        for topic in TYPES.keys() - self._driver.subscribed():
            self._driver.subscribe(topic)
        done = self._use_lens(max(range(len(LENSES)), key=lambda number: LENSES[number].width * LENSES[number].height))
        self._expect_more(PUBLISHED)
        return f"{done}; {qos_profile_parameters.depth} requests each to set parameters and to change state"

    def reset(self, cleaned_up: Callable[[], None]) -> str:
        """The reference state: every output subscribed, default parameters, the first lens.

        And configured anew, since engine and middleware keep arrays of every size that they have needed so far;
        `cleaned_up` is called while the node has nothing configured. Then a consumer is killed that subscribes to every
        output: while one does not answer, each publisher keeps as many messages as its history is deep, and from there
        on the memory for them. Without it, how many they once had to keep would be chance.
        """
        if not self._consumer:
            self._consumer_comes()
        for topic in TYPES.keys() - self._driver.subscribed():
            self._driver.subscribe(topic)
        self._set(_DEFAULTS)
        self._use_lens(0)
        self._states = dict.fromkeys(sensors.TOPICS, sensors.RIGHT)
        self._use_sensors()
        self._transitions("deactivate", "cleanup")
        cleaned_up()
        self._transitions("configure", "activate")
        self._consumer_is_killed()
        self._expect_more(PUBLISHED)
        return "to the reference state"

    def close(self) -> None:
        """End the camera in good order."""
        interrupt(self._camera.child, 10)

    def _subscriber(self) -> str:
        topic = self._choose.choice(sorted(TYPES))
        if topic in self._driver.subscribed():
            self._driver.unsubscribe(topic)
            return f"of {topic} leaves"
        self._driver.subscribe(topic)
        return f"of {topic} comes"

    def _legal(self) -> str:
        choose = self._choose
        values = {
            "max_depth": choose.uniform(2, 20),
            "min_confidence": choose.choice([0.0, choose.uniform(0, 1)]),
            "points_stride": choose.randint(1, 8),
            "points_dense": choose.random() < 0.5,
            "points_confidence": choose.random() < 0.5,
            "depth_format": choose.choice(["32FC1", "16UC1"]),
            "image_bits": choose.choice([0, 8, 12, 16]),
            "image_is": choose.choice(["auto", "raw", "rectified"]),
            "max_age": choose.choice([0.0, choose.uniform(0.05, 2)]),
            "scan_max_height": choose.uniform(0, 2),
        }
        return self._set({name: values[name] for name in choose.sample(sorted(values), choose.randint(1, 3))})

    def _illegal(self) -> str:
        values = self._choose.choice(_ILLEGAL)
        if not (reason := self._driver.set_parameters(values)):
            raise UnexpectedAnswer(f"{values}: found them accepted, expected them refused")
        return f"{values} refused: {reason}"

    def _lens(self) -> str:
        return self._use_lens(self._choose.randrange(len(LENSES)))

    def _sensor(self) -> str:
        """Comes, goes, or says what is wrong."""
        topic, state = self._choose.choice(sensors.TOPICS), self._choose.choice(sorted(sensors.STATES))
        self._states[topic] = state
        self._use_sensors()
        return f"{topic}: {state}"

    def _camera_killed(self) -> str:
        self._driver.session += 1
        self.held_by_killed |= self._camera.kill()
        try:
            self._driver.expect_report(lambda report: True, "a report")
        finally:
            self._camera = self._started_camera()
        self._expect_more(RECEIVED)
        self._driver.session += 1
        return "and started again"

    def _pause(self) -> str:
        return self._transitions("deactivate", "activate")

    def _reload(self) -> str:
        return self._transitions("deactivate", "cleanup", "configure", "activate")

    def _impossible(self) -> str:
        transition = self._choose.choice(["activate", "configure", "cleanup"])
        if self._driver.change_state(transition):
            raise UnexpectedAnswer(f"{transition}: found success while active, expected a refusal")
        return f"{transition} while active refused"

    def _consumer_comes_or_is_killed(self) -> str:
        """With subscriptions to every output."""
        return self._consumer_is_killed() if self._consumer else self._consumer_comes()

    def _consumer_comes(self) -> str:
        known, log = self._driver.depth_subscribers(), self._folder / CONSUMER_LOG
        self._consumer = Mortal(self._children, self._environ, "test.soak.consumer", [], log)
        self._driver.expect_depth_subscriber(known)
        return "comes"

    def _consumer_is_killed(self) -> str:
        assert self._consumer is not None  # it came
        self.held_by_killed |= self._consumer.kill()
        self._consumer = None
        return "killed"

    def _transitions(self, *names: str) -> str:
        self._driver.session += 1
        for name in names:
            if not self._driver.change_state(name):
                raise UnexpectedAnswer(f"{name}: found failure, expected success")
            if name == "deactivate":
                self._driver.expect_report(lambda report: report["state"] == "inactive", "the node inactive")
        self._driver.session += 1
        return ", ".join(names)

    def _expect_more(self, outcome: str) -> None:
        """Wait until the node has counted some frames more."""
        before = self._driver.expect_report(lambda report: True, "a report")[outcome]
        self._driver.expect_report(lambda report: report[outcome] > before + 2, f"more frames {outcome}")

    def _set(self, values: dict[str, Any]) -> str:
        if reason := self._driver.set_parameters(values):
            raise UnexpectedAnswer(f"{values}: found them refused ({reason}), expected them accepted")
        return f"{values} accepted"

    def _use_lens(self, number: int) -> str:
        self._tell(LENS, str(number))
        lens = LENSES[number]
        return f"{lens.width}x{lens.height}, fx {lens.fx:g}, {lens.distortion_model or 'no distortion'}"

    def _use_sensors(self) -> None:
        self._tell(SENSORS, "\n".join(self._states[topic] for topic in sensors.TOPICS))

    def _tell(self, file: str, text: str) -> None:
        """Tell the camera's process; at once, so that it never reads half of it."""
        new = self._folder / f"{file}.new"
        new.write_text(text)
        new.replace(self._folder / file)

    def _started_camera(self) -> Mortal:
        files = {"frames": FRAMES, "sent": SENT, "lens": LENS, "sensors": SENSORS}
        args = [part for name, file in files.items() for part in ("-p", f'{name}:="{self._folder / file}"')]
        log = self._folder / CAMERA_LOG
        return Mortal(self._children, self._environ, "test.soak.camera", ["--ros-args", *args], log)
