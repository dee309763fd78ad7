"""After the sessions: errors against the truth, the sheet, the video and the cloud, all out of what was recorded."""

import math
from collections import deque
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from demo.measures import Errors, read_sent
from demo.pictures import Panels, Picture, open_video, write_sheet
from demo.recording import FrameSet, recorded_sets
from demo.session import BAG, SENT
from mono_depth_ros.camera import Rectifier
from mono_depth_ros.io import Source
from mono_depth_ros.pointcloud import write_ply

SHEET, VIDEO, CLOUD = "sheet.png", "video.mp4", "cloud.ply"

_ROWS = 5  # of the sheet


class View(NamedTuple):
    """A recorded frame: its number, its image and depth, and the depth (H, W) that the source knows, 0 unknown."""

    number: int
    frame_set: FrameSet
    rgb: Picture
    depth: NDArray[np.float32]
    truth: NDArray[np.float32] | None

    @property
    def error(self) -> Errors | None:
        """Of the depth, where something is known."""
        return None if self.truth is None else Errors.between(self.depth, self.truth)

    @property
    def caption(self) -> str:
        """The frame and its error."""
        return f"frame {self.number}" + (f", AbsRel {self.error.abs_rel:.3f}" if self.error else "")


class Recording:
    """What a session has left in a folder; can be gone through again and again. Raises OSError, SourceError."""

    def __init__(self, folder: Path, source: Source) -> None:
        self._bag, self._source, self._sent = folder / BAG, source, read_sent(folder / SENT)
        self._rectifier = Rectifier(source.camera)

    def __iter__(self) -> Iterator[View]:
        """All frames as the node's camera sees them: rectified."""
        for frame_set in recorded_sets(self._bag):
            number = self._sent[frame_set.stamp]
            if (truth := self._source.truth(number)) is not None:
                truth = self._rectifier.rectify(truth, cv2.INTER_NEAREST)
            yield View(number, frame_set, self._rectifier.rectify(frame_set.rgb()), frame_set.depth(), truth)

    def errors(self) -> list[Errors]:
        """Of each frame with known depth."""
        return [view.error for view in self if view.error]


def write_pictures(folder: Path, recording: Recording, corrected: Recording | None) -> None:
    """Write sheet, video and cloud; `corrected` is the same scene with a sensor of distances. Raises OSError."""
    times, farthest = _survey(recording)
    seconds = (times[-1] - times[0]) / 1e9
    rows = _rows(Panels(farthest), recording, corrected)
    first = next(rows)
    video = open_video(folder / VIDEO, len(times) / seconds if seconds else 1.0, first)
    shown = np.linspace(0, len(times) - 1, min(_ROWS, len(times))).round()
    sheet = []
    for number, row in enumerate(chain([first], rows)):
        video.write(row[..., ::-1])
        if number in shown:
            sheet.append(row)
    video.release()
    write_sheet(folder / SHEET, sheet)
    last = deque(corrected or recording, maxlen=1).pop()
    write_ply(folder / CLOUD, last.frame_set.cloud())


def _survey(recording: Recording) -> tuple[list[int], float]:
    """When each depth was published; the far end of the colours, in metres: 95 % of all depth is within it."""
    times, distances = [], []
    for view in recording:
        times.append(view.frame_set.published)
        for depth in (view.depth, view.truth):
            if depth is not None:
                sample = depth[::8, ::8]
                distances.append(sample[np.isfinite(sample) & (sample > 0)])
    known = np.concatenate(distances)
    return times, math.ceil(np.percentile(known, 95)) if known.size else 1.0


def _rows(panels: Panels, recording: Recording, corrected: Recording | None) -> Iterator[Picture]:
    """A row of pictures for each frame."""
    others = _nearest(recording, corrected) if corrected else ((view, None) for view in recording)
    for view, other in others:
        cells = [panels.image(view.caption, view.rgb), panels.depth("depth", view.depth)]
        if view.truth is not None:
            cells.append(panels.error(view.depth, view.truth))
        if other and other.truth is not None:
            cells.append(panels.depth(f"with 8 x 8 distances: {other.caption}", other.depth))
            cells.append(panels.error(other.depth, other.truth))
        if view.truth is not None:
            cells.append(panels.depth("truth", np.where(view.truth > 0, view.truth, np.float32(np.nan))))
        yield np.hstack(cells)


def _nearest(recording: Recording, corrected: Recording) -> Iterator[tuple[View, View]]:
    """Each frame with the one of the other session that is nearest to it; both are in order."""
    others = iter(corrected)
    nearest, following = next(others), next(others, None)
    for view in recording:
        while following and abs(following.number - view.number) <= abs(nearest.number - view.number):
            nearest, following = following, next(others, None)
        yield view, nearest
