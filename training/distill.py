"""Distill: a teacher's depth of frames, with or without a depth of their own, as one more set to train on.

The teacher is the mean over checkpoints, input sizes and mirror images, which a single network can be taught to equal
(Hinton et al., 2015; for depth, Hu et al., 2021). What it says of a frame is written in the layout of `RgbdFolder`;
where its members differ too much it says nothing. What a frame knows itself of a few pixels can correct it.
"""

import argparse
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from tqdm import tqdm

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.estimator import DepthEstimator
from mono_depth_ros.fusion import Anchors, fuse
from mono_depth_ros.io.raw import millimetres
from mono_depth_ros.network import DepthNetwork
from mono_depth_ros.prediction import Prediction
from training.data.frame import RgbdDataset, RgbdFrame
from training.files import write_camera, write_image
from training.lightning_cli import DepthCLI, assemble
from training.module import at_size_of, load_start
from training.run_folder import refuse_other_configuration, replace_file
from training.transforms import EvaluationTransform, flip

NEAREST, FARTHEST = 1e-3, 65.535  # metres that 16 bits of millimetres can hold
ANCHOR_SIGMA = 0.02  # of ln depth, of what a frame knows itself


def main(arguments: list[str]) -> None:
    """Write a folder for each training set of the configuration; frames that are there already are not done again."""
    parser = argparse.ArgumentParser(prog="python -m training distill", description=__doc__)
    parser.add_argument("--config", action="append", required=True, help="whose training sets are labelled; repeatable")
    parser.add_argument(
        "--teachers",
        nargs="+",
        required=True,
        help="sealed checkpoints, or training ones of its network",
    )
    parser.add_argument("--sizes", nargs="+", type=size, default=[(256, 320)], help="of inputs, HEIGHTxWIDTH: 256x320")
    parser.add_argument("--output", type=Path, required=True, help="folder of folders, one a set")
    parser.add_argument(
        "--most-spread", type=float, default=0.2, help="standard deviation of ln depth up to which it knows: 0.2"
    )
    parser.add_argument("--fuse", action="store_true", help="what a frame itself knows of few pixels corrects it")
    options, overrides = parser.parse_known_args(arguments)
    cli = assemble([*(f"--config={config}" for config in options.config), *overrides])
    teacher = Teacher(cli, options.teachers, options.sizes)
    files = {name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in options.teachers}
    for number, frames in enumerate(cli.datamodule.sets["train"]):
        folder = options.output / f"{number}_{frames.source.stem}"
        made_by = {"frames": str(frames), "teachers": files, "sizes": [list(size) for size in options.sizes],
                   "most_spread": options.most_spread, "fuse": options.fuse}  # fmt: skip
        refuse_other_configuration(folder, made_by)  # half of the frames by other teachers would tell nobody
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / "config.yaml", yaml.safe_dump(made_by))
        known = label(frames, teacher, folder, options.most_spread, options.fuse)
        print(f"{len(frames)} frames in {folder}, {known:.0%} of their pixels known to the teacher")


def size(text: str) -> tuple[int, int]:
    """(height, width) of "256x320"."""
    height, width = text.split("x")
    return int(height), int(width)


# Depth (H, W) in metres of a frame, from its image (H, W, 3) and its camera, which has no distortion.
Member = Callable[[RgbdFrame], NDArray[np.float32]]


def sealed(file: str, size: tuple[int, int]) -> Member:
    """Any sealed checkpoint, at an input of this many pixels."""
    estimator = DepthEstimator.load(file, precision="fp32", input_size=size)
    return lambda frame: estimator.predict(frame.rgb, frame.camera).depth


def trained(cli: DepthCLI, file: str, size: tuple[int, int]) -> Member:
    """A training checkpoint of the configuration's network; see `training.module.read_network`."""
    h, t = cli.model.hparams, cli.datamodule.transform
    network = DepthNetwork(h["encoder"], h["decoder"], h["width"], h["max_depth"], h["error"]).eval()
    load_start(network, file)
    view = EvaluationTransform(size, t.canonical, t.max_depth, t.normalisation)

    @torch.inference_mode()
    def predict(frame: RgbdFrame) -> NDArray[np.float32]:
        sample = view(frame, np.random.default_rng(0))
        depth = at_size_of(sample["depth"][None], network(sample["image"][None])[0])
        return (depth * sample["scale"])[0, 0].numpy()

    return predict


class Teacher:
    """The geometric mean of networks over input sizes and mirror images.

    Args:
        cli: has the network and the canonical camera of training checkpoints.
        checkpoints: sealed, or of training (.ckpt).
        sizes: (height, width) of inputs.
    """

    def __init__(self, cli: DepthCLI, checkpoints: Iterable[str], sizes: Iterable[tuple[int, int]]) -> None:
        pairs = list(product(checkpoints, sizes))
        self.members = [trained(cli, f, s) if Path(f).suffix == ".ckpt" else sealed(f, s) for f, s in pairs]

    def __call__(self, frame: RgbdFrame) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Depth (H, W) of the frame, metres, and the standard deviation of ln depth among the members."""
        mirror = replace(flip(frame), rgb=np.ascontiguousarray(frame.rgb[:, ::-1]))
        logs = [np.log(member(frame)) for member in self.members]
        logs += [np.log(member(mirror))[:, ::-1] for member in self.members]
        return np.exp(np.mean(logs, axis=0)), np.std(logs, axis=0)


def label(frames: RgbdDataset, teacher: Teacher, folder: Path, most_spread: float, fuses: bool) -> float:
    """Write ``rgb``, ``depth`` and ``camera.yaml``; the share of pixels that the teacher knew.

    Of a frame that has a depth of its own, only its pixels are labelled, unless it is fused with the teacher's. Raises
    ValueError where the cameras differ.
    """
    camera: CameraModel | None = None
    known = []
    for part in ("rgb", "depth"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for index in tqdm(range(len(frames)), unit=" frames"):
        frame = frames[index]
        camera = camera or frame.camera
        if frame.camera != camera:
            raise ValueError(f"{frames}: found cameras that differ, {frame.name}'s from the first's; expected one")
        file = folder / "depth" / f"{index:05d}.png"
        if not file.is_file():
            write_image(folder / "rgb" / file.name, frame.rgb)
            depth, spread = teacher(frame)
            knows = spread <= most_spread
            if fuses:
                depth = fuse(Prediction(depth), anchors_of(frame)).depth
            elif frame.depth.any():
                knows &= frame.depth > 0
            known.append(knows.mean())
            write_image(file, millimetres(np.where(knows, depth.clip(NEAREST, FARTHEST), 0)))
    if camera:
        write_camera(folder / "camera.yaml", camera)
    return float(np.mean(known)) if known else 1.0


def anchors_of(frame: RgbdFrame) -> Anchors:
    """The depths that a frame knows."""
    v, u = np.nonzero(frame.depth)
    return Anchors(u, v, frame.depth[v, u], np.full(len(u), ANCHOR_SIGMA))
