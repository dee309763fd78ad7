"""After the stream: errors against the truth, the sheet, the video and the cloud, all out of the recorded bag."""

import math
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.camera import Rectifier
from mono_depth_ros.demo.measures import Errors
from mono_depth_ros.demo.pictures import Panels, Picture, open_video, write_sheet
from mono_depth_ros.demo.recording import FrameSet, recorded_sets
from mono_depth_ros.io import Source
from mono_depth_ros.pointcloud import write_ply

SHEET, VIDEO, CLOUD, BAG = "sheet.png", "video.mp4", "cloud.ply", "bag"

_ROWS = 5  # of the sheet


class Report:
    """What the sets recorded in a folder's bag show; `sent` are the numbers of their frames by stamp.

    Attributes:
        errors: of each frame with known depth, once the files are written.
    """

    def __init__(self, folder: Path, source: Source, sent: Mapping[int, int]) -> None:
        self.errors: list[Errors] = []
        self._folder, self._source, self._sent = folder, source, sent
        self._rectifier = Rectifier(source.camera)

    def write(self) -> None:
        """Write the files. Raises OSError, SourceError."""
        times, farthest = self._survey()
        seconds = (times[-1] - times[0]) / 1e9
        rows = self._rows(Panels(farthest))
        first = next(rows)
        video = open_video(self._folder / VIDEO, len(times) / seconds if seconds else 1.0, first)
        shown = np.linspace(0, len(times) - 1, min(_ROWS, len(times))).round()
        sheet = []
        for number, row in enumerate(chain([first], rows)):
            video.write(row[..., ::-1])
            if number in shown:
                sheet.append(row)
        video.release()
        write_sheet(self._folder / SHEET, sheet)

    def _rows(self, panels: Panels) -> Iterator[Picture]:
        """A row of pictures for each set; the cloud is written after the last."""
        for frame_set in recorded_sets(self._folder / BAG):
            depth, truth = frame_set.depth(), self._truth(frame_set)
            caption = f"frame {self._sent[frame_set.stamp]}"
            if truth is not None and (error := Errors.between(depth, truth)):
                self.errors.append(error)
                caption += f", AbsRel {error.abs_rel:.3f}"
            yield panels.row(caption, self._rectifier.rectify(frame_set.rgb()), depth, truth)
        write_ply(self._folder / CLOUD, frame_set.cloud())

    def _survey(self) -> tuple[list[int], float]:
        """When each depth was published; the far end of the colours, in metres: 95 % of all depth is within it."""
        times, distances = [], []
        for frame_set in recorded_sets(self._folder / BAG):
            times.append(frame_set.published)
            for depth in (frame_set.depth(), self._truth(frame_set)):
                if depth is not None:
                    sample = depth[::8, ::8]
                    distances.append(sample[np.isfinite(sample) & (sample > 0)])
        known = np.concatenate(distances)
        return times, math.ceil(np.percentile(known, 95)) if known.size else 1.0

    def _truth(self, frame_set: FrameSet) -> NDArray[np.float32] | None:
        """Depth (H, W) in metres of the node's camera, which is rectified; 0 where unknown; None without truth."""
        truth = self._source.truth(self._sent[frame_set.stamp])
        return None if truth is None else self._rectifier.rectify(truth, cv2.INTER_NEAREST)
