"""The node's /diagnostics: one status for each thing that can go wrong, with its figures."""

import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from mono_depth_ros.ros.ages import cause_of_age
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.ros.problems import Problems
from mono_depth_ros.ros.statistics import AGE, NETWORK, PUBLISHED, RECEIVED, VALID, Statistics

_STUCK = 5.0  # seconds on one frame
_BUSY = 3  # processes that want a core, on average of a minute, beyond which a frame may wait for seconds
_STARTING = 3.0  # seconds more that the first image has: a launch starts camera and node at once
_LONGEST_STEP, _FASTEST_CLOCK = 5.0, 20.0  # seconds at once, and per second, that a clock runs on without a jump


@dataclass(frozen=True)
class Input:
    """The image subscription while the node is active."""

    topic: str
    matched: Callable[[], int]  # publishers connected to the subscription
    present: Callable[[], int]  # publishers of the topic, connected or not
    busy_seconds: Callable[[], float]  # spent so far on the frame in the worker's hand
    stage: Callable[[], str] = lambda: NETWORK  # that it is in


@dataclass(frozen=True)
class Situation:
    """What the node is doing: its lifecycle state, and what it has open."""

    state: str
    input: Input | None = None
    backend: Mapping[str, str] = field(default_factory=dict)
    camera_info: Mapping[str, str] = field(default_factory=dict)
    anchors: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by source
    subscribed: Collection[str] = ()  # outputs that somebody subscribes to
    shared: Mapping[str, int] = field(default_factory=dict)  # outputs that others publish, too: number of publishers


