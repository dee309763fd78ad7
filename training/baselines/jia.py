"""The light pyramid decoder of Jia et al. (2021): ResNet50, and at each stride a pyramid of receptive fields.

What is known of it is the abstract: the encoder is ResNet50, the decoder's light pyramid modules merge maps of
different receptive fields, and skip connections share what the encoder knows. Assumed here: a module is four depthwise
separable 3x3 convolutions with dilations 1, 2, 4 and 8, concatenated and merged by a 1x1 convolution; the decoder's
widths are 512, 256, 128 and 64; skips are 1x1 convolutions that are added; L1 is its own loss.
"""

import torch
from torch import Tensor, nn

from mono_depth_ros.network import Encoder
from mono_depth_ros.network.decoder import upsample
from training.baselines.base import MIDDLE, Baseline, begin_at, conv_bn_relu, separable

DILATIONS = (1, 2, 4, 8)
WIDTHS = (512, 256, 128, 64)


class LightPyramid(nn.Module):
    """Maps of four receptive fields of one map, merged."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(inputs, outputs, 1)
        part = outputs // len(DILATIONS)
        self.fields = nn.ModuleList(separable(outputs, part, 3, dilation=dilation) for dilation in DILATIONS)
        self.merge = conv_bn_relu(outputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H, W)."""
        x = self.reduce(x)
        return self.merge(torch.cat([field(x) for field in self.fields], dim=1))


class PyramidNetwork(Baseline):
    """The network.

    Args:
        encoder: a timm model; the paper's is ``resnet50``.
    """

    multiple, stride = 32, 2

    def __init__(self, encoder: str = "resnet50") -> None:
        super().__init__()
        self.encoder = Encoder(encoder)
        *skips, deepest = self.encoder.channels
        self.pyramids = nn.ModuleList(LightPyramid(a, b) for a, b in zip((deepest, *WIDTHS), WIDTHS, strict=False))
        self.skips = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(skips[::-1], WIDTHS, strict=True))
        self.head = nn.Sequential(nn.Conv2d(WIDTHS[-1], 1, 3, padding=1), nn.Softplus())
        begin_at(self.head[0], MIDDLE)

    def predict(self, image: Tensor) -> Tensor:
        """See `Baseline.predict`."""
        *maps, x = self.encoder(image)
        for pyramid, lateral, skip in zip(self.pyramids, self.skips, maps[::-1], strict=True):
            x = upsample(pyramid(x)) + lateral(skip)
        return self.head(x)
