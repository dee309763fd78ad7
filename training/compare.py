"""The paper's table 4: the methods that it compares itself with, all under one recipe, one seed and one protocol.

Each row is a run in a folder of its own; a row may go on from another row's weights. A row that is tested is not run
again, and one half trained is resumed. The table gives ours and, in brackets, the paper's figure.
"""

import argparse
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

from mono_depth_ros.tables import markdown
from training.ablation import predict, publish, train_and_test
from training.baselines import cost
from training.lightning_cli import DepthCLI, assemble
from training.metrics import NAMES
from training.run_folder import LAST, refuse_other_configuration

PAPER = "this paper"
# Of the loss that is one for all, what a method's own loss replaces.
TERMS = ("silog", "perceptual", "gradient", "edge", "l1", "error")
NO_TERMS = tuple(f"--model.loss.weights.{term}=0" for term in TERMS)
L1 = (*NO_TERMS, "--model.loss.weights.l1=1")


@dataclass(frozen=True)
class Row:
    """One method.

    Attributes:
        name: of the method.
        reference: its number in the paper.
        changes: what it overrides in the configuration.
        own_loss: what its own loss overrides; nothing where that is the configuration's, or is not known.
        after: the row whose weights it goes on from.
        published: the paper's row (`NAMES`), NaN where it has none, set right: in the text the rows have slipped
            against their labels, so a row is given to the method whose own publication has these figures; None where
            none does.
    """

    name: str
    reference: str
    changes: tuple[str, ...] = ()
    own_loss: tuple[str, ...] = ()
    after: str = ""
    published: tuple[float, ...] | None = None

    @property
    def folder(self) -> str:
        """Of its run."""
        return re.sub(r"\W+", "_", self.name.lower())


def baseline(network: str, encoder: str = "", **options: Any) -> tuple[str, ...]:
    """What makes a run train a network of `training.baselines`, whose encoder is of timm."""
    found = [f"--model.network=training.baselines.{network}"]
    found += [f"--model.network.init_args.{name}={value}" for name, value in options.items()]
    return (*found, *own_encoder(encoder)) if encoder else tuple(found)


def own_encoder(name: str) -> tuple[str, ...]:
    """What gives a run another encoder; its ImageNet weights are timm's."""
    return f"--model.encoder={name}", "--model.encoder_weights=null"


def rows(window: Sequence[int]) -> tuple[Row, ...]:
    """All of them.

    Args:
        window: (height, width) of the crops, all that Eigen's network can look at.
    """
    eigen: dict[str, Any] = {"window": list(window)}
    eigen_loss = (*NO_TERMS, "--model.loss.weights.silog=1", "--model.loss.base=2.718281828459045")
    return (
        Row("Eigen 2014, coarse stack", "[2]", baseline("eigen.Eigen", stage="coarse", **eigen), eigen_loss),
        Row(
            "Eigen 2014",
            "[2]",
            baseline("eigen.Eigen", stage="fine", **eigen),
            eigen_loss,
            after="Eigen 2014, coarse stack",
        ),
        Row(
            "DCNF",
            "[3]",
            baseline("dcnf.DCNF", "vgg16"),
            ("--model.network.init_args.own_loss=true",),
            published=(0.213, 0.759, 0.087, 0.650, 0.906, 0.976),
        ),
        Row(
            "two scales, perceptual loss",
            "[4]",
            baseline("two_scale.TwoScale"),
            (*L1, "--model.loss.weights.perceptual=1"),
        ),
        Row(
            "FCRN",
            "[5]",
            baseline("fcrn.FCRN", "resnet50"),
            (*NO_TERMS, "--model.loss.weights.berhu=1"),
            published=(0.127, 0.573, 0.055, 0.811, 0.953, 0.988),
        ),
        Row("light pyramid decoder", "[6]", baseline("jia.PyramidNetwork", "resnet50"), L1),
        Row("MobileNet encoder, SU-Net", "[7]", own_encoder("mobilenetv1_100")),
        Row(
            "FastDepth",
            "[8]",
            baseline("fastdepth.FastDepth", "mobilenetv1_100"),
            L1,
            published=(0.160, 0.604, math.nan, 0.771, 0.946, 0.986),
        ),
        Row("GLPDepth's width", "[11]", ("--model.width=64",)),
        Row(
            "DCDN",
            "[14]",
            baseline("dcdn.DCDN", "resnet101"),
            L1,
            published=(0.139, 0.474, 0.057, 0.823, 0.964, 0.994),
        ),
        Row(PAPER, "", published=(0.120, 0.419, 0.051, 0.860, 0.978, 0.996)),
        Row("learned step sizes, 8 bits", "[9]", ("--model.quantise_bits=8",), after=PAPER),
        Row("learned step sizes, 4 bits", "[9]", ("--model.quantise_bits=4",), after=PAPER),
    )


