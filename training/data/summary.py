"""What a run prints first: one line a set of frames, so that a wrong unit, lens or range is seen before training."""

import numpy as np

from mono_depth_ros.camera import CameraModel
from training.data.frame import BadFrameError, RgbdDataset

FRAMES = 16  # evenly spaced, that are read for a set's line


def describe(frames: RgbdDataset) -> str:
    """Name and number of frames; median depth, share of known pixels and lens of some of them."""
    depths, cameras, bad = [], [], []
    for index in np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).round().astype(int).tolist():
        try:
            frame = frames[index]
        except BadFrameError as error:
            bad.append(str(error))
            continue
        depths.append(frame.depth[::4, ::4].ravel())
        cameras.append(frame.camera)
    parts = [str(frames)]
    if cameras:
        depth = np.concatenate(depths)
        known = depth[depth > 0]
        parts.append(f"median depth {np.median(known):.2f} m" if known.size else "no depth is known")
        parts += [f"{known.size / depth.size:.0%} of the pixels known", *sorted({lens(camera) for camera in cameras})]
    if bad:
        parts.append(f"{len(bad)} of {len(bad) + len(cameras)} read are bad: {bad[0]}")
    return ", ".join(parts)


def lens(camera: CameraModel) -> str:
    """Size, focal length and horizontal field of view."""
    angle = 2 * np.degrees(np.arctan(camera.width / (2 * camera.fx)))
    return f"{camera.height}x{camera.width} px (height x width), f {camera.fx:.0f} px ({angle:.0f} degrees wide)"
