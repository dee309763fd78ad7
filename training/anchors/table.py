"""What known depths bring: simulated sensors beside the shipped network, right, misplaced and broken, in one table."""

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.random import Generator
from tqdm import tqdm

from mono_depth_ros.backends import machine
from mono_depth_ros.camera import CameraModel
from mono_depth_ros.estimator import DepthEstimator
from mono_depth_ros.fusion import Anchors, Prior, examine, fuse, fuse_and_report
from mono_depth_ros.prediction import Prediction
from mono_depth_ros.source_monitor import SourceMonitor
from mono_depth_ros.tables import markdown
from training.anchors import sensors
from training.data.place import locate
from training.data.rgbd_folder import RgbdFolder
from training.metrics import EIGEN_CROP, MAX_DEPTH, MIN_DEPTH


@dataclass(frozen=True)
class Recording:
    """Frames to measure on, none of them trained or tuned on.

    Attributes:
        name: of the table's row.
        folder: below ``data/``.
        every: of the frames, take every n-th.
        rate: of these in Hz, where they are a recording; 0 where they are single images.
        rows, border: see `RgbdFolder`.
    """

    name: str
    folder: str
    every: int = 1
    rate: float = 0.0
    rows: tuple[tuple[int, int], ...] | None = None
    border: int = 0


NYU_ROWS = ((137, 149), (331, 343), (525, 537), (719, 731))
RECORDINGS = (
    Recording("NYU, 48 held out", "nyu_depth_v2_train", rows=NYU_ROWS, border=8),
    Recording("tum_fr1_rpy", "tum_fr1_rpy", every=3, rate=10.0),
    Recording("hololens_office", "hololens_office", rate=5.0),
    Recording("redkitchen_video", "redkitchen_video", every=3, rate=10.0),
)
SENSORS = {
    "20 points, 2 %": sensors.points(20),
    "50 points, 2 %": sensors.points(50),
    "200 points, 2 %": sensors.points(200),
    "2D scan, 0.5 degrees, 2 cm": sensors.scan(),
    "8x8 ToF over 45 degrees, 5 %": sensors.zones(),
    "Range of 27 degrees, 3 %": sensors.rangefinder(),
}
BREAKABLE = ("2D scan, 0.5 degrees, 2 cm", "8x8 ToF over 45 degrees, 5 %", "Range of 27 degrees, 3 %")
HEALTHY_SECONDS, WINDOW_SECONDS = 2.0, 10.0


@dataclass(frozen=True)
class Frame:
    """One frame: what the network sees, and the truth (H, W) in metres, 0 where it does not count."""

    prediction: Prediction
    truth: np.ndarray
    camera: CameraModel


def frames(recording: Recording, estimator: DepthEstimator) -> Iterator[Frame]:
    """The recording through the network, which is given its camera."""
    folder = locate(Path("data") / recording.folder)
    data = RgbdFolder(folder, rows=recording.rows, every=recording.every, border=recording.border)
    for index in tqdm(range(len(data)), desc=recording.name, unit=" frames", mininterval=1):
        frame = data[index]
        truth = np.where((frame.depth > MIN_DEPTH) & (frame.depth < MAX_DEPTH), frame.depth, 0)
        if recording.border:
            top, bottom, left, right = EIGEN_CROP
            inside = np.zeros_like(truth)
            inside[top:bottom, left:right] = truth[top:bottom, left:right]
            truth = inside
        if np.count_nonzero(truth) > 1000:
            yield Frame(estimator.predict(frame.rgb, frame.camera), truth, frame.camera)


def errors(prediction: Prediction, truth: np.ndarray) -> tuple[float, float, float]:
    """AbsRel, RMSE in metres, and the share of pixels inside their 90 % interval."""
    assert prediction.sigma is not None  # the shipped network predicts its error
    known = truth > 0
    expected, depth = truth[known], prediction.depth[known].clip(MIN_DEPTH, MAX_DEPTH)
    within = np.abs(np.log(prediction.depth[known] / expected)) < math.log(10) / math.sqrt(2) * prediction.sigma[known]
    return (
        float(np.mean(np.abs(depth - expected) / expected)),
        float(np.sqrt(np.mean((depth - expected) ** 2))),
        float(within.mean()),
    )


def measure(recording: Recording, estimator: DepthEstimator) -> dict[str, np.ndarray]:
    """Mean `errors` of the prediction (''), and with each sensor: as it should be (NAME), and misplaced (NAME*)."""
    rows: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    prior = Prior(**estimator.checkpoint.info.prior)
    for number, frame in enumerate(frames(recording, estimator)):
        rows[""].append(errors(frame.prediction, frame.truth))
        for name, simulate in SENSORS.items():
            rng = np.random.default_rng(number)
            anchors = simulate(frame.truth, frame.camera, rng)
            rows[name].append(errors(fuse(frame.prediction, anchors, prior), frame.truth))
            for turn, shift in zip(sensors.WRONG_TURNS, sensors.WRONG_SHIFTS, strict=True):
                anchors = sensors.misplaced(anchors, frame.camera, turn, shift, rng)
            rows[f"{name}*"].append(errors(fuse(frame.prediction, anchors, prior), frame.truth))
    return {name: np.mean(found, axis=0) for name, found in rows.items()}


