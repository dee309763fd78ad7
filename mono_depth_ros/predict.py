"""`mono-depth predict`: each picture of a source to files of depth, preview and cloud. What was not done is told."""

import csv
import dataclasses
import math
from collections.abc import Callable, Collection, Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
from tqdm import tqdm

from mono_depth_ros.camera import CameraModel, Rectifier
from mono_depth_ros.estimator import DepthEstimator
from mono_depth_ros.fusion import Anchors, fuse_and_report
from mono_depth_ros.io import Frame, ImageError, Source, SourceError
from mono_depth_ros.io.folder import PREDICT
from mono_depth_ros.io.frames import assumed_camera
from mono_depth_ros.io.png import encode, is_made_by
from mono_depth_ros.io.raw import millimetres
from mono_depth_ros.picture import flaw
from mono_depth_ros.pointcloud import CloudBuilder, write_ply
from mono_depth_ros.prediction import Prediction
from mono_depth_ros.preview import DepthPreview

OUTPUTS = {"depth": "_depth.png", "preview": "_preview.png", "ply": ".ply"}  # what a file's name ends in

# Pixels of a preview or cloud: the network sees far fewer, and 12 million take 2 GB of memory.
_MOST_PIXELS = 1280 * 960
_ANCHOR_SIGMA = 0.02  # of ln depth, where the file does not say
_PLY_COMMENT = f"comment {PREDICT}\n".encode()


class Predictor:
    """Writes what is asked for of each picture, named after it, into one folder.

    Args:
        estimator: gives the depth.
        output: the folder.
        wanted: of OUTPUTS.
        camera: the lens; None assumes one for each size of picture.
        anchors: that correct the depth, by the name of the frame; that of the only frame may be empty.
        report: is told of what was not done, and of anchors.

    Attributes:
        done: number of frames of which everything was written.
        faults: what was not done, a line each.
    """

    def __init__(
        self,
        estimator: DepthEstimator,
        output: Path,
        wanted: Collection[str] = tuple(OUTPUTS),
        camera: CameraModel | None = None,
        anchors: Mapping[str, Anchors] = MappingProxyType({}),
        report: Callable[[str], object] = print,
    ) -> None:
        self._estimator, self._output, self._wanted, self._camera = estimator, output, wanted, camera
        self._anchors, self._report = dict(anchors), report
        self._view = _View(CameraModel.nyu())
        self._preview = DepthPreview(0.0, estimator.checkpoint.info.max_depth)
        self.done = 0
        self.faults: list[str] = []

    def run(self, source: Source, most: int | None) -> None:
        """Go through the frames of a source, at most so many. Raises SourceError where it ends in the middle."""
        if "" in self._anchors and source.length != 1:
            raise SourceError("anchors without a column frame are those of one picture; expected a source of one")
        frames = islice(source.frames(self._fault), most)
        for index, frame in enumerate(tqdm(frames, total=most or source.length, unit=" frames")):
            try:
                self._write(frame, frame.name or f"{index:06d}")
                self.done += 1
            except ImageError as error:
                self._fault(error)
        for name in self._anchors:
            self._fault(ImageError(f"anchors of {name or 'the picture'}: no such frame came"))

    def _fault(self, error: ImageError) -> None:
        self.faults.append(str(error))
        self._report(f"not done: {error}")

    def _write(self, frame: Frame, name: str) -> None:
        files = {kind: self._output / f"{name}{suffix}" for kind, suffix in OUTPUTS.items() if kind in self._wanted}
        for path in files.values():
            if path.exists() and not _is_ours(path):
                raise ImageError(
                    f"{name}: {path} is there already, and predict did not write it; choose another folder"
                )
        if why := flaw(frame.rgb):
            self._report(f"{name}: the picture is {why}; its depth is a guess")
        view = self._view_of(frame, name)
        rgb = view.rectifier.rectify(frame.rgb)
        depth = self._depth(rgb, view.rectifier, name)
        depth[~view.rectifier.valid_mask] = np.nan
        if "depth" in files:
            files["depth"].write_bytes(encode(millimetres(depth), PREDICT))
        if "preview" in files:
            beside = np.hstack((view.shrunk(rgb), self._preview.render(view.shrunk(depth))))
            files["preview"].write_bytes(encode(beside[..., ::-1], PREDICT))
        if "ply" in files:
            write_ply(files["ply"], view.cloud.build(view.shrunk(depth), view.shrunk(rgb)), PREDICT)

    def _depth(self, rgb: np.ndarray, rectifier: Rectifier, name: str) -> np.ndarray:
        anchors = self._anchors.pop(name, None) or self._anchors.pop("", None)
        if anchors is None:
            without_sigma = Prediction(np.empty(rgb.shape[:2], np.float32))
            return self._estimator.predict(rgb, rectifier.camera, without_sigma).depth
        u, v = rectifier.points(anchors.u, anchors.v)
        prediction = self._estimator.estimate(rgb, rectifier.camera)
        prediction, reports = fuse_and_report(prediction, dataclasses.replace(anchors, u=u, v=v))
        used = sum(report.used for report in reports.values())
        dropped = [f"{number} {reason}" for report in reports.values() for reason, number in report.dropped.items()]
        text = f"{name}: {used} of {len(anchors)} anchors used" + (f" ({', '.join(dropped)})" if dropped else "")
        if not used:
            raise ImageError(text)
        self._report(text)
        return prediction.depth

    def _view_of(self, frame: Frame, name: str) -> "_View":
        height, width = frame.rgb.shape[:2]
        camera = self._camera or assumed_camera(width, height)
        if (camera.height, camera.width) != (height, width):
            found = f"{width}x{height} pixels, expected the calibration's {camera.width}x{camera.height}"
            raise ImageError(f"{name}: found {found}; put it where no camera.yaml is, or name one by --camera")
        if self._view.camera != camera:
            self._view = _View(camera)
        return self._view


