"""Draw what the augmentation does to a frame: ``python -m training.data.picture OUT.png FOLDER``."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from training.data.frame import RgbdFrame
from training.data.rgbd_folder import RgbdFolder
from training.transforms import Sample, TrainTransform

NOTHING = TrainTransform(crop_size=(480, 640), flip=0, cut_depth=0, color=(0, 0, 0, 0))
STEPS = {
    "frame": NOTHING,
    "CutDepth": replace(NOTHING, cut_depth=1),
    "flip": replace(NOTHING, flip=1),
    "turn": replace(NOTHING, turn=6),
    "crop": replace(NOTHING, crop_size=(448, 576)),
    "zoom 1.6: depth / 1.6": replace(NOTHING, zoom=(1.6, 1.6)),
    "colour": replace(NOTHING, color=(0.3, 0.3, 0.4, 0.05)),
    "all": replace(
        NOTHING, crop_size=(448, 576), flip=1, turn=4, cut_depth=1, zoom=(1.3, 1.3), color=(0.3, 0.3, 0.4, 0.05)
    ),
}


def augmented_pairs(frame: RgbdFrame, seed: int) -> Figure:
    """Each step by itself, then all together: colour above, canonical depth (unknown: black) below."""
    samples = {name: step(frame, np.random.default_rng(seed)) for name, step in STEPS.items()}
    figure = Figure(figsize=(2.2 * len(samples), 3.9), layout="constrained")
    axes = figure.subplots(2, len(samples))
    shades = matplotlib.colormaps["turbo_r"].with_extremes(bad="black")
    farthest = max(float(sample["depth"].max()) for sample in samples.values())
    for (name, sample), (above, below) in zip(samples.items(), axes.T, strict=True):
        above.set_title(name, fontsize=9)
        above.imshow(colors_of(sample))
        shown = below.imshow(known_depth(sample), cmap=shades, vmin=0, vmax=farthest)
        for panel in (above, below):
            panel.set_axis_off()
    figure.colorbar(shown, ax=axes[1, -1], label="m")
    return figure


def colors_of(sample: Sample) -> np.ndarray:
    """(h, w, 3) in [0, 1]: the normalisation undone."""
    mean, std = np.array(NOTHING.normalisation)
    return np.clip(sample["image"].numpy().transpose(1, 2, 0) * std + mean, 0, 1)


def known_depth(sample: Sample) -> np.ma.MaskedArray:
    """(h, w) metres, masked where unknown."""
    return np.ma.masked_array(sample["depth"][0].numpy(), ~sample["mask"][0].numpy())


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw a frame of a folder in the layout of `RgbdFolder`."""
    parser = argparse.ArgumentParser(prog="python -m training.data.picture", description=__doc__)
    parser.add_argument("out", type=Path, help="the picture to write")
    parser.add_argument("folder", type=Path, help="rgb/, depth/ and camera.yaml")
    parser.add_argument("--frame", type=int, default=0, help="position of the frame in the folder")
    parser.add_argument("--seed", type=int, default=0, help="of the augmentation")
    chosen = parser.parse_args(arguments)
    frame = RgbdFolder(chosen.folder)[chosen.frame]
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    augmented_pairs(frame, chosen.seed).savefig(chosen.out, dpi=110)


if __name__ == "__main__":
    main()
