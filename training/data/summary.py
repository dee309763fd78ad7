"""What a run prints first: one line a set of frames, so that a wrong unit, lens or range is seen before training."""

from functools import cache

import numpy as np

from mono_depth_ros import DepthEstimator
from mono_depth_ros.camera import CameraModel
from training.data.frame import BadFrameError, RgbdDataset, RgbdFrame

FRAMES = 16  # evenly spaced, that are read for a set's line
# Metres: rooms whose median depth is not between are rare.
USUAL_MEDIAN = (1.0, 4.5)
# Over 16 frames of each of eight sets of real and scanned rooms, depth was 1.00 to 1.11 times what the shipped network
# sees. Beyond the first, a set is doubted; beyond the second, one whose median is rare besides is in another unit.
DOUBTFUL_RATIO, LARGEST_RATIO = 1.5, 2.5
# Of ln depth and what the network sees: 0.62 to 0.95 in the same sets, and as much below 0 for disparity.
LEAST_CORRELATION = 0.3


def describe(frames: RgbdDataset) -> str:
    """Name and number of frames; median depth, share of known pixels and lens of some of them.

    The depth is held against what the shipped network sees, unless the reader's ``metre`` was given, which is believed.
    Raises ValueError where that contradicts it.
    """
    read, bad = sample(frames)
    parts = [str(frames)]
    if read:
        depth = np.concatenate([frame.depth[::4, ::4].ravel() for frame in read])
        known = depth[depth > 0]
        median = float(np.median(known)) if known.size else None
        parts += [f"median depth {median:.2f} m" if median else "no depth is known"]
        parts += [f"{known.size / depth.size:.0%} of the pixels known", *sorted({lens(frame.camera) for frame in read})]
        if median and not getattr(frames, "metre", None):
            parts += doubts(frames, read, USUAL_MEDIAN[0] <= median <= USUAL_MEDIAN[1])
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


def doubts(frames: RgbdDataset, read: list[RgbdFrame], is_usual: bool) -> list[str]:
    """What the shipped network says against the depth. Raises ValueError where that is not usual either."""
    pairs = []
    for frame in read:
        known = frame.depth > 0
        if known.any():
            seen = shipped_network().predict(frame.rgb, frame.camera).depth
            pairs.append(np.log([frame.depth[known][::7], seen[known][::7]]))
    ratio = float(np.exp(np.median([np.median(depth - seen) for depth, seen in pairs])))
    varied = [pair for pair in pairs if np.ptp(pair, axis=1).all()]
    correlation = float(np.median([np.corrcoef(pair)[0, 1] for pair in varied])) if varied else 1.0
    text = f"its depth is {ratio:.2g} times what the shipped network sees in its images"
    if not (is_usual or 1 / LARGEST_RATIO < ratio < LARGEST_RATIO):
        raise ValueError(
            f"{frames}: {text}. TUM's depth images have 5000 units to the metre, KITTI's 256: name the reader's "
            "`metre`, or `metre: 1000` if this is right"
        )
    found = []
    if not 1 / DOUBTFUL_RATIO < ratio < DOUBTFUL_RATIO:
        found.append(f"DOUBTFUL: {text}; is its unit (the reader's `metre`) right, and its lens?")
    if correlation < LEAST_CORRELATION:
        text = f"DOUBTFUL: its depth has a correlation of {correlation:.2f} with what the shipped network sees"
        found.append(f"{text}; is it disparity, or of other images?")
    return found


@cache
def shipped_network() -> DepthEstimator:
    """Asked for a few frames of each set."""
    return DepthEstimator.load(device="cpu")


def lens(camera: CameraModel) -> str:
    """Size, focal length and horizontal field of view."""
    angle = 2 * np.degrees(np.arctan(camera.width / (2 * camera.fx)))
    return f"{camera.height}x{camera.width} px (height x width), f {camera.fx:.0f} px ({angle:.0f} degrees wide)"
