"""What a network costs before any clock runs: parameters and operations."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(network: nn.Module) -> float:
    """Millions of parameters."""
    return sum(p.numel() for p in network.parameters()) / 1e6


def gigamacs(network: nn.Module, size: tuple[int, int]) -> float:
    """Thousand millions of multiply-accumulates for one image of (height, width)."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, 3, *size))
    return counter.get_total_flops() / 2e9
