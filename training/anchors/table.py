"""What known depths bring: simulated sensors beside the shipped network, right, misplaced and broken, in one table."""

import argparse
import csv
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from tqdm import tqdm

from mono_depth_ros.backends import machine
from mono_depth_ros.camera import CameraModel
from mono_depth_ros.estimator import DepthEstimator
from mono_depth_ros.fusion import Anchors, Prior, fuse
from mono_depth_ros.landmarks import Landmarks
from mono_depth_ros.poses import pose_of
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
SCAN, ZONES, RANGE = tuple(SENSORS)[3:]
LANDMARKS = "landmarks of images and poses"
# What is watched by the monitor; the first breaks, the other is healthy.
WATCHED = ((SCAN,), (ZONES,), (RANGE,), (ZONES, SCAN), (SCAN, ZONES), (ZONES, LANDMARKS))
POSE = ("tx", "ty", "tz", "qx", "qy", "qz", "qw")
HEALTHY_SECONDS, WINDOW_SECONDS = 2.0, 10.0


@dataclass(frozen=True)
class Frame:
    """One frame: what the network sees, the truth (H, W) in metres, 0 where it does not count, and the landmarks of its
    recording until then, where that has poses.
    """

    prediction: Prediction
    truth: np.ndarray
    camera: CameraModel
    landmarks: Anchors | None


def frames(recording: Recording, estimator: DepthEstimator) -> Iterator[Frame]:
    """The recording through the network, which is given its camera; landmarks are tracked through every image."""
    folder = locate(Path("data") / recording.folder)
    poses = poses_of(folder)
    landmarks, every = (Landmarks(), 1) if poses else (None, recording.every)
    data = RgbdFolder(folder, rows=recording.rows, every=every, border=recording.border)
    for index in tqdm(range(len(data)), desc=recording.name, unit=" frames", mininterval=1):
        frame, marks = data[index], None
        prediction = estimator.predict(frame.rgb, frame.camera)
        if landmarks:
            gray = np.asarray(cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2GRAY), np.uint8)
            stamp = index / (recording.rate * recording.every)
            marks = landmarks.update(gray, prediction.depth, frame.camera, poses[Path(frame.name).name], stamp)
            if index % recording.every:
                continue
        truth = np.where((frame.depth > MIN_DEPTH) & (frame.depth < MAX_DEPTH), frame.depth, 0)
        if recording.border:
            top, bottom, left, right = EIGEN_CROP
            inside = np.zeros_like(truth)
            inside[top:bottom, left:right] = truth[top:bottom, left:right]
            truth = inside
        if np.count_nonzero(truth) > 1000:
            yield Frame(prediction, truth, frame.camera, marks)


def poses_of(folder: Path) -> dict[str, np.ndarray]:
    """(4, 4) from the camera to the world, by the image's name; empty where the recording has none."""
    if not (folder / "poses.csv").is_file():
        return {}
    with (folder / "poses.csv").open() as file:
        return {row["frame"]: pose_of([float(row[name]) for name in POSE]) for row in csv.DictReader(file)}


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


def measure(seen: Sequence[Frame], prior: Prior) -> dict[str, np.ndarray]:
    """Mean `errors` of the prediction (''), and with each sensor: as it should be (NAME), and misplaced (NAME*)."""
    rows: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for number, frame in enumerate(seen):
        rows[""].append(errors(frame.prediction, frame.truth))
        for name, simulate in SENSORS.items():
            rng = np.random.default_rng(number)
            anchors = simulate(frame.truth, frame.camera, rng)
            rows[name].append(errors(fuse(frame.prediction, anchors, prior), frame.truth))
            for turn, shift in zip(sensors.WRONG_TURNS, sensors.WRONG_SHIFTS, strict=True):
                anchors = sensors.misplaced(anchors, frame.camera, turn, shift, rng)
            rows[f"{name}*"].append(errors(fuse(frame.prediction, anchors, prior), frame.truth))
        if frame.landmarks is not None:
            rows[LANDMARKS].append(errors(fuse(frame.prediction, frame.landmarks, prior), frame.truth))
    return {name: np.mean(found, axis=0) for name, found in rows.items()}


HEALTHY = ("none", "none, misplaced")


