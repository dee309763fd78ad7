"""What a network costs before any clock runs: parameters, operations, and bytes that its convolutions move."""

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(network: nn.Module) -> float:
    """Millions of parameters."""
    return sum(p.numel() for p in network.parameters()) / 1e6


def gigamacs(network: nn.Module, size: tuple[int, int]) -> float:
    """Thousand millions of multiply-accumulates for one image of (height, width)."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, 3, *size))
    return counter.get_total_flops() / 2e9


def layers(network: nn.Module, size: tuple[int, int]) -> list[tuple[int, int]]:
    """Each convolution that one image of (height, width) runs through, in order.

    Returns multiply-accumulates, and how many values are read (weights too) and written.
    """
    found: list[tuple[int, int]] = []

    def note(conv: nn.Conv2d, inputs: tuple[Tensor], output: Tensor) -> None:
        macs = output.numel() * conv.weight[0].numel()
        found.append((macs, inputs[0].numel() + output.numel() + conv.weight.numel()))

    hooks = [m.register_forward_hook(note) for m in network.modules() if isinstance(m, nn.Conv2d)]
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 3, *size))
    for hook in hooks:
        hook.remove()
    return found
