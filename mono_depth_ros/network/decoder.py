"""Decoders: a ladder from stride 32 to 2 that merges each encoder map by SFF (SU-Net) or concatenation (U-Net)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


def conv_bn_relu(inputs: int, outputs: int) -> nn.Sequential:
    """3x3 convolution, batch normalisation, ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(True))


def upsample(x: Tensor, factor: int = 2) -> Tensor:
    """Bilinear interpolation to ``factor`` times the size."""
    return interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class SFF(nn.Module):
    """Selective feature fusion (paper, equations 2 and 3): a weight per pixel for the local and for the global map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            conv_bn_relu(2 * channels, channels),
            conv_bn_relu(channels, channels // 2),
            nn.Conv2d(channels // 2, 2, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, local: Tensor, wide: Tensor) -> Tensor:
        """Fuse ``local`` (of the encoder) and ``wide`` (of the decoder), both (N, C, H, W), into one of that shape."""
        weights = self.attention(torch.cat((local, wide), dim=1))
        return weights[:, :1] * local + weights[:, 1:] * wide


class Concatenation(nn.Module):
    """The plain U-Net's merge: concatenate, then two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(conv_bn_relu(2 * channels, channels), conv_bn_relu(channels, channels))

    def forward(self, local: Tensor, wide: Tensor) -> Tensor:
        """Merge two maps (N, C, H, W) into one of that shape."""
        return self.convs(torch.cat((local, wide), dim=1))


class Decoder(nn.Module):
    """1x1 convolution to the skip's channels, bilinear x2, merge with the skip; at strides 16, 8, 4 and 2.

    Args:
        channels: those of the encoder's five maps, finest first.
        width: None keeps the encoder's own widths; a number makes every rung that wide (GLPDepth uses 64).
    """

    merge: type[nn.Module]

    def __init__(self, channels: list[int], width: int | None = None) -> None:
        super().__init__()
        skips = channels[-2::-1]
        rungs = [width or c for c in skips]
        wider = [channels[-1], *rungs[:-1]]
        self.reduce = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(wider, rungs, strict=True))
        self.lateral = nn.ModuleList(
            nn.Identity() if a == b else nn.Conv2d(a, b, 1) for a, b in zip(skips, rungs, strict=True)
        )
        self.fuse = nn.ModuleList(self.merge(c) for c in rungs)
        self.channels = rungs

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (N, ``channels[i]``, H/s, W/s) at strides s = 16, 8, 4 and 2 from the encoder's five."""
        rungs = [features[-1]]
        for skip, reduce, lateral, fuse in zip(features[-2::-1], self.reduce, self.lateral, self.fuse, strict=True):
            rungs.append(fuse(lateral(skip), upsample(reduce(rungs[-1]))))
        return rungs[1:]


class SUNetDecoder(Decoder):
    """The paper's decoder."""

    merge = SFF


class UNetDecoder(Decoder):
    """The paper's baseline."""

    merge = Concatenation


DECODERS: dict[str, type[Decoder]] = {"sunet": SUNetDecoder, "unet": UNetDecoder}
