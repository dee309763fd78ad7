"""The demo: depth_node and a camera, processes of their own, watched over real DDS; then what was measured."""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from queue import Empty
from subprocess import Popen
from typing import Any

from tqdm import tqdm

from mono_depth_ros.demo.children import PROFILE, interrupt, loopback_environment, start, tail
from mono_depth_ros.demo.measures import Errors, read_sent, summary
from mono_depth_ros.demo.recording import FrameSet, Recorder
from mono_depth_ros.demo.report import BAG, CLOUD, SHEET, VIDEO, Report
from mono_depth_ros.demo.ros_process import StopRequest, spinning_node
from mono_depth_ros.demo.sources import CLIP, KINDS, parse_source
from mono_depth_ros.demo.watcher import Watcher
from mono_depth_ros.io import Source, SourceError

SENT, MEASUREMENTS = "sent.csv", "measurements.json"

_FRAMES = 300
_LOGS = ("depth_node.log", "camera.log")
_START, _SETTLING, _END = 90.0, 15.0, 15.0  # seconds
_MATCHING = 0.5  # seconds in which the node learns of its subscribers as they learn of it
_FARTHEST = 6.0  # metres, of the live view


class DemoError(RuntimeError):
    """The demo failed; the text says what to look at."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the demo: 0, or 1 with a message where something failed."""
    options = _parser().parse_args(args)
    stop, started = StopRequest(), time.monotonic()
    try:
        source = parse_source(options.source)
        if source.remark:
            print(f"{options.source}: {source.remark}")
        _prepare(options.output)
        with ExitStack() as children:
            figures, sent = Demo(options, source, stop, children).run()
        if figures["frames_recorded"]:
            print(f"Looking at {figures['frames_recorded']} recorded frames", flush=True)
            report = Report(options.output, source, sent)
            report.write()
            mean = Errors.mean(report.errors)
            figures |= {"errors": asdict(mean) if mean else None, "frames_compared": len(report.errors)}
        (options.output / MEASUREMENTS).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        print(described(figures, options.output, time.monotonic() - started))
        _check(figures, stop)
    except (DemoError, SourceError, OSError) as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    finally:
        stop.close()
    return 0


