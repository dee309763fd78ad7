"""The demo: a session of node and camera, another with a sensor of distances where that can be, and what came out."""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from demo.children import PROFILE
from demo.measures import Errors
from demo.report import CLOUD, SHEET, VIDEO, Recording, write_pictures
from demo.session import BAG, LOGS, SENT, Consumer, DemoError, Session
from mono_depth_ros.demo.ros_process import StopRequest
from mono_depth_ros.demo.sources import CLIP, KINDS, parse_source
from mono_depth_ros.io import Source, SourceError

MEASUREMENTS, CORRECTED = "measurements.json", "with_tof"

_FRAMES = 300
_FARTHEST = 6.0  # metres, of the live view
# Parameters of the node, for a sensor of distances, and for a recording that has the motion of its camera.
_DISTANCES, _MOTION = {"anchor_points": True}, {"odometry": True, "landmarks": True}


def main(args: Sequence[str] | None = None) -> int:
    """Run the demo: 0, or 1 with a message where something failed."""
    options = _parser().parse_args(args)
    stop, started = StopRequest(), time.monotonic()
    output: Path = options.output
    try:
        source = parse_source(options.source)
        if source.remark:
            print(f"{options.source}: {source.remark}")
        _prepare(output)
        show = _viewers(options.view)
        figures, recording = _played(options, source, output, show, stop)
        corrected = None
        if recording and not stop.is_set() and source.truth(0) is not None:
            print("Again, with the distances that a time-of-flight sensor of 8 x 8 zones would measure, 5 % off")
            figures["corrected"], corrected = _played(options, source, output / CORRECTED, show, stop)
        if recording:
            print("Looking at what was recorded", flush=True)
            write_pictures(output, recording, corrected)
        (output / MEASUREMENTS).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        print(described(figures, output, time.monotonic() - started))
        _check(figures, stop)
    except (DemoError, SourceError, OSError) as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    finally:
        stop.close()
    return 0


def _played(
    options: argparse.Namespace, source: Source, output: Path, show: Sequence[Consumer], stop: StopRequest
) -> tuple[dict[str, Any], Recording | None]:
    """The figures of one session, and what it recorded, if anything."""
    output.mkdir(exist_ok=True)
    is_corrected = output.name == CORRECTED
    frames = min((number for number in (options.frames, source.length) if number), default=0)
    motion = _MOTION if is_corrected and next(source.frames()).pose else {}
    node: dict[str, Any] = {"points_stride": 2} | (_DISTANCES if is_corrected else {}) | motion
    node |= {"checkpoint": options.checkpoint} if options.checkpoint else {}
    camera = {"source": options.source, "frames": frames, "tof": is_corrected}
    print(f"Starting depth_node and the camera ({options.source})", flush=True)
    with ExitStack() as children:
        figures = Session(output, node, camera, show, stop, children).run() | {"knows_motion": bool(motion)}
    if not figures["frames_recorded"]:
        return figures, None
    recording = Recording(output, source)
    errors = recording.errors()
    mean = Errors.mean(errors)
    return figures | {"errors": asdict(mean) if mean else None, "frames_compared": len(errors)}, recording


def _viewers(view: bool) -> list[Consumer]:
    """The live view, where it is wanted and there is a screen for it."""
    if not view:
        return []
    from demo import viewer  # rerun-sdk is an extra

    if viewer.open_viewer(_FARTHEST):
        return [lambda frame_set: viewer.show(frame_set, _FARTHEST)]
    print("Rerun could not open a window here; going on without it", file=sys.stderr)
    return []


def _prepare(output: Path) -> None:
    """An empty folder: new, or that of an earlier demo, whose files are removed, and nobody else's."""
    ours = (SENT, MEASUREMENTS, SHEET, VIDEO, CLOUD, BAG, PROFILE, *LOGS, CORRECTED)
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
    lines.append(f"error    {_error(figures)}")
    if "corrected" in figures:
        motion = " and the camera's motion" if figures["corrected"]["knows_motion"] else ""
        lines.append(f"         {_error(figures['corrected'])}, with the 8 x 8 distances{motion}, which")
        lines.append("         the node believes after the first second")
    equal = "stamp and frame_id equal the image's" if figures["headers_equal"] else "NOT the image's"
    lines.append(f"headers  {equal}, on " + ", ".join(f"{n} {t}" for t, n in figures["messages"].items()))
    if figures["recording_problem"]:
        lines.append(f"Recording stopped early: {figures['recording_problem']}")
    what = {
        SHEET: "image, depth, error and truth side by side",
        VIDEO: "the same in motion",
        CLOUD: "the last frame as a coloured point cloud (MeshLab, CloudCompare)",
        BAG: "a rosbag2: ros2 bag play, or open the .mcap in Foxglove",
        MEASUREMENTS: "these figures",
    }
    there = [f"  {output / name}  {text}" for name, text in what.items() if (output / name).exists()]
    return "\n".join([*lines, "", "Look at", *there, "", f"All in {seconds:.0f} s."])


def _error(figures: dict[str, Any]) -> str:
    if not (errors := figures.get("errors")):
        return "unknown: this source has no depth to compare with"
    said = f"AbsRel {errors['abs_rel']:.3f}, RMSE {errors['rmse']:.3f} m, delta1 {errors['delta1']:.3f}"
    return f"{said} over {figures['frames_compared']} frames with known depth"


def _check(figures: dict[str, Any], stop: StopRequest) -> None:
    if not figures["frames_out"]:
        raise DemoError("stopped before any depth came" if stop.is_set() else f"no depth came; see {LOGS[0]} there")
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
