"""What a run prints first: one line a set of frames, so that a wrong unit, lens or range is seen before training."""

import numpy as np

from mono_depth_ros import DepthEstimator
from mono_depth_ros.camera import CameraModel
from training.data.frame import BadFrameError, RgbdDataset, RgbdFrame

FRAMES = 16  # evenly spaced, that are read for a set's line
# Metres: rooms whose median depth is not between are rare enough to ask the shipped network what it sees.
USUAL_MEDIAN = (1.0, 4.5)
# The network is wrong by 1.3 in a median where it is bad; units are wrong by 3.9 (256 to the metre) or 5 (TUM).
LARGEST_RATIO = 2.5


def describe(frames: RgbdDataset) -> str:
    """Name and number of frames; median depth, share of known pixels and lens of some of them.

    Raises ValueError where the depth is so far from what the shipped network sees that it is in another unit; a reader
    whose ``metre`` was given is believed.
    """
    read, bad = sample(frames)
    parts = [str(frames)]
    if read:
        depth = np.concatenate([frame.depth[::4, ::4].ravel() for frame in read])
        known = depth[depth > 0]
        median = float(np.median(known)) if known.size else None
        parts += [f"median depth {median:.2f} m" if median else "no depth is known"]
        parts += [f"{known.size / depth.size:.0%} of the pixels known", *sorted({lens(frame.camera) for frame in read})]
        if median and not USUAL_MEDIAN[0] <= median <= USUAL_MEDIAN[1] and not getattr(frames, "metre", None):
            require_metres(frames, read)
    if bad:
        parts.append(f"{len(bad)} of {len(bad) + len(read)} read are bad: {bad[0]}")
    return ", ".join(parts)


def sample(frames: RgbdDataset) -> tuple[list[RgbdFrame], list[str]]:
    """Evenly spaced frames, and what is wrong with those that cannot be read."""
    read, bad = [], []
    for index in np.linspace(0, len(frames) - 1, min(FRAMES, len(frames))).round().astype(int).tolist():
        try:
            read.append(frames[index])
        except BadFrameError as error:
            bad.append(str(error))
    return read, bad


def require_metres(frames: RgbdDataset, read: list[RgbdFrame]) -> None:
    """Raise ValueError where the shipped network sees another depth by more than LARGEST_RATIO."""
    estimator = DepthEstimator.load()
    ratios = []
    for frame in read:
        known = frame.depth > 0
        if known.any():
            seen = estimator.predict(frame.rgb, frame.camera).depth
            ratios.append(float(np.median(frame.depth[known] / seen[known])))
    ratio = float(np.median(ratios))
    if not 1 / LARGEST_RATIO < ratio < LARGEST_RATIO:
        raise ValueError(
            f"{frames}: its depth is {ratio:.2g} times what the shipped network sees in its images. TUM's depth images "
            "have 5000 units to the metre, KITTI's 256: name the reader's `metre`, or `metre: 1000` if this is right"
        )


def lens(camera: CameraModel) -> str:
    """Size, focal length and horizontal field of view."""
    angle = 2 * np.degrees(np.arctan(camera.width / (2 * camera.fx)))
    return f"{camera.height}x{camera.width} px (height x width), f {camera.fx:.0f} px ({angle:.0f} degrees wide)"