class Demo:
    """The processes of a demo, from their start to their end; `children` kills what is still there then."""

    def __init__(self, options: argparse.Namespace, source: Source, stop: StopRequest, children: ExitStack) -> None:
        self._output, self._stop = options.output, stop
        self._frames = min((number for number in (options.frames, source.length) if number), default=0)
        environ = loopback_environment(self._output)
        os.environ.update(environ)  # for the watcher, which lives in this process
        print(f"Starting depth_node and the camera ({options.source}); ROS_DOMAIN_ID={environ['ROS_DOMAIN_ID']}")
        work = {"points_stride": 2} | ({"checkpoint": options.checkpoint} if options.checkpoint else {})
        play = {"source": options.source, "frames": self._frames, "wait_for": 2, "sent": self._output / SENT}
        logs = (self._output / log for log in _LOGS)
        self._node = start(children, environ, "mono_depth_ros.ros", _ros_arguments(work), next(logs))
        self._camera = start(children, environ, "mono_depth_ros.demo.camera", _ros_arguments(play), next(logs))
        self._recorder = Recorder(self._output / BAG)
        self._consumers: list[Callable[[FrameSet], Any]] = [self._recorder.write, *_viewers(options.view)]

    def run(self) -> tuple[dict[str, Any], dict[int, int]]:
        """Watch until the camera ends, then end the node: figures, and the frames that were sent."""
        with spinning_node("watcher", []) as ros:
            watcher = Watcher(ros)
            self._wait(watcher, lambda: watcher.is_joined() or self._stop.is_set(), _START, "depth_node to publish")
            self._stop.wait(_MATCHING)
            watcher.watch_camera()
            self._watch(watcher)
            self._end(self._camera, "camera")
            self._wait(watcher, lambda: watcher.is_settled() or not watcher.images, _SETTLING, "its last report")
            self._end(self._node, "depth_node")
        while not watcher.sets.empty():
            self._consume(watcher.sets.get())
        self._recorder.close()
        sent = read_sent(self._output / SENT)
        figures = summary(watcher.outputs, watcher.frame_ids, sent) | {
            "node_counts": watcher.node_counts,
            "frames_recorded": self._recorder.count,
            "recording_problem": self._recorder.problem,
        }
        return figures, sent

    def _watch(self, watcher: Watcher) -> None:
        """Record and show until the camera has ended, or a signal comes."""
        pause = 0.5 if sys.stderr.isatty() else 5.0
        with tqdm(total=self._frames or None, unit=" frames", desc="Watching", mininterval=pause) as bar:
            while self._camera.poll() is None and not self._stop.is_set():
                self._check_node(watcher)
                with suppress(Empty):
                    self._consume(watcher.sets.get(timeout=0.1))
                bar.update(watcher.images - bar.n)
            bar.update(watcher.images - bar.n)

    def _consume(self, frame_set: FrameSet) -> None:
        for consume in self._consumers:
            consume(frame_set)

    def _wait(self, watcher: Watcher, condition: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            self._check_node(watcher)
            if time.monotonic() > deadline:
                raise DemoError(f"waited {seconds:.0f} s in vain for {what}; {tail(self._output / _LOGS[0])}")
            time.sleep(0.05)

    def _check_node(self, watcher: Watcher) -> None:
        """Raise DemoError if the node has ended, or says that it cannot work."""
        if self._node.poll() is not None:
            self._end(self._node, "depth_node")
            raise DemoError(f"depth_node ended before its time; {tail(self._output / _LOGS[0])}")
        if watcher.problem:
            raise DemoError(watcher.problem)

    def _end(self, child: Popen, name: str) -> None:
        """End a process in good order. Raises DemoError if it ends, or has ended, in another way."""
        if code := interrupt(child, _END):
            how = f"was killed by signal {-code}, or hung" if code < 0 else f"ended with exit code {code}"
            raise DemoError(f"{name} {how}; {tail(self._output / f'{name}.log')}")


def _ros_arguments(parameters: dict[str, Any]) -> list[str]:
    """Parameters as arguments; texts in quotes, so that a webcam's number stays a text."""
    quoted = {name: value if isinstance(value, int) else json.dumps(str(value)) for name, value in parameters.items()}
    return ["--ros-args", *(part for name, value in quoted.items() for part in ("-p", f"{name}:={value}"))]


def _viewers(view: bool) -> list[Callable[[FrameSet], Any]]:
    """The live view, where it is wanted and there is a screen for it."""
    if not view:
        return []
    from mono_depth_ros.demo import viewer  # rerun-sdk is an extra

    if viewer.open_viewer(_FARTHEST):
        return [lambda frame_set: viewer.show(frame_set, _FARTHEST)]
    print("Rerun could not open a window here; going on without it", file=sys.stderr)
    return []


def _prepare(output: Path) -> None:
    """An empty folder: new, or that of an earlier demo, whose files are removed, and nobody else's."""
    ours = (SENT, MEASUREMENTS, SHEET, VIDEO, CLOUD, BAG, PROFILE, *_LOGS)
    try:
        output.mkdir(parents=True, exist_ok=True)
        if any(output.iterdir()) and not (output / SENT).is_file():
            raise DemoError(f"{output} holds files that are not of a demo; choose another folder with OUT=")
        for path in (output / name for name in ours):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        (output / SENT).touch()
    except OSError as error:
        raise DemoError(f"{output}: {error}; choose another folder with OUT=") from error


def described(figures: dict[str, Any], output: Path, seconds: float) -> str:
    """What was measured, for people to read."""
    frames_in, out = figures["frames_in"], figures["frames_out"]
    lines = ["", f"frames   {frames_in} in, {out} out, {frames_in - out} dropped for newer ones"]
    lines.append(f"rate     {figures['frames_per_second']:.1f} frames per second")
    if figures["age_p50"] is not None:
        p50, p95 = (1e3 * figures[f"age_{name}"] for name in ("p50", "p95"))
        lines.append(f"age      p50 {p50:.0f} ms, p95 {p95:.0f} ms at publish")
    if errors := figures.get("errors"):
        said = f"AbsRel {errors['abs_rel']:.3f}, RMSE {errors['rmse']:.3f} m, delta1 {errors['delta1']:.3f}"
        lines.append(f"error    {said} over {figures['frames_compared']} frames with known depth")
    else:
        lines.append("error    unknown: this source has no depth to compare with")
    equal = "stamp and frame_id equal the image's" if figures["headers_equal"] else "NOT the image's"
    lines.append(f"headers  {equal}, on " + ", ".join(f"{n} {t}" for t, n in figures["messages"].items()))
    if figures["recording_problem"]:
        lines.append(f"Recording stopped early: {figures['recording_problem']}")
    what = {
        SHEET: "image, depth, truth and error side by side",
        VIDEO: "the same in motion",
        CLOUD: "the last frame as a coloured point cloud (MeshLab, CloudCompare)",
        BAG: "a rosbag2: ros2 bag play, or open the .mcap in Foxglove",
        MEASUREMENTS: "these figures",
    }
    there = [f"  {output / name}  {text}" for name, text in what.items() if (output / name).exists()]
    return "\n".join([*lines, "", "Look at", *there, "", f"All in {seconds:.0f} s."])


def _check(figures: dict[str, Any], stop: StopRequest) -> None:
    if not figures["frames_out"]:
        raise DemoError("stopped before any depth came" if stop.is_set() else f"no depth came; see {_LOGS[0]} there")
    published = figures["node_counts"].get("published", figures["frames_out"])
    if published != figures["frames_out"]:
        raise DemoError(f"the node published {published} depth images, {figures['frames_out']} arrived")
    if not figures["headers_equal"]:
        raise DemoError("some headers are not those of an image that was sent")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--source", default=CLIP, help=f"where the frames come from: {KINDS}")
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for what is left to look at")
    parser.add_argument("--frames", type=int, default=_FRAMES, help="stop after so many; 0: until the source ends")
    parser.add_argument("--checkpoint", type=Path, help="another checkpoint than the one that ships")
    parser.add_argument("--view", action="store_true", help="show everything live in Rerun")
    return parser
