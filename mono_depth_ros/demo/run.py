"""The demo: depth_node, a camera and a watcher, each a process of its own, over real DDS; then what was measured."""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mono_depth_ros.demo.children import PROFILE, exit_code, loopback_environment, start, tail
from mono_depth_ros.demo.report import BAG, CLOUD, SHEET, VIDEO
from mono_depth_ros.demo.sources import CLIP, KINDS, parse_source
from mono_depth_ros.demo.watcher import MEASUREMENTS, SENT
from mono_depth_ros.io import SourceError

_FRAMES = 300
_LOGS = {"depth_node": "depth_node.log", "camera": "camera.log"}
_REPORT_TIMEOUT, _NODE_TIMEOUT = 300.0, 15.0  # seconds


class DemoError(RuntimeError):
    """The demo failed; the text says what to look at."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the demo: 0, or 1 with a message where something failed."""
    options = _parser().parse_args(args)
    try:
        _prepare(options.output)
        started = time.monotonic()
        with ExitStack() as children:
            _run(options, children)
        summary = json.loads((options.output / MEASUREMENTS).read_text(encoding="utf-8"))
        print(described(summary, options.output, time.monotonic() - started))
        _check(summary)
    except (DemoError, SourceError, OSError) as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped", file=sys.stderr)
        return 130
    return 0


def _run(options: argparse.Namespace, children: ExitStack) -> None:
    """Start the three processes and end them in order; those still there in the end are killed by `children`."""
    source = parse_source(options.source)
    if source.remark:
        print(f"{options.source}: {source.remark}")
    output = options.output
    frames = min((number for number in (options.frames, source.length) if number), default=0)
    environ = loopback_environment(output)
    print(
        f"Starting depth_node, the camera ({options.source}) and the watcher; ROS_DOMAIN_ID={environ['ROS_DOMAIN_ID']}"
    )
    ros_args = ["--ros-args", "-p", "points_stride:=2"]
    ros_args += ["-p", f"checkpoint:={json.dumps(str(options.checkpoint))}"] if options.checkpoint else []
    node = start(children, environ, "mono_depth_ros.ros", ros_args, output / _LOGS["depth_node"])
    watch = ["--source", options.source, "--output", str(output), "--frames", str(frames)]
    watcher = start(children, environ, "mono_depth_ros.demo.watcher", watch + ["--view"] * options.view)
    parameters = {
        "source": json.dumps(options.source),  # quoted, so that a webcam's number stays a text
        "frames": frames,
        "wait_for": 2,
        "ahead": _FRAMES,
        "sent": json.dumps(str(output / SENT)),
    }
    play = ["--ros-args", *(part for name, value in parameters.items() for part in ("-p", f"{name}:={value}"))]
    camera = start(children, environ, "mono_depth_ros.demo.camera_process", play, output / _LOGS["camera"])

    try:
        while camera.poll() is None:
            _fail_if_ended(output, watcher=watcher, depth_node=node)
            time.sleep(0.1)
    except KeyboardInterrupt:
        print("\nStopping the camera; once more stops at once", file=sys.stderr)
        camera.send_signal(signal.SIGINT)
        camera.wait(_NODE_TIMEOUT)
    _expect_success(output, "camera", camera.returncode)
    watcher.send_signal(signal.SIGINT)
    _expect_success(output, "watcher", exit_code(watcher, _REPORT_TIMEOUT))
    _fail_if_ended(output, depth_node=node)
    node.send_signal(signal.SIGINT)
    _expect_success(output, "depth_node", exit_code(node, _NODE_TIMEOUT))


def _fail_if_ended(output: Path, **children: subprocess.Popen) -> None:
    for name, child in children.items():
        if child.poll() is not None:
            _expect_success(output, name, child.returncode)
            raise DemoError(f"{name} ended before its time{_tail(output, name)}")


def _expect_success(output: Path, name: str, code: int) -> None:
    if code != 0:
        how = f"was killed by signal {-code}, or hung" if code < 0 else f"ended with exit code {code}"
        raise DemoError(f"{name} {how}{_tail(output, name)}")


def _tail(output: Path, name: str) -> str:
    """The end of a child's log; the watcher's messages are on the screen already."""
    if name not in _LOGS:
        return "; see above"
    return f"; {tail(output / _LOGS[name])}"


def _prepare(output: Path) -> None:
    """An empty folder: new, or that of an earlier demo, whose files are removed, and nobody else's."""
    ours = (SENT, MEASUREMENTS, SHEET, VIDEO, CLOUD, BAG, PROFILE, *_LOGS.values())
    try:
        output.mkdir(parents=True, exist_ok=True)
        if any(output.iterdir()) and not (output / SENT).is_file():
            raise DemoError(f"{output} holds files that are not of a demo; choose another folder with OUT=")
        for path in (output / name for name in ours):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        (output / SENT).touch()
    except OSError as error:
        raise DemoError(f"{output}: {error}; choose another folder with OUT=") from error


def described(summary: dict[str, Any], output: Path, seconds: float) -> str:
    """What was measured, for people to read."""
    frames_in, out, dropped = summary["frames_in"], summary["frames_out"], summary["frames_dropped"]
    lines = ["", f"frames   {frames_in} in, {out} out, {dropped} dropped for newer ones"]
    lines.append(f"rate     {summary['frames_per_second']:.1f} frames per second")
    if summary["age_p50"] is not None:
        lines.append(
            f"age      p50 {1e3 * summary['age_p50']:.0f} ms, p95 {1e3 * summary['age_p95']:.0f} ms at publish"
        )
    errors = summary["errors"]
    if errors:
        lines.append(
            f"error    AbsRel {errors['abs_rel']:.3f}, RMSE {errors['rmse']:.3f} m, delta1 {errors['delta1']:.3f} "
            f"over {summary['frames_compared']} frames with known depth"
        )
    else:
        lines.append("error    unknown: this source has no depth to compare with")
    equal = "stamp and frame_id equal the image's" if summary["headers_equal"] else "NOT the image's"
    lines.append(f"headers  {equal}, on " + ", ".join(f"{n} {t}" for t, n in summary["messages"].items()))
    if summary["recording_problem"]:
        lines.append(f"Recording stopped early: {summary['recording_problem']}")
    what = {
        SHEET: "image, depth, truth and error side by side",
        VIDEO: "the same in motion",
        CLOUD: "a coloured point cloud (MeshLab, CloudCompare)",
        BAG: "a rosbag2: ros2 bag play, or open the .mcap in Foxglove",
        MEASUREMENTS: "these figures",
    }
    there = {name: text for name, text in what.items() if (output / name).exists()}
    lines += ["", "Look at", *(f"  {output / name}  {text}" for name, text in there.items())]
    return "\n".join([*lines, "", f"All in {seconds:.0f} s."])


def _check(summary: dict[str, Any]) -> None:
    if not summary["frames_out"]:
        raise DemoError("no depth came out; see the log of depth_node beside the files above")
    published = summary["node_counts"].get("published", summary["frames_out"])
    if published != summary["frames_out"]:
        raise DemoError(f"the node published {published} depth images, {summary['frames_out']} arrived")
    if not summary["headers_equal"]:
        raise DemoError("some headers are not those of an image that was sent")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--source", default=CLIP, help=f"where the frames come from: {KINDS}")
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for what is left to look at")
    parser.add_argument("--frames", type=int, default=_FRAMES, help="stop after so many; 0: until the source ends")
    parser.add_argument("--checkpoint", type=Path, help="another checkpoint than the one that ships")
    parser.add_argument("--view", action="store_true", help="show everything live in Rerun")
    return parser