def slightly_off(anchors: Anchors, camera: CameraModel) -> Anchors:
    """Anchors of a healthy sensor in practice: 1 degree, 2 cm and 20 ms off, always in the same direction."""
    rng = np.random.default_rng(0)
    for turn, shift in zip(sensors.WRONG_TURNS, sensors.WRONG_SHIFTS, strict=True):
        anchors = sensors.misplaced(anchors, camera, turn, shift, rng)
    return anchors


@dataclass(frozen=True)
class Broken:
    """A sensor with a fault, or healthy, and perhaps a healthy one beside it.

    Attributes:
        sensor, fault: names.
        ratio: AbsRel over that of the prediction alone.
        alarms: seconds after which the sensor was set aside.
        other_alarms: how often the one beside it was.
        seconds: for which they were watched, together.
    """

    sensor: str
    fault: str
    ratio: float
    alarms: tuple[float, ...]
    other_alarms: int
    seconds: float


# What an image gets of a broken sensor, from its readings until now and how many of them were before the fault.
Break = Callable[[list[Anchors], int, CameraModel, Generator], Anchors]
TURN = np.array([0.0, math.radians(10), 0.0])
FAULTS: dict[str, Break] = {
    "none": lambda readings, healthy, camera, rng: readings[-1],
    "none, misplaced": lambda readings, healthy, camera, rng: slightly_off(readings[-1], camera),
    "10 degrees off": lambda readings, healthy, camera, rng: sensors.moved(readings[-1], camera, TURN, np.zeros(3)),
    "blocked at 0.1 m": lambda readings, healthy, camera, rng: replace(
        readings[-1], depth=0.1 * np.exp(readings[-1].sigma * rng.standard_normal(len(readings[-1])))
    ),
    "frozen": lambda readings, healthy, camera, rng: readings[healthy],
    "1 s late": lambda readings, healthy, camera, rng: readings[-1 - round(healthy / HEALTHY_SECONDS)],
    "scaled by 1.5": lambda readings, healthy, camera, rng: replace(readings[-1], depth=1.5 * readings[-1].depth),
}


def break_sensors(seen: Sequence[Frame], rate: float, prior: Prior) -> list[Broken]:
    """Each sensor with each fault, alone and beside another, at so many frames a second.

    A broken one is healthy for two seconds, then broken for ten or what is left; healthy ones are watched to the end.
    """
    alone = [errors(frame.prediction, frame.truth)[0] for frame in seen]
    readings = {
        name: [SENSORS[name](frame.truth, frame.camera, np.random.default_rng(i)) for i, frame in enumerate(seen)]
        for name in (SCAN, ZONES, RANGE)
    }
    if marks := [frame.landmarks for frame in seen if frame.landmarks is not None]:
        readings[LANDMARKS] = marks
    cases = [(names, fault) for names in WATCHED if readings.keys() >= set(names) for fault in FAULTS]
    # The same two healthy ones are the same, whichever is called the first.
    cases = [(names, fault) for names, fault in cases if fault not in HEALTHY or names != (SCAN, ZONES)]
    found = []
    for names, fault in tqdm(cases, desc="faults", mininterval=1):
        healthy = round(HEALTHY_SECONDS * rate)
        begins = 0 if fault in HEALTHY else healthy
        ends = len(seen) if fault in HEALTHY else min(healthy + round(WINDOW_SECONDS * rate), len(seen))
        monitor, together, same_since = SourceMonitor(prior), 0.0, 0
        alarms: list[list[float]] = [[] for _ in names]
        own, *others = (readings[name] for name in names)
        broken = before = own[0]
        for i, frame in enumerate(seen[:ends]):
            broken, before = own[i], broken
            if i >= begins:
                broken = FAULTS[fault](own[: i + 1], healthy, frame.camera, np.random.default_rng(i))
            same_since = same_since if np.array_equal(broken.depth, before.depth) else i
            anchors = Anchors.together([broken, *(other[i] for other in others)])
            unchanged = {0: (i - same_since) / rate}
            verdicts = monitor.judge(frame.prediction, anchors, frame.camera, i / rate, unchanged)
            if i < begins:
                continue
            trusted = [number for number, verdict in verdicts.items() if verdict.trusted]
            chosen = anchors[np.isin(anchors.source, trusted)]
            together += errors(fuse(frame.prediction, chosen, prior), frame.truth)[0] if trusted else alone[i]
            for number, verdict in verdicts.items():
                if verdict.alarm:
                    alarms[number].append((i - begins + 1) / rate)
        ratio, seconds = together / sum(alone[begins:ends]), len(names) * (ends - begins) / rate
        other_alarms = sum(len(said) for said in alarms[1:])
        found.append(Broken(" + ".join(names), fault, ratio, tuple(alarms[0]), other_alarms, seconds))
    return found


