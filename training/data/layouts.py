"""Recordings as others lay them out, for `training.prepare`: colour, registered depth, camera, times and poses."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mono_depth_ros.camera import CameraModel
from training.data import nyu
from training.data.densedepth_csv import DenseDepthCsv
from training.data.frame import BadFrameError, RgbdDataset
from training.data.image_files import read_color, read_depth
from training.data.nyu_mat import NyuMat
from training.data.nyu_sync import NyuSync
from training.data.rosbag2 import Rosbag2, nearest_pairs

# The Kinects of TUM RGB-D by freiburg number: fx, fy, cx, cy and plumb_bob's coefficients, as TUM publishes them.
TUM_CAMERAS = {
    "1": ((517.3, 516.5, 318.6, 255.3), (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    "2": ((520.9, 521.0, 325.1, 249.7), (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
    "3": ((535.4, 539.2, 320.1, 247.6), ()),
}
# 7-Scenes: the depth camera as published; the colour camera, and where it sees the depth camera (metres), by a fit to
# redkitchen, in which edges of colour and depth meet within about 2 px.
SCENES_DEPTH_CAMERA = CameraModel(width=640, height=480, fx=585, fy=585, cx=320, cy=240)
SCENES_COLOR_CAMERA = CameraModel(width=640, height=480, fx=527.2, fy=527.2, cx=324.0, cy=238.5)
SCENES_OFFSET = (-0.0363, 0.0, 0.0)
SCENES_UNKNOWN = 65535


@dataclass(frozen=True)
class Recording:
    """RGB-D frames by index.

    Attributes:
        camera: of the colour images; its distortion is the frames' own.
        names: of the frames, without suffix, in order.
        read: the colour (H, W, 3) uint8 and depth (H, W) float32 in metres, 0 where unknown, of frame i. Raises
            BadFrameError.
        jpegs: colour files that are JPEGs already, if they are.
        stamps: seconds, if known.
        poses: (N, 7) camera to world, tx, ty, tz in metres and qx, qy, qz, qw, if known; NaN where one is not.
    """

    camera: CameraModel
    names: Sequence[str]
    read: Callable[[int], tuple[NDArray[np.uint8], NDArray[np.float32]]]
    jpegs: Sequence[Path] = field(default=())
    stamps: Sequence[float] | None = None
    poses: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Options:
    """What a command line may add to a source.

    Attributes:
        split: of NYU Depth V2: train or test.
        depth: of the .mat: filled or raw.
        file_list: of NYU's sync folders.
        camera: instead of the one that the layout says or implies.
        metre: units of a depth image that make a metre, instead of the layout's.
        tolerance: seconds between the colour and the depth of a frame, at most.
        field_of_view: degrees, horizontal, of a rendered pinhole.
        topics: colour, depth and camera_info of a bag.
    """

    split: nyu.Split = "train"
    depth: Any = "filled"
    file_list: Path | None = None
    camera: CameraModel | None = None
    metre: float | None = None
    tolerance: float = 0.02
    field_of_view: float = 90.0
    topics: tuple[str, str, str] = ("/camera/color/image_raw", "/camera/aligned_depth_to_color/image_raw",
                                    "/camera/color/camera_info")  # fmt: skip


def nyu_mat(source: Path, options: Options) -> Recording:
    """``nyu_depth_v2_labeled.mat``: a split; the names are rows of the file."""
    frames = NyuMat(source, options.split, options.depth)
    return of_dataset(frames, nyu.CAMERA, [f"{row:05d}" for row in frames.rows])


def nyu_sync(source: Path, options: Options) -> Recording:
    """BTS's and GLPDepth's "sync" folders, by a list."""
    if options.file_list is None:
        raise ValueError(f"{source}: the sync layout needs --list, such as nyudepthv2_train_files_with_gt.txt")
    return of_dataset(NyuSync(source, options.file_list), nyu.CAMERA)


def densedepth(source: Path, options: Options) -> Recording:
    """DenseDepth's ``nyu_data``: a split."""
    return of_dataset(DenseDepthCsv(source, options.split), nyu.CAMERA)


def rosbag2(source: Path, options: Options) -> Recording:
    """A bag with colour, registered depth and camera_info; rectified, as the reader gives it."""
    frames = Rosbag2(source, *options.topics, tolerance=options.tolerance)
    return replace(of_dataset(frames, frames[0].camera), stamps=[color / 1e9 for color, _ in frames.pairs])


