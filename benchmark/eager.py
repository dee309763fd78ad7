"""PyTorch as users run it: eager, single precision, memory format left alone; and the same network for OpenVINO."""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mono_depth_ros.backends import Maps, Size
from mono_depth_ros.backends.silent_openvino import openvino
from mono_depth_ros.checkpoint import IMAGENET_MEAN, IMAGENET_STD


class FromFrame(nn.Module):
    """A network from a frame to depth.

    Args:
        network: maps a normalised (1, 3, H, W) to depth (1, 1, h, w), or to a tuple that begins with it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, frame: Tensor) -> Tensor:
        """Depth (1, h, w) of a frame (1, H, W, 3) uint8."""
        found = self.network((frame.permute(0, 3, 1, 2).contiguous() - self.mean) / self.std)
        return (found[0] if isinstance(found, tuple) else found)[:, 0]


class Eager:
    """A backend that calls the network and does nothing for its speed."""

    name, precision = "eager", "fp32"

    def __init__(self, network: nn.Module, device: str) -> None:
        self.device = device
        self._network = FromFrame(network).to(device)

    def infer(self, rgb: np.ndarray, size: Size) -> Maps:
        """Depth alone, (h, w) float32, of an image of the network's size."""
        with torch.inference_mode():
            return self._network(torch.from_numpy(rgb).to(self.device)[None])[0].cpu().numpy(), None


def export(network: nn.Module, size: tuple[int, int], xml: Path) -> None:
    """Write a network as OpenVINO's IR, from frame to depth, for one (height, width)."""
    frame = torch.zeros((1, *size, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Tracing notes each shape that it takes for constant; here they all are.
        model = openvino.convert_model(FromFrame(network), example_input=frame, input=[1, *size, 3])
    openvino.save_model(model, xml, compress_to_fp16=False)