class Reporter:
    """Judges, once a second, what the statistics and the problems amount to. Rates and gaps are by the node's clock."""

    def __init__(self, name: str, statistics: Statistics, problems: Problems) -> None:
        self._name = name
        self._statistics, self._problems = statistics, problems
        self._before: tuple[int, dict[str, int]] = (0, {})
        self._reported = time.monotonic()
        self._last_image: int | None = None
        self._image_came = False
        self._last_output: int | None = None

    def report(self, now: int, situation: Situation, settings: Settings) -> list[DiagnosticStatus]:
        """One status an area; `now` in nanoseconds."""
        counts, figures = self._statistics.counts(), self._statistics.percentiles()
        rates = self._rates(now, counts)
        valid = figures.pop(VALID, None)
        if situation.input:
            if self._clock_jumped(now):
                self._last_image = self._last_output = None
            self._judge_input(now, situation.input, counts, settings)
            self._judge_output(now, situation, counts, settings)
            if age := figures.get(AGE):
                self._judge_age(now, age, settings)
        else:
            self._last_image = self._last_output = None
            self._image_came = False
        for topic, number in situation.shared.items():
            text = f"{topic}: {number} publish it, and who listens gets all of them mixed up; remap all but one"
            self._problems.warn("outputs", f"shared {topic}", text)
        self._before = now, counts

        times: dict[str, str] = {}
        for name, both in figures.items():
            times |= _milliseconds(name, both)
        subscribed = ", ".join(sorted(situation.subscribed)) or "none"
        state, source = situation.state, situation.input
        publishers = {"topic": source.topic, "publishers": source.matched()} if source else {}
        hardware = source.topic if source else ""
        values: dict[str, tuple[str, Mapping[str, Any]]] = {
            "node": (state, {"state": state}),
            "image": (f"{rates['rate in (Hz)']} Hz in, {rates['rate out (Hz)']} Hz out", publishers | rates | counts),
            "camera_info": (situation.camera_info.get("camera", "not subscribed"), situation.camera_info),
            "backend": (", ".join(situation.backend.values()), situation.backend),
            **{name: (f"{facts['used']} anchors used", facts) for name, facts in situation.anchors.items()},
            "latency": ("within the thresholds", times),
            "outputs": (subscribed, {"subscribed": subscribed} | ({VALID: f"{valid[0]:.3f}"} if valid else {})),
        }
        return [self._status(area, hardware, summary, facts) for area, (summary, facts) in values.items()]

    def _status(self, area: str, hardware_id: str, summary: str, facts: Mapping[str, Any]) -> DiagnosticStatus:
        """Level and message come from the problems of the area, worst first; without any, OK and the summary."""
        problems = self._problems.current(area)
        levels = (DiagnosticStatus.ERROR if is_error else DiagnosticStatus.WARN for is_error, _ in problems)
        return DiagnosticStatus(
            level=max(levels, default=DiagnosticStatus.OK),
            name=f"{self._name}: {area}",
            message="; ".join(text for _, text in problems) or summary,
            hardware_id=hardware_id,
            values=[KeyValue(key=key, value=str(value)) for key, value in facts.items()],
        )

    def _rates(self, now: int, counts: Mapping[str, int]) -> dict[str, str]:
        """Frames per second since the last report; 0 while the clock stands or has been set back."""
        then, before = self._before
        seconds = (now - then) / 1e9
        per_second = {
            name: (counts[outcome] - before.get(outcome, 0)) / seconds if before and seconds > 0 else 0.0
            for name, outcome in (("rate in (Hz)", RECEIVED), ("rate out (Hz)", PUBLISHED))
        }
        return {name: f"{rate:.1f}" for name, rate in per_second.items()}

    def _clock_jumped(self, now: int) -> bool:
        """Whether the node's clock began, was set, or leapt: a simulation's first /clock, a bag that starts."""
        then, steady = self._before[0], time.monotonic()
        passed, self._reported = steady - self._reported, steady
        return then == 0 or now < then or (now - then) / 1e9 > _LONGEST_STEP + _FASTEST_CLOCK * passed

    def _judge_input(self, now: int, source: Input, counts: Mapping[str, int], settings: Settings) -> None:
        came = counts[RECEIVED] != self._before[1].get(RECEIVED, 0)
        if came or self._last_image is None:
            self._last_image = now
        self._image_came |= came
        silence = (now - self._last_image) / 1e9
        limit = settings.image_timeout + (0 if self._image_came else _STARTING)
        if silence > limit:
            text = f"{source.topic}: no image for {silence:.0f} s, expected one within {limit} s"
            self._problems.error("image", "silence", f"{text}: {_reason_of_silence(source)}")
        busy, stage = source.busy_seconds(), source.stage()
        if busy > _STUCK:
            load, cores = os.getloadavg()[0], os.cpu_count() or 1
            hangs = "; the backend hangs" if stage == NETWORK else ""
            if load > _BUSY * cores:
                hangs += f"; others take the CPU: a load of {load:.0f} on {cores} cores"
            text = f"one frame has been in work for {busy:.0f} s, now in {stage}{hangs}"
            self._problems.error("backend" if stage == NETWORK else "outputs", "stuck", text)

    def _judge_output(self, now: int, situation: Situation, counts: Mapping[str, int], settings: Settings) -> None:
        """Images come, somebody listens, and nothing goes out: an error, whatever the reason of each frame is."""
        before = self._before[1]
        gone = {name: count - before.get(name, 0) for name, count in counts.items() if count > before.get(name, 0)}
        if self._last_output is None or PUBLISHED in gone or RECEIVED not in gone or not situation.subscribed:
            self._last_output = now
        silence = (now - self._last_output) / 1e9
        if silence > settings.image_timeout:
            reasons = ", ".join(f"{name} ({count})" for name, count in gone.items() if ": " in name)
            text = f"images come, but nothing has gone out for {silence:.0f} s"
            self._problems.error("outputs", "nothing", f"{text}: {reasons}" if reasons else text)

    def _judge_age(self, now: int, age: tuple[float, float], settings: Settings) -> None:
        middle, high = age
        if cause := cause_of_age(middle, now / 1e9):
            self._problems.error("latency", "stamps", f"stamps are {abs(middle):.0f} s from the node's clock: {cause}")
            return
        if middle < 0:
            text = f"stamps are {-middle:.3f} s ahead of the node's clock; synchronise the clocks, or set use_sim_time"
            self._problems.warn("latency", "future", text)
        text = f"95 % of the images are published up to {high:.3f} s after their stamp, expected at most"
        if high > settings.age_error:
            self._problems.error("latency", "age", f"{text} {settings.age_error} s (age_error)")
        elif high > settings.age_warning:
            self._problems.warn("latency", "age", f"{text} {settings.age_warning} s (age_warning)")


def _reason_of_silence(source: Input) -> str:
    if source.matched():
        return "its publisher is connected, but nothing comes"
    if source.present():
        return "its publisher has another message type or an incompatible QoS"
    return "nobody publishes it; start the camera, or remap image to its topic"


def _milliseconds(name: str, median_and_p95: tuple[float, float]) -> dict[str, str]:
    return {f"{name} {which} (ms)": f"{1e3 * v:.2f}" for which, v in zip(("p50", "p95"), median_and_p95, strict=True)}