def tum(source: Path, options: Options) -> Recording:
    """TUM RGB-D: ``rgb.txt`` and ``depth.txt`` (5000 to the metre), paired by time, and ``groundtruth.txt``."""
    colors, depths = tum_list(source / "rgb.txt"), tum_list(source / "depth.txt")
    tolerance = round(options.tolerance * 1e9)
    pairs = nearest_pairs(by_time(colors), by_time(depths), tolerance)
    stamps = [colors[color][0] for color, _ in pairs]
    poses = None
    if (source / "groundtruth.txt").is_file():
        truth = tum_list(source / "groundtruth.txt")
        poses = np.full((len(pairs), 7), np.nan)
        for frame, row in nearest_pairs([(round(s * 1e9), i) for i, s in enumerate(stamps)], by_time(truth), tolerance):
            poses[frame] = [float(value) for value in truth[row][1]]
    return of_files(
        [source / colors[color][1][0] for color, _ in pairs],
        [source / depths[depth][1][0] for _, depth in pairs],
        options.camera or tum_camera(source),
        options.metre or 5000,
        stamps=stamps,
        poses=poses,
    )


def tum_list(file: Path) -> list[tuple[float, list[str]]]:
    """Stamp and the other fields of each line that is no comment, by stamp."""
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return sorted((float(fields[0]), fields[1:]) for fields in lines if fields and not fields[0].startswith("#"))


def by_time(lines: list[tuple[float, list[str]]]) -> list[tuple[int, int]]:
    """Stamp in ns and position of each line."""
    return [(round(stamp * 1e9), position) for position, (stamp, _) in enumerate(lines)]


def tum_camera(source: Path) -> CameraModel:
    """The camera of ``rgbd_dataset_freiburg<number>_<name>``. Raises ValueError for a folder named otherwise."""
    number = re.search(r"(?:freiburg|fr)([123])", source.resolve().name)
    if not number:
        raise ValueError(
            f"{source}: found no freiburg1, 2 or 3 in its name, which says the camera; name one by --camera"
        )
    (fx, fy, cx, cy), distortion = TUM_CAMERAS[number[1]]
    return CameraModel(640, 480, fx, fy, cx, cy, "plumb_bob" if distortion else "", distortion)