# What an image gets of a broken sensor, from its readings until now and how many of them were before the fault.
Break = Callable[[list[Anchors], int, CameraModel, Generator], Anchors]
TURN = np.array([0.0, math.radians(10), 0.0])
FAULTS: dict[str, Break] = {
    "none": lambda readings, healthy, camera, rng: readings[-1],
    "10 degrees off": lambda readings, healthy, camera, rng: sensors.moved(readings[-1], camera, TURN, np.zeros(3)),
    "blocked at 0.1 m": lambda readings, healthy, camera, rng: replace(
        readings[-1], depth=0.1 * np.exp(readings[-1].sigma * rng.standard_normal(len(readings[-1])))
    ),
    "frozen": lambda readings, healthy, camera, rng: readings[healthy],
    "1 s late": lambda readings, healthy, camera, rng: readings[-1 - round(healthy / HEALTHY_SECONDS)],
    "scaled by 1.5": lambda readings, healthy, camera, rng: replace(readings[-1], depth=1.5 * readings[-1].depth),
}


def break_sensors(recording: Recording, estimator: DepthEstimator) -> list[tuple[str, str, float, float]]:
    """(sensor, fault, AbsRel over that of the prediction alone, seconds until the alarm; NaN without one).

    Each sensor is healthy for two seconds, then it breaks; measured are the ten seconds from there, or what is left.
    """
    prior = Prior(**estimator.checkpoint.info.prior)
    healthy = round(HEALTHY_SECONDS * recording.rate)
    seen = list(frames(recording, estimator))[: healthy + round(WINDOW_SECONDS * recording.rate)]
    found = []
    for sensor in BREAKABLE:
        readings = [
            SENSORS[sensor](frame.truth, frame.camera, np.random.default_rng(i)) for i, frame in enumerate(seen)
        ]
        for fault, breaks in FAULTS.items():
            monitor, alone, together, alarm = SourceMonitor(), 0.0, 0.0, math.nan
            for i, frame in enumerate(seen):
                anchors = readings[i]
                if i >= healthy:
                    anchors = breaks(readings[: i + 1], healthy, frame.camera, np.random.default_rng(i))
                fused = frame.prediction
                if monitor.trusts(0):
                    fused, reports = fuse_and_report(frame.prediction, anchors, prior)
                else:
                    reports = examine(frame.prediction, anchors, prior)
                alarms = monitor.update(reports, i / recording.rate)
                if i >= healthy:
                    alone += errors(frame.prediction, frame.truth)[0]
                    together += errors(fused, frame.truth)[0]
                    if alarms and math.isnan(alarm):
                        alarm = (i - healthy + 1) / recording.rate
            found.append((sensor, fault, together / alone, alarm))
    return found


def fusing_time(estimator: DepthEstimator, repeats: int = 200) -> tuple[float, float]:
    """Least and median time, in ms, of fusing 200 points with an image of 640x480."""
    frame = next(frames(RECORDINGS[0], estimator))
    anchors = sensors.points(200)(frame.truth, frame.camera, np.random.default_rng(0))
    spent = []
    for _ in range(repeats):
        started = time.perf_counter()
        fuse(frame.prediction, anchors)
        spent.append(1e3 * (time.perf_counter() - started))
    return min(spent), float(np.median(spent))


def accuracy_table(results: dict[str, dict[str, np.ndarray]]) -> str:
    """AbsRel, RMSE and coverage of each recording and sensor."""
    rows = []
    for recording, found in results.items():
        alone = found[""]
        rows.append([recording, "none", *(f"{x:.3f}" for x in alone), "1", "", "", "", ""])
        for name in SENSORS:
            right, wrong = found[name], found[f"{name}*"]
            cells = [f"{x:.3f}" for x in right] + [f"{right[1] / alone[1]:.2f}"]
            cells += [f"{x:.3f}" for x in wrong] + [f"{wrong[1] / alone[1]:.2f}"]
            rows.append(["", name, *cells])
    figures = ["AbsRel", "RMSE, m", "in 90 %", "of none"]
    header = ["recording", "sensor", *figures, *(f"{name}, misplaced" for name in figures)]
    return markdown(header, rows, words=2)


def fault_table(results: dict[str, list[tuple[str, str, float, float]]]) -> str:
    """What broken sensors cost, and when the monitor says so."""
    rows = [
        [recording, sensor, fault, f"{ratio:.3f}", "-" if math.isnan(alarm) else f"{alarm:.1f}"]
        for recording, found in results.items()
        for sensor, fault, ratio, alarm in found
    ]
    return markdown(["recording", "sensor", "fault", "AbsRel of none", "alarm after, s"], rows, words=3)


def main(arguments: list[str]) -> None:
    """Measure, print the tables, and write them to a file where asked to."""
    parser = argparse.ArgumentParser(prog="python -m training anchors", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="a .safetensors file (default: the one that ships)")
    parser.add_argument("--output", type=Path, help="a Markdown file to write the tables to as well")
    options = parser.parse_args(arguments)
    estimator = DepthEstimator.load(options.checkpoint)
    accuracy = {recording.name: measure(recording, estimator) for recording in RECORDINGS}
    faults = {r.name: break_sensors(r, estimator) for r in RECORDINGS if r.rate}
    least, median = fusing_time(estimator)
    weights = f"`{estimator.checkpoint.path.name} sha256 {estimator.checkpoint.sha256[:12]}`"
    text = "\n\n".join(
        [
            accuracy_table(accuracy),
            fault_table(faults),
            f"Fusing 200 points with an image of 640x480: {median:.1f} ms (median), {least:.1f} ms (least). "
            f"Weights: {weights}, {estimator.backend.name} in {estimator.backend.precision}, {machine.detect().cpu}.",
        ]
    )
    print(text)
    if options.output:
        options.output.write_text(f"{text}\n", encoding="utf-8")
