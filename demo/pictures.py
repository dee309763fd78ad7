"""Pictures to look at: image, depth, truth and error side by side, as a sheet (PNG) and a video (MP4)."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.preview import DepthPreview

Picture = NDArray[np.uint8]

_LARGEST_ERROR = 0.5  # share of the truth at which the colours of the error end
_HEIGHT = 360  # pixels, of each row
_CAPTION = 24


class Panels:
    """Captioned pictures (384, width, 3) of one height; depth is coloured from 0 to `farthest` metres."""

    def __init__(self, farthest: float) -> None:
        self._preview = DepthPreview(0.0, farthest)

    def image(self, caption: str, rgb: Picture) -> Picture:
        """RGB as it is."""
        return _captioned(caption, rgb)

    def depth(self, caption: str, depth: NDArray[np.float32]) -> Picture:
        """Depth (H, W) in metres, NaN where unknown."""
        return _captioned(caption, self._preview.render(depth))

    def error(self, depth: NDArray[np.float32], truth: NDArray[np.float32]) -> Picture:
        """How far depth is from the truth (H, W), 0 where unknown."""
        text = f"|depth - truth| / truth: black 0, yellow {_LARGEST_ERROR:.0%} and more"
        return _captioned(text, colored_error(depth, truth))


def colored_error(depth: NDArray[np.float32], truth: NDArray[np.float32]) -> Picture:
    """|depth - truth| / truth as RGB (H, W, 3), from black (none) to yellow (50 % and more); grey where unknown."""
    known = (truth > 0) & np.isfinite(depth)
    share = np.zeros_like(depth)
    share[known] = np.abs(depth[known] / truth[known] - 1)
    scaled = (np.clip(share / _LARGEST_ERROR, 0, 1) * 255).astype(np.uint8)
    colored = np.asarray(cv2.cvtColor(cv2.applyColorMap(scaled, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB), np.uint8)
    colored[~known] = 90
    return colored


def write_sheet(path: Path, rows: Sequence[Picture]) -> None:
    """Rows below each other as a PNG. Raises OSError."""
    encoded, data = cv2.imencode(".png", cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
    assert encoded
    path.write_bytes(data.tobytes())


def open_video(path: Path, rate: float, like: Picture) -> cv2.VideoWriter:
    """An MP4 (MPEG-4 part 2, which OpenCV encodes by itself) of BGR pictures of the size of one. Raises OSError."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, like.shape[1::-1])
    if not video.isOpened():
        raise OSError(f"{path}: cannot be written as MP4")
    return video


def _captioned(text: str, picture: Picture) -> Picture:
    """The picture at the rows' height, under a line of text."""
    width = 2 * round(picture.shape[1] * _HEIGHT / picture.shape[0] / 2)  # a video wants even sides
    canvas = np.zeros((_HEIGHT + _CAPTION, width, 3), np.uint8)
    canvas[_CAPTION:] = cv2.resize(picture, (width, _HEIGHT), interpolation=cv2.INTER_AREA)
    cv2.putText(canvas, text, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return canvas