def seven_scenes(source: Path, options: Options) -> Recording:
    """A sequence of 7-Scenes: ``frame-NNNNNN.color.png``, ``.depth.png`` (mm) and ``.pose.txt``.

    The depth is not registered there: each of its pixels is brought to where the colour camera sees it.
    """
    colors = sorted(source.glob("frame-*.color.png"))
    camera = options.camera or SCENES_COLOR_CAMERA

    def read(index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        depth = read_depth(beside(colors[index], ".depth.png"), np.uint16, 1)
        depth[depth == SCENES_UNKNOWN] = 0
        return read_color(colors[index]), registered(
            depth / np.float32(options.metre or 1000), SCENES_DEPTH_CAMERA, camera, SCENES_OFFSET
        )

    from_color = np.eye(4)
    from_color[:3, 3] = np.negative(SCENES_OFFSET)
    poses = [np.loadtxt(beside(color, ".pose.txt")) @ from_color for color in colors]
    names = [color.name.split(".")[0].removeprefix("frame-") for color in colors]
    return Recording(camera, names, read, poses=as_vectors(poses))


def beside(color: Path, suffix: str) -> Path:
    """The file of the same frame."""
    return color.with_name(color.name.removesuffix(".color.png") + suffix)


def registered(
    depth: NDArray[np.float32], seen_by: CameraModel, camera: CameraModel, offset: Sequence[float]
) -> NDArray[np.float32]:
    """Depth (H, W) as another camera sees it: the nearest point of each pixel, 0 where there is none.

    ``offset`` is the other camera's view of ``seen_by``'s centre, metres; both look the same way.
    """
    known = depth > 0
    z = depth[known].astype(np.float64)
    x, y = (seen_by.rays()[known] * z[:, None] + offset[:2]).T
    z = z + offset[2]
    u = np.rint(camera.fx * x / z + camera.cx).astype(int)
    v = np.rint(camera.fy * y / z + camera.cy).astype(int)
    inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    seen = np.full((camera.height, camera.width), np.inf)
    np.minimum.at(seen, (v[inside], u[inside]), z[inside])
    return np.where(np.isfinite(seen), seen, 0).astype(np.float32)


def hololens(source: Path, options: Options) -> Recording:
    """deep-video-mvs's layout: ``images/*.png``, ``depth/*.png`` (mm), ``K.txt``, ``poses.txt`` (16 values a line)."""
    colors, k = sorted((source / "images").glob("*.png")), np.loadtxt(source / "K.txt")
    camera = options.camera or pinhole(colors[0], k[0, 0], k[1, 1], k[0, 2], k[1, 2])
    poses = np.loadtxt(source / "poses.txt", ndmin=2).reshape(-1, 4, 4)
    depths = [source / "depth" / color.name for color in colors]
    return of_files(colors, depths, camera, options.metre or 1000, poses=as_vectors(poses))


def replica(source: Path, options: Options) -> Recording:
    """Replica as NICE-SLAM renders it: ``results/frame*.jpg``, ``depth*.png``, ``traj.txt``, ``cam_params.json``."""
    file = next((f / "cam_params.json" for f in (source, source.parent) if (f / "cam_params.json").is_file()), None)
    if file is None:
        raise ValueError(f"{source}: found no cam_params.json there or beside it")
    c = json.loads(file.read_text())["camera"]
    camera = options.camera or CameraModel(c["w"], c["h"], c["fx"], c["fy"], c["cx"], c["cy"])
    colors = sorted((source / "results").glob("frame*.jpg"))
    depths = [color.with_name(f"depth{color.stem.removeprefix('frame')}.png") for color in colors]
    poses = np.loadtxt(source / "traj.txt", ndmin=2).reshape(-1, 4, 4)
    return of_files(colors, depths, camera, options.metre or c["scale"], poses=as_vectors(poses))


def realsense(source: Path, options: Options) -> Recording:
    """Open3D's RealSense recorder: ``color/*.jpg``, aligned ``depth/*.png`` (mm), ``camera_intrinsic.json``."""
    content = json.loads((source / "camera_intrinsic.json").read_text())
    fx, _, _, _, fy, _, cx, cy, _ = content["intrinsic_matrix"]  # columns first
    camera = options.camera or CameraModel(content["width"], content["height"], fx, fy, cx, cy)
    colors = sorted((source / "color").glob("*.jpg"))
    return of_files(colors, [source / f"depth/{color.stem}.png" for color in colors], camera, options.metre or 1000)


def habitat(source: Path, options: Options) -> Recording:
    """Frames that Habitat rendered: ``rgb/*.png`` and ``depth/*.npy`` (float metres) of a pinhole."""
    colors = sorted((source / "rgb").glob("*.png"))
    height, width = read_color(colors[0]).shape[:2]
    f = width / 2 / np.tan(np.radians(options.field_of_view) / 2)
    camera = options.camera or CameraModel(width, height, f, f, (width - 1) / 2, (height - 1) / 2)

    def read(index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        file = source / f"depth/{colors[index].stem}.npy"
        try:
            depth = np.load(file, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise BadFrameError(f"{file}: {error}") from error
        return read_color(colors[index]), np.squeeze(depth).astype(np.float32) / np.float32(options.metre or 1)

    return Recording(camera, numbers(len(colors)), read)


LAYOUTS: dict[str, Callable[[Path, Options], Recording]] = {
    "nyu_mat": nyu_mat,
    "nyu_sync": nyu_sync,
    "densedepth": densedepth,
    "tum": tum,
    "7scenes": seven_scenes,
    "hololens": hololens,
    "replica": replica,
    "realsense": realsense,
    "habitat": habitat,
    "rosbag2": rosbag2,
}
# What a source has that no other layout has.
MARKS = {
    "densedepth": "data/nyu2_*.csv",
    "tum": "depth.txt",
    "7scenes": "frame-*.color.png",
    "hololens": "K.txt",
    "replica": "results/frame*.jpg",
    "realsense": "camera_intrinsic.json",
    "habitat": "depth/*.npy",
    "rosbag2": "metadata.yaml",
}


def layout_of(source: Path, file_list: Path | None) -> str:
    """The layout of a source, by its files. Raises ValueError."""
    if file_list:
        return "nyu_sync"
    if source.suffix == ".mat":
        return "nyu_mat"
    found = [name for name, mark in MARKS.items() if next(source.glob(mark), None)]
    if len(found) != 1:
        marks = ", ".join(f"{name} ({mark})" for name, mark in MARKS.items())
        raise ValueError(f"{source}: found the marks of {found or 'no layout'}; name one by --layout: {marks}")
    return found[0]


def of_files(
    colors: Sequence[Path], depths: Sequence[Path], camera: CameraModel, metre: float, **known: Any
) -> Recording:
    """A recording of pairs of image files."""
    jpegs = colors if all(color.suffix == ".jpg" for color in colors) else ()

    def read(index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        return read_color(colors[index]), read_depth(depths[index], np.uint16, metre)

    return Recording(camera, numbers(len(colors)), read, jpegs, **known)


def of_dataset(frames: RgbdDataset, camera: CameraModel, names: Sequence[str] | None = None) -> Recording:
    """A recording of the frames of a reader."""

    def read(index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        frame = frames[index]
        return frame.rgb, frame.depth

    return Recording(camera, names or numbers(len(frames)), read)


def numbers(frames: int) -> list[str]:
    """Names of frames in order."""
    return [f"{number:05d}" for number in range(frames)]


def pinhole(color: Path, fx: float, fy: float, cx: float, cy: float) -> CameraModel:
    """A camera of an image's size."""
    height, width = read_color(color).shape[:2]
    return CameraModel(width, height, fx, fy, cx, cy)


def as_vectors(poses: Sequence[NDArray] | NDArray) -> NDArray[np.float64]:
    """(N, 7) of N matrices (4, 4)."""
    matrices = np.asarray(poses, np.float64)
    return np.hstack([matrices[:, :3, 3], Rotation.from_matrix(matrices[:, :3, :3]).as_quat()])
