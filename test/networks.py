"""Small ONNX networks of the interfaces that others have, and their checkpoints."""

import numpy as np
import torch

from mono_depth_ros.adopt import adopt
from mono_depth_ros.checkpoint import CheckpointInfo

SIZE = (56, 84)
KINDS = {
    "metres": lambda z: z,
    "log-metres": lambda z: z.log(),
    "relative": lambda z: 0.2 * z - 3,
    "disparity": lambda z: 5 / z + 2,
}


class Colours(torch.nn.Module):
    """A network that reads metres off the colours: 1 m and 0.02 m for each level of blue more than red."""

    def __init__(self, kind, halves=False):
        super().__init__()
        self.of_metres, self.halves = KINDS[kind], halves

    def forward(self, x):
        x = torch.nn.functional.avg_pool2d(x, 2) if self.halves else x
        return self.of_metres(1 + 0.02 * (100 * x[:, 2:] - 100 * x[:, :1]))


def export(path, network, is_fixed=False, names=("x", "y")):
    """An ONNX file of the network, by the exporter that users still have."""
    x, y = names
    free = None if is_fixed else {x: {2: "h", 3: "w"}, y: {2: "h_out", 3: "w_out"}}
    image = (torch.zeros((1, 3, *SIZE)),)
    torch.onnx.export(network, image, path, input_names=[x], output_names=[y], dynamic_axes=free, dynamo=False)
    return path


def info_of(kind, multiple=14, focal_length=None):
    mean, std = (0.0, 0.0, 0.0), (100.0, 100.0, 100.0)
    return CheckpointInfo({}, SIZE, focal_length, 10.0, mean, std, output_kind=kind, multiple=multiple)


def picture(height, width):
    """Blue on green noise, and the metres that `Colours` reads off it: 1 to 5.1 m along the rows."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[..., 1] = np.random.default_rng(0).integers(0, 256, (height, width))  # of a dark picture, nothing is known
    rgb[..., 2] = np.linspace(0, 205, width).round()
    return rgb, (1 + 0.02 * rgb[..., 2]).astype(np.float32)


def sealed_of(folder, kind, network=None, **facts):
    """The checkpoint of such a network."""
    return adopt(export(folder / "x.onnx", network or Colours(kind)), info_of(kind, **facts), folder / "n.safetensors")