class _View:
    """What is made once for all pictures of one camera.

    Those larger than _MOST_PIXELS are shrunk by a whole number for preview and cloud.
    """

    def __init__(self, camera: CameraModel) -> None:
        self.camera = camera
        self.rectifier = Rectifier(camera)
        times = math.ceil(math.sqrt(camera.width * camera.height / _MOST_PIXELS))
        self._size = (max(camera.width // times, 1), max(camera.height // times, 1))
        self._cloud: CloudBuilder | None = None

    @property
    def cloud(self) -> CloudBuilder:
        """Of the shrunk picture."""
        if self._cloud is None:
            self._cloud = CloudBuilder(self.rectifier.camera.resized(*self._size), dense=True)
        return self._cloud

    def shrunk(self, image: np.ndarray) -> np.ndarray:
        """A picture, or a map of depth whose values are not mixed."""
        if image.shape[1::-1] == self._size:
            return image
        way = cv2.INTER_AREA if image.ndim == 3 else cv2.INTER_NEAREST_EXACT
        return cv2.resize(image, self._size, interpolation=way)


def read_anchors(path: Path) -> dict[str, Anchors]:
    """Anchors by the name of their frame, from a CSV file with the columns u, v (pixels of the picture) and metres.

    The columns sigma (standard deviation of ln depth) and frame (the picture's name without its suffix) may follow.
    Raises SourceError.
    """
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        columns = set(reader.fieldnames or ())
        if not {"u", "v", "metres"} <= columns <= {"u", "v", "metres", "sigma", "frame"}:
            found = ", ".join(reader.fieldnames or ()) or "none"
            raise SourceError(f"{path}: found the columns {found}; expected u, v, metres and perhaps sigma, frame")
        rows: dict[str, list[tuple[float, ...]]] = {}
        for row in reader:
            try:
                numbers = [float(row[column]) for column in ("u", "v", "metres")]
                rows.setdefault(row.get("frame") or "", []).append((*numbers, float(row.get("sigma") or _ANCHOR_SIGMA)))
            except (TypeError, ValueError) as error:
                raise SourceError(f"{path}, line {reader.line_num}: {error}; expected numbers") from error
    if not rows:
        raise SourceError(f"{path}: found no anchor")
    return {frame: Anchors(*np.array(numbers).T) for frame, numbers in rows.items()}


def _is_ours(path: Path) -> bool:
    if path.suffix == ".png":
        return is_made_by(PREDICT, path)
    with open(path, "rb") as file:
        return _PLY_COMMENT in file.read(200)