def fusing_time(frame: Frame, repeats: int = 200) -> str:
    """Time of fusing 200 points with an image of 640x480: on the clock, and of the processor."""
    anchors = sensors.points(200)(frame.truth, frame.camera, np.random.default_rng(0))
    spent = []
    for _ in range(repeats):
        started = time.perf_counter(), time.process_time()
        fuse(frame.prediction, anchors)
        spent.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    (least, least_cpu), (median, median_cpu) = (1e3 * f(spent, axis=0) for f in (np.min, np.median))
    return (
        f"Fusing 200 points with an image of 640x480: {median:.1f} ms (median), {least:.1f} ms (least); "
        f"{median_cpu:.1f} and {least_cpu:.1f} ms of processor time."
    )


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
        if LANDMARKS in found:
            marks = found[LANDMARKS]
            rows.append(["", LANDMARKS, *(f"{x:.3f}" for x in marks), f"{marks[1] / alone[1]:.2f}", "", "", "", ""])
    figures = ["AbsRel", "RMSE, m", "in 90 %", "of none"]
    header = ["recording", "sensor", *figures, *(f"{name}, misplaced" for name in figures)]
    return markdown(header, rows, words=2)


def fault_table(results: dict[str, list[Broken]]) -> str:
    """What broken sensors cost, and when the monitor says so."""
    rows = [
        [
            recording,
            b.sensor,
            b.fault,
            f"{b.ratio:.3f}",
            f"{b.alarms[0]:.1f}" if b.alarms else "-",
            str(b.other_alarms) if " + " in b.sensor else "",
        ]
        for recording, found in results.items()
        for b in found
        if b.fault not in HEALTHY
    ]
    header = ["recording", "sensor", "fault", "AbsRel of none", "alarm after, s", "alarms of the other"]
    return markdown(header, rows, words=3)


def health_table(results: dict[str, list[Broken]]) -> str:
    """What the monitor leaves of healthy sensors, and how often it is wrong about them."""
    rows = [
        [recording, b.sensor, b.fault, f"{b.ratio:.3f}", str(len(b.alarms) + b.other_alarms), f"{b.seconds:.0f}"]
        for recording, found in results.items()
        for b in found
        if b.fault in HEALTHY
    ]
    return markdown(["recording", "sensor", "fault", "AbsRel of none", "alarms", "in, s"], rows, words=3)


def main(arguments: list[str]) -> None:
    """Measure, print the tables, and write them to a file where asked to."""
    parser = argparse.ArgumentParser(prog="python -m training anchors", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="a .safetensors file (default: the one that ships)")
    parser.add_argument("--output", type=Path, help="a Markdown file to write the tables to as well")
    options = parser.parse_args(arguments)
    estimator = DepthEstimator.load(options.checkpoint)
    prior = Prior(**estimator.checkpoint.info.prior)
    accuracy, faults, timing = {}, {}, ""
    for recording in RECORDINGS:
        seen = list(frames(recording, estimator))
        accuracy[recording.name] = measure(seen, prior)
        if recording.rate:
            faults[recording.name] = break_sensors(seen, recording.rate, prior)
        timing = timing or fusing_time(seen[0])
    weights = f"`{estimator.checkpoint.path.name} sha256 {estimator.checkpoint.sha256[:12]}`"
    text = "\n\n".join(
        [
            accuracy_table(accuracy),
            fault_table(faults),
            health_table(faults),
            f"{timing} "
            f"Weights: {weights}, {estimator.backend.name} in {estimator.backend.precision}, {machine.detect().cpu}.",
        ]
    )
    print(text)
    if options.output:
        options.output.write_text(f"{text}\n", encoding="utf-8")
