"""Average: the mean of several runs' weights, which is often better than each where they began from the same ones."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from training.module import NETWORK, read_network


def main(arguments: list[str]) -> None:
    """Write the mean of checkpoints as one that `seal`, `distill` and ``--model.start`` take."""
    parser = argparse.ArgumentParser(prog="python -m training average", description=__doc__)
    parser.add_argument("checkpoints", nargs="+", help="sealed (.safetensors) or training (.ckpt), of one network")
    parser.add_argument("--shares", type=float, nargs="+", help="of each in the mean; equal ones where none are given")
    parser.add_argument("--output", type=Path, required=True, help="NAME.ckpt")
    options = parser.parse_args(arguments)
    if options.output.suffix != ".ckpt" or options.output.exists():
        parser.error(f"--output: found {options.output}, expected a new NAME.ckpt")
    weights = mean([read_network(file) for file in options.checkpoints], options.shares)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": {f"{NETWORK}{name}": value for name, value in weights.items()}}, options.output)
    print(f"mean of {len(options.checkpoints)} checkpoints in {options.output}")


def mean(states: Sequence[dict[str, Tensor]], shares: Sequence[float] | None = None) -> dict[str, Tensor]:
    """Weighted mean of weights by name; what is not floating-point (counters) is the first's.

    Raises ValueError for networks that differ, or shares that are not one each or sum up to nothing.
    """
    shares = shares or [1.0] * len(states)
    if len(shares) != len(states) or sum(shares) <= 0:
        raise ValueError(f"shares: found {list(shares)}, expected {len(states)}, one a checkpoint, positive in sum")
    # A seal keeps a counter (of batches) as an array of one.
    shapes = [{name: value.squeeze().shape for name, value in state.items()} for state in states]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError("average: the checkpoints hold different networks; expected runs of one configuration")
    parts = torch.tensor(shares, dtype=torch.float64) / sum(shares)

    def blend(name: str) -> Tensor:
        first, *others = (state[name] for state in states)
        if not first.is_floating_point():
            return first
        return torch.tensordot(parts, torch.stack([first, *others]).double(), dims=1).float()

    return {name: blend(name) for name in states[0]}
