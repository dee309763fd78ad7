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
    """What the `count` sets recorded in `folder` show; the other files are written beside the bag.

    Every set is of a frame that was sent.
    """

    def __init__(self, folder: Path, count: int, truth: Truth, sent: Mapping[int, Sent]) -> None:
        self._folder, self._truth, self._sent = folder, truth, sent
        self._shown = set(np.linspace(0, count - 1, min(_ROWS, count)).round().astype(int).tolist())
        self._middle = count // 2

    def make(self) -> Errors | None:
        """Write the files; the mean errors, or None where nothing is known. Raises OSError."""
        farthest, rate = self._survey()
        panels, video = Panels(farthest), Video(self._folder / VIDEO, rate)
        errors: list[Errors] = []
        rows: list[Picture] = []
        for number, frame_set in enumerate(recorded_sets(self._folder / BAG)):
            sent = self._sent[frame_set.stamp]
            depth, truth = frame_set.depth(), self._truth.of(sent)
            error = None if truth is None else Errors.between(depth, truth)
            errors += [error] if error else []
            caption = f"frame {sent.index}" + (f", AbsRel {error.abs_rel:.3f}" if error else "")
            row = panels.row(caption, self._truth.rectifier.rectify(frame_set.rgb()), depth, truth)
            video.add(row)
            rows += [row] if number in self._shown else []
            if number == self._middle:
                write_ply(self._folder / CLOUD, frame_set.cloud())
        video.close()
        if rows:
            write_sheet(self._folder / SHEET, rows)
        return Errors.mean(errors)

    def _survey(self) -> tuple[float, float]:
        """Far end of the colours, within which 95 % of what is shown lies, in metres; sets a second."""
        times, distances = [], [np.ones(1, np.float32)]
        for number, frame_set in enumerate(recorded_sets(self._folder / BAG)):
            times.append(frame_set.messages[DEPTH].published)
            if number in self._shown:
                depth, truth = frame_set.depth(), self._truth.of(self._sent[frame_set.stamp])
                distances += [depth[np.isfinite(depth)], truth[truth > 0] if truth is not None else distances[0]]
        seconds = (times[-1] - times[0]) / 1e9
        return float(math.ceil(np.percentile(np.concatenate(distances), 95))), len(times) / seconds if seconds else 1.0
