"""METER-XXS (Papa et al., 2023): MobileViT's encoder with one transformer layer a stage, transposed convolutions up.

It follows the released model, which has 0.71 million parameters: there, a dense 3x3 convolution stands before each
pointwise one where the paper speaks of separable convolutions, and the encoder ends with 160 channels.
"""

import torch
from torch import Tensor, nn

from training.baselines.base import Baseline

HEADS, HEAD_WIDTH = 4, 8
PATCH = 2


def dense_then_pointwise(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """What the released model has in place of a separable convolution."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.Conv2d(outputs, outputs, 1, bias=False)
    )


def norm_relu(conv: nn.Module, channels: int) -> nn.Sequential:
    """The convolution, batch normalisation, ReLU."""
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU())


class InvertedResidual(nn.Module):
    """MobileNetV2's block, twice as wide inside."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        wide = 2 * inputs
        self.layers = nn.Sequential(
            norm_relu(nn.Conv2d(inputs, wide, 1, bias=False), wide),
            norm_relu(nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H / stride, W / stride)."""
        return x + self.layers(x) if self.is_residual else self.layers(x)


class Attention(nn.Module):
    """Self-attention over the third axis of (N, P, T, C)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_qkv = nn.Linear(width, 3 * HEADS * HEAD_WIDTH, bias=False)
        self.out = nn.Linear(HEADS * HEAD_WIDTH, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, P, T, C) to the same."""
        query, key, value = self.to_qkv(x).unflatten(-1, (3, HEADS, HEAD_WIDTH)).permute(3, 0, 1, 4, 2, 5)
        weights = (query @ key.transpose(-1, -2) * HEAD_WIDTH**-0.5).softmax(-1)
        return self.out((weights @ value).transpose(2, 3).flatten(-2))


class MeterBlock(nn.Module):
    """Convolutions, one transformer layer over every other pixel of every other row, and a merge with the input."""

    def __init__(self, channels: int, width: int, expansion: int) -> None:
        super().__init__()
        self.local = nn.Sequential(
            norm_relu(dense_then_pointwise(channels, channels), channels),
            norm_relu(nn.Conv2d(channels, width, 1, bias=False), width),
        )
        self.attention = nn.Sequential(nn.LayerNorm(width), Attention(width))
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, expansion * width), nn.ReLU(), nn.Linear(expansion * width, width)
        )
        self.back = norm_relu(nn.Conv2d(width, channels, 1, bias=False), channels)
        self.merge = norm_relu(dense_then_pointwise(2 * channels, channels), channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same; H and W are even."""
        rows, columns = x.shape[2] // PATCH, x.shape[3] // PATCH
        tokens = self.local(x).unflatten(3, (columns, PATCH)).unflatten(2, (rows, PATCH))
        tokens = tokens.permute(0, 3, 5, 2, 4, 1).flatten(3, 4).flatten(1, 2)
        tokens = tokens + self.attention(tokens)
        tokens = tokens + self.perceptron(tokens)
        grid = tokens.unflatten(2, (rows, columns)).unflatten(1, (PATCH, PATCH)).permute(0, 5, 3, 1, 4, 2)
        return self.merge(torch.cat((self.back(grid.flatten(4, 5).flatten(2, 3)), x), dim=1))


class UpSampling(nn.Module):
    """A transposed convolution to twice the size, merged with the encoder's map."""

    def __init__(self, inputs: int, skip: int) -> None:
        super().__init__()
        outputs = inputs // 2
        self.up = nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding=1, bias=False)
        self.merge = nn.Sequential(dense_then_pointwise(outputs + skip, outputs), nn.ReLU())

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(N, C, H, W) and (N, S, 2 H, 2 W) to (N, C / 2, 2 H, 2 W)."""
        return self.merge(torch.cat((self.up(x), skip), dim=1))


class Meter(Baseline):
    """The smallest of its three sizes."""

    multiple, stride = 64, 4

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            norm_relu(dense_then_pointwise(3, 16, stride=2), 16), InvertedResidual(16, 16), InvertedResidual(16, 24, 2)
        )
        self.to_stride8 = nn.Sequential(
            InvertedResidual(24, 24), InvertedResidual(24, 24), InvertedResidual(24, 48, stride=2)
        )
        self.to_stride16 = nn.Sequential(MeterBlock(48, 64, 2), InvertedResidual(48, 64, stride=2))
        self.deepest = nn.Sequential(
            MeterBlock(64, 80, 4),
            InvertedResidual(64, 80, stride=2),
            MeterBlock(80, 96, 4),
            norm_relu(nn.Conv2d(80, 160, 1, bias=False), 160),
            nn.Conv2d(160, 64, 1, bias=False),
        )
        self.decoder = nn.ModuleList((UpSampling(64, 64), UpSampling(32, 48), UpSampling(16, 24)))
        self.head = nn.Conv2d(8, 1, 3, padding=1, bias=False)

    def predict(self, image: Tensor) -> Tensor:
        """See `Baseline.predict`."""
        stride4 = self.stem(image)
        stride8 = self.to_stride8(stride4)
        stride16 = self.to_stride16(stride8)
        x = self.deepest(stride16)
        for layer, skip in zip(self.decoder, (stride16, stride8, stride4), strict=True):
            x = layer(x, skip)
        return self.head(x)
