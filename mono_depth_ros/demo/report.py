"""After the stream: errors against the truth, the sheet, the video and the cloud, all out of the recorded bag."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mono_depth_ros.demo.measures import Errors, Sent, Truth
from mono_depth_ros.demo.pictures import Panels, Picture, Video, write_sheet
from mono_depth_ros.demo.recording import DEPTH, recorded_sets
from mono_depth_ros.pointcloud import write_ply

SHEET, VIDEO, CLOUD, BAG = "sheet.png", "video.mp4", "cloud.ply", "bag"

_ROWS = 5  # of the sheet


class Report:
    """What the recording in `folder` shows; the other files are written beside it."""

    def __init__(self, folder: Path, truth: Truth, sent: Mapping[int, Sent]) -> None:
        self._folder, self._truth, self._sent = folder, truth, sent
        published, values = [], [np.empty(0, np.float32)]
        for frame_set in recorded_sets(folder / BAG):
            published.append(frame_set.messages[DEPTH].published)
            values.append(frame_set.depth()[::16, ::16].ravel())
        depths = np.concatenate(values)
        depths = depths[np.isfinite(depths)]
        # The far end of the colours: 95 % of all that was seen lies within.
        self._panels = Panels(float(math.ceil(np.percentile(depths, 95))) if depths.size else 10.0)
        seconds = (published[-1] - published[0]) / 1e9 if len(published) > 1 else 1.0
        self._video = Video(folder / VIDEO, max(1.0, (len(published) - 1) / seconds))
        self._shown = np.unique(np.linspace(0, len(published) - 1, _ROWS).round()).tolist()
        self._middle = len(published) // 2

    def make(self) -> Errors | None:
        """Write the files; the mean errors, or None where nothing is known. Raises OSError."""
        errors: list[Errors] = []
        rows: list[Picture] = []
        for number, frame_set in enumerate(recorded_sets(self._folder / BAG)):
            sent = self._sent[frame_set.stamp]
            depth, truth = frame_set.depth(), self._truth.of(sent)
            error = None if truth is None else Errors.between(depth, truth)
            errors += [error] if error else []
            caption = f"frame {sent.index}" + (f", AbsRel {error.abs_rel:.3f}" if error else "")
            row = self._panels.row(caption, self._truth.rectifier.rectify(frame_set.rgb()), depth, truth)
            self._video.add(row)
            rows += [row] if number in self._shown else []
            if number == self._middle:
                write_ply(self._folder / CLOUD, frame_set.cloud())
        self._video.close()
        if rows:
            write_sheet(self._folder / SHEET, rows)
        return Errors.mean(errors)