def main(arguments: list[str]) -> None:
    """Train and test every row, or go on where an earlier call was stopped; write the table and the figure."""
    parser = argparse.ArgumentParser(prog="python -m training compare", description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("training/configs/paper.yaml"), help="of the paper's model")
    parser.add_argument("--output", type=Path, default=Path("runs/table4"), help="folder of runs, table and figure")
    parser.add_argument("--only", nargs="+", metavar="ROW", help="names of rows (default: all)")
    parser.add_argument("--own-losses", action="store_true", help="each method's own loss in place of one for all")
    parser.add_argument("--scratch", action="store_true", help="no encoder begins with ImageNet weights")
    parser.add_argument("--frames", type=int, default=4, help="test frames in the figure")
    options, overrides = parser.parse_known_args(arguments)
    every = rows(assemble([f"--config={options.config}", *overrides]).datamodule.transform.crop_size)
    chosen = choose(every, options.only)
    reports, predictions = [], []
    for number, row in enumerate(chosen, start=1):
        print(f"row {number} of {len(chosen)}: {row.name}", flush=True)
        folder = options.output / row.folder
        changes = [*overrides, *row.changes, *(row.own_loss if options.own_losses else ())]
        changes += ["--model.encoder_weights=random"] if options.scratch else []
        changes += start_of(row, every, options.output)
        cli = assemble([f"--config={options.config}", f"--trainer.default_root_dir={folder}", *changes])
        refuse_other_configuration(folder, cli.as_saved())
        if not (folder / "test.json").is_file():
            train_and_test(options.config, folder, changes)
        report = json.loads((folder / "test.json").read_text(encoding="utf-8"))
        reports.append(report["results"] | costs(cli, folder))
        predictions.append(predict(cli, folder, options.frames))
    publish(options.output, comparison(chosen, reports), predictions)


def choose(every: Sequence[Row], names: Sequence[str] | None) -> list[Row]:
    """The rows of these names, and those whose weights they go on from, in the table's order.

    Raises:
        ValueError: a name that no row has.
    """
    by_name = {row.name: row for row in every}
    if unknown := sorted(set(names or ()) - by_name.keys()):
        raise ValueError(f"--only: found {', '.join(unknown)}, expected of {', '.join(by_name)}")
    wanted = set(names or by_name)
    for name in tuple(wanted):
        while name := by_name[name].after:
            wanted.add(name)
    return [row for row in every if row.name in wanted]


def start_of(row: Row, every: Sequence[Row], output: Path) -> list[str]:
    """What makes a row begin with the weights of the one that it goes on from."""
    before = [other for other in every if other.name == row.after]
    return [f"--model.start={output / other.folder / LAST}" for other in before]


def costs(cli: DepthCLI, folder: Path) -> dict[str, float]:
    """Millions of parameters, GMACs and milliseconds for an image of the configuration's input size; kept in a file."""
    file = folder / "cost.json"
    if not file.is_file():
        network, size = cli.model.network.eval(), tuple(cli.datamodule.transform.input_size)
        found = {
            "parameters": cost.parameters(network),
            "gigamacs": cost.gigamacs(network, size),
            "milliseconds": milliseconds(network, size),
        }
        file.write_text(json.dumps(found) + "\n", encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))


@torch.inference_mode()
def milliseconds(network: nn.Module, size: tuple[int, int], images: int = 5) -> float:
    """Median time of an image in PyTorch on the CPU, after one that is not counted."""
    image, times = torch.zeros(1, 3, *size), []
    for _ in range(1 + images):
        started = perf_counter()
        network(image)
        times.append(perf_counter() - started)
    return 1e3 * float(np.median(times[1:]))


def comparison(chosen: Sequence[Row], reports: Sequence[dict[str, float]]) -> str:
    """The table: ours and, in brackets, the paper's."""
    lines = []
    for row, report in zip(chosen, reports, strict=True):
        figures = [f"{report[name]:.3f}" for name in NAMES]
        if row.published:
            pairs = zip(figures, row.published, strict=True)
            figures = [f"{ours} ({'-' if math.isnan(paper) else f'{paper:.3f}'})" for ours, paper in pairs]
        spent = [f"{report['parameters']:.2f}", f"{report['gigamacs']:.2f}", f"{report['milliseconds']:.0f}"]
        lines.append([row.name, row.reference, *spent, *figures])
    return markdown(["method", "reference", "parameters, M", "GMACs", "ms an image", *NAMES], lines, words=2)
