"""DCDN (Zhang et al., 2020): ResNet101 whose last two stages are dilated, and part of DenseASPP (Yang et al., 2018).

Known of it: ResNet101 is the base, and DenseASPP follows in part. Assumed here: the encoder's stride is 8; DenseASPP
is whole, with dilations 3, 6, 12, 18 and 24, a growth of 64 channels and bottlenecks of 256 behind a 1x1 convolution
to 512, as its authors have it for ResNet101; depth is one 3x3 convolution away; L1 is its own loss.
"""

import torch
from torch import Tensor, nn

from training.baselines.base import MIDDLE, Backbone, Baseline, begin_at, conv_bn_relu

DILATIONS = (3, 6, 12, 18, 24)
WIDTH, BOTTLENECK, GROWTH = 512, 256, 64


class DenseASPP(nn.Module):
    """Dilated convolutions in a row, each of which sees the maps of all before it."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(inputs, WIDTH, 1)
        self.layers = nn.ModuleList(
            nn.Sequential(
                conv_bn_relu(WIDTH + GROWTH * number, BOTTLENECK, 1),
                conv_bn_relu(BOTTLENECK, GROWTH, 3, dilation=dilation),
            )
            for number, dilation in enumerate(DILATIONS)
        )
        self.channels = WIDTH + GROWTH * len(DILATIONS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, ``channels``, H, W)."""
        x = self.reduce(x)
        for layer in self.layers:
            x = torch.cat((layer(x), x), dim=1)
        return x


class DCDN(Baseline):
    """The network.

    Args:
        encoder: a timm model that can be dilated; the paper's is ``resnet101``.
    """

    multiple = stride = 8

    def __init__(self, encoder: str = "resnet101") -> None:
        super().__init__()
        self.encoder = Backbone(encoder, output_stride=8)
        self.context = DenseASPP(self.encoder.channels)
        self.head = nn.Sequential(nn.Conv2d(self.context.channels, 1, 3, padding=1), nn.Softplus())
        begin_at(self.head[0], MIDDLE)

    def predict(self, image: Tensor) -> Tensor:
        """See `Baseline.predict`."""
        return self.head(self.context(self.encoder(image)))
