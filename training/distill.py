"""Distill: a teacher's depth of the training frames, as one more set to train on.

The teacher is the mean over checkpoints, input sizes and mirror images, which a single network can be taught to equal
(Hinton et al., 2015; for depth, Hu et al., 2021). What it says of a frame is written in the layout of `RgbdFolder`.
"""

import argparse
import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.io.raw import millimetres
from mono_depth_ros.network import DepthNetwork
from training.data.frame import RgbdDataset, RgbdFrame
from training.files import write_camera, write_image
from training.lightning_cli import DepthCLI, assemble
from training.module import at_size_of, load_start
from training.run_folder import refuse_other_configuration, replace_file
from training.transforms import EvaluationTransform

NEAREST, FARTHEST = 1e-3, 65.535  # metres that 16 bits of millimetres can hold


def main(arguments: list[str]) -> None:
    """Write a folder for each training set of the configuration; frames that are there already are not done again."""
    parser = argparse.ArgumentParser(prog="python -m training distill", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="whose training sets are labelled; the student's")
    parser.add_argument("--teachers", nargs="+", required=True, help="sealed or training checkpoints of its network")
    parser.add_argument("--sizes", nargs="+", type=size, default=[(256, 320)], help="of inputs, HEIGHTxWIDTH: 256x320")
    parser.add_argument("--output", type=Path, required=True, help="folder of folders, one a set")
    options, overrides = parser.parse_known_args(arguments)
    cli = assemble([f"--config={options.config}", *overrides])
    teacher = Teacher(cli, options.teachers, options.sizes)
    files = {name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in options.teachers}
    for number, frames in enumerate(cli.datamodule.sets["train"]):
        folder = options.output / f"{number}_{frames.source.stem}"
        made_by = {"frames": str(frames), "teachers": files, "sizes": [list(size) for size in options.sizes]}
        refuse_other_configuration(folder, made_by)  # half of the frames by other teachers would tell nobody
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / "config.yaml", yaml.safe_dump(made_by))
        label(frames, teacher, folder)
        print(f"{len(frames)} frames in {folder}")


def size(text: str) -> tuple[int, int]:
    """(height, width) of "256x320"."""
    height, width = text.split("x")
    return int(height), int(width)


class Teacher:
    """The geometric mean of networks over input sizes and mirror images.

    Args:
        cli: has the network and the canonical camera of all of them.
        checkpoints: see `training.module.read_network`.
        sizes: (height, width) of inputs.
    """

    def __init__(self, cli: DepthCLI, checkpoints: Iterable[str], sizes: Iterable[tuple[int, int]]) -> None:
        h, t = cli.model.hparams, cli.datamodule.transform
        self.networks = []
        for file in checkpoints:
            network = DepthNetwork(h["encoder"], h["decoder"], h["width"], h["max_depth"], h["error"]).eval()
            load_start(network, file)
            self.networks.append(network)
        self.views = [EvaluationTransform(size, t.canonical, t.max_depth, t.normalisation) for size in sizes]

    @torch.inference_mode()
    def __call__(self, frame: RgbdFrame) -> NDArray[np.float32]:
        """Depth (H, W) of the frame, metres."""
        logs: list[Tensor] = []
        for view in self.views:
            sample = view(frame, np.random.default_rng(0))
            image = sample["image"][None]
            for network in self.networks:
                for mirrored in (False, True):
                    depth = network(image.flip(-1) if mirrored else image)[0]
                    depth = at_size_of(sample["depth"][None], depth.flip(-1) if mirrored else depth)
                    logs.append((depth * sample["scale"]).log())
        return torch.stack(logs).mean(0).exp()[0, 0].numpy()


def label(frames: RgbdDataset, teacher: Teacher, folder: Path) -> None:
    """Write ``rgb``, ``depth`` and ``camera.yaml``. Raises ValueError where the set's cameras differ."""
    camera: CameraModel | None = None
    for part in ("rgb", "depth"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for index in tqdm(range(len(frames)), unit=" frames"):
        frame = frames[index]
        camera = camera or frame.camera
        if frame.camera != camera:
            raise ValueError(f"{frames}: found cameras that differ, {frame.name}'s from the first's; expected one")
        file = folder / "depth" / f"{index:05d}.png"
        if not file.is_file():
            write_image(folder / "rgb" / file.name, frame.rgb[..., ::-1])
            depth = teacher(frame).clip(NEAREST, FARTHEST)
            write_image(file, millimetres(np.where(frame.depth > 0, depth, 0)))
    if camera:
        write_camera(folder / "camera.yaml", camera)
