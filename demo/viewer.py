"""The live view in Rerun: image, depth and cloud side by side; rerun-sdk is imported here alone."""

import os
import socket
import subprocess
import sys
import time

import numpy as np
import rerun as rr
import rerun.blueprint as rrb

from demo.recording import FrameSet

_LOOPBACK = "127.0.0.1"
_START_TIMEOUT = 20.0  # seconds
_GIVE_UP = 1.0  # seconds: a viewer that finds no graphics ends so soon after it has begun to listen


def open_viewer(farthest: float) -> bool:
    """Start the viewer, on the loopback interface alone, and send to it what `show` gets; False where it cannot start.

    Depth is coloured up to `farthest` metres. The viewer stays open when the demo ends.
    """
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "rerun", "--bind", _LOOPBACK, "--port", str(port), "--expect-data-soon"]
    if not any(os.environ.get(screen) for screen in ("DISPLAY", "WAYLAND_DISPLAY")):
        return False
    viewer = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline, listens = time.monotonic() + _START_TIMEOUT, False
    while not listens and viewer.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            listens = probe.connect_ex((_LOOPBACK, port)) == 0
        time.sleep(_GIVE_UP if listens else 0.1)
    if viewer.poll() is not None or not listens:
        return False
    layout = rrb.Horizontal(
        rrb.Vertical(
            rrb.Spatial2DView(origin="camera", contents="camera/image", name="image"),
            rrb.Spatial2DView(origin="camera", contents="camera/depth", name=f"depth, 0 to {farthest:g} m"),
        ),
        rrb.Spatial3DView(origin="camera", contents="camera/points", name="points"),
        column_shares=[2, 3],
    )
    rr.init("mono_depth_ros", default_blueprint=layout)
    rr.connect_grpc(f"rerun+http://{_LOOPBACK}:{port}/proxy")
    rr.log("camera", rr.ViewCoordinates.RDF, static=True)
    return True


def show(frame_set: FrameSet, farthest: float) -> None:
    """Send one frame to the viewer."""
    camera, cloud = frame_set.depth_camera(), frame_set.cloud()
    rr.set_time("stamp", timestamp=frame_set.stamp / 1e9)
    rr.log("camera/image", rr.Image(frame_set.rgb()).compress(jpeg_quality=80))
    depth = np.nan_to_num(frame_set.depth(), nan=0, posinf=0, neginf=0)
    rr.log("camera/depth", rr.DepthImage(depth, meter=1.0, colormap="turbo", depth_range=(0.0, farthest)))
    rr.log("camera/points", rr.Pinhole(image_from_camera=camera.matrix, resolution=(camera.width, camera.height)))
    good = cloud[np.isfinite(cloud["z"])]
    packed = np.ascontiguousarray(good["rgb"]).view("<u4")
    colors = np.stack([packed >> shift & 0xFF for shift in (16, 8, 0)], axis=1).astype(np.uint8)
    rr.log("camera/points", rr.Points3D(np.stack([good[axis] for axis in "xyz"], axis=1), colors=colors))
