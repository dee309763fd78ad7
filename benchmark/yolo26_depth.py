"""YOLO26n-depth (Ultralytics, 2026) by its published configuration, with random weights.

It has the published operations, 46.9 GFLOP at 768x768, and 5.17 M parameters, which is what that configuration gives in
the authors' library too; their table says 6.4 M.

Strides 2 to 32, a way up and a way down again between strides 8 and 32, and a head that adds the three up to stride 4.
Widths are those of scale "n". The blocks are those of its family: a part of the channels passes through a chain, and
all its links are joined (CSP; Wang et al., 2020); attention at stride 32.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.ops import Conv2dNormActivation

_NORM = partial(nn.BatchNorm2d, eps=1e-3)


def conv(inputs: int, outputs: int, size: int = 1, stride: int = 1, active: bool = True, groups: int = 1) -> nn.Module:
    """Convolution, normalisation, SiLU."""
    act = nn.SiLU if active else None
    return Conv2dNormActivation(inputs, outputs, size, stride, groups=groups, norm_layer=_NORM, activation_layer=act)


class Add(nn.Sequential):
    """Its steps, added to their input."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return x + super().forward(x)


def bottleneck(width: int, inner: int) -> nn.Module:
    """Two convolutions of 3 pixels, through ``inner`` channels."""
    return Add(conv(width, inner, 3), conv(inner, width, 3))


class ThreeConvs(nn.Module):
    """Two bottlenecks on one half, the other passes by."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.through, self.past, self.join = conv(width, half), conv(width, half), conv(2 * half, width)
        self.chain = nn.Sequential(bottleneck(half, half), bottleneck(half, half))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return self.join(torch.cat([self.chain(self.through(x)), self.past(x)], dim=1))


class Attention(nn.Module):
    """Self-attention over all pixels, keys half as wide as values; a depthwise convolution of the values adds place."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.sizes = [width // heads // 2, width // heads // 2, width // heads]
        self.heads = heads
        self.qkv = conv(width, heads * sum(self.sizes), active=False)
        self.place = conv(width, width, 3, active=False, groups=width)
        self.project = conv(width, width, active=False)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        n, _, height, width = x.shape
        q, k, v = self.qkv(x).view(n, self.heads, -1, height * width).split(self.sizes, dim=2)
        weights = (q.transpose(-2, -1) @ k * self.sizes[0] ** -0.5).softmax(dim=-1)
        mixed = (v @ weights.transpose(-2, -1)).reshape(x.shape)
        return self.project(mixed + self.place(v.reshape(x.shape)))


def transformer(width: int, heads: int) -> nn.Module:
    """Attention, then two convolutions of 1 pixel."""
    return nn.Sequential(
        Add(Attention(width, heads)), Add(conv(width, 2 * width), conv(2 * width, width, active=False))
    )


class Cross(nn.Module):
    """One part of the channels passes by, the other through a step, and all of it is joined.

    Args:
        inputs, outputs: channels.
        width: of each part.
        step: of ``width`` channels.
        keeps: join the step's input too.
    """

    def __init__(self, inputs: int, outputs: int, width: int, step: nn.Module, keeps: bool = True) -> None:
        super().__init__()
        self.split, self.step, self.keeps = conv(inputs, 2 * width), step, keeps
        self.join = conv((3 if keeps else 2) * width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, outputs, H, W)."""
        past, through = self.split(x).chunk(2, dim=1)
        return self.join(torch.cat([past, *([through] if self.keeps else []), self.step(through)], dim=1))


def light(inputs: int, outputs: int) -> Cross:
    """Of the first stages."""
    return Cross(inputs, outputs, outputs // 4, bottleneck(outputs // 4, outputs // 8))


def heavy(inputs: int, outputs: int) -> Cross:
    """Of the others."""
    return Cross(inputs, outputs, outputs // 2, ThreeConvs(outputs // 2))


class Pooling(nn.Module):
    """The largest values around each pixel, over ever wider squares."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze, self.join = conv(width, width // 2, active=False), conv(2 * width, width)
        self.pool = nn.MaxPool2d(5, stride=1, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        maps = [self.squeeze(x)]
        for _ in range(3):
            maps.append(self.pool(maps[-1]))
        return x + self.join(torch.cat(maps, dim=1))


class DepthHead(nn.Module):
    """Strides 32, 16 and 8 added up at one width, then one convolution transposed to stride 4."""

    def __init__(self, widths: Sequence[int], width: int = 256) -> None:
        super().__init__()
        self.project = nn.ModuleList(conv(inputs, width) for inputs in widths)
        self.refine = nn.ModuleList(nn.Sequential(conv(width, width, 3), conv(width, width, 3)) for _ in widths[1:])
        self.log_depth = nn.Sequential(
            conv(width, width // 2, 3),
            nn.ConvTranspose2d(width // 2, width // 2, 2, stride=2),
            conv(width // 2, width // 4, 3),
            nn.Conv2d(width // 4, 1, 1),
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Metres (N, 1, H / 4, W / 4) of maps at strides 32, 16, 8."""
        x, *finer = (project(m) for project, m in zip(self.project, maps, strict=True))
        for refine, fine in zip(self.refine, finer, strict=True):
            x = refine(doubled(x, "bilinear", align_corners=True) + fine)
        return self.log_depth(x).clamp(-4, 5).exp()


def doubled(x: Tensor, mode: str, align_corners: bool | None = None) -> Tensor:
    """Twice as high and wide."""
    return interpolate(x, scale_factor=2, mode=mode, align_corners=align_corners)


class Yolo26Depth(nn.Module):
    """The network; H and W are multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stride8 = nn.Sequential(
            conv(3, 16, 3, 2), conv(16, 32, 3, 2), light(32, 64), conv(64, 64, 3, 2), light(64, 128)
        )
        self.stride16 = nn.Sequential(conv(128, 128, 3, 2), heavy(128, 128))
        attention = Cross(256, 256, 128, transformer(128, heads=2), keeps=False)
        self.stride32 = nn.Sequential(conv(128, 256, 3, 2), heavy(256, 256), Pooling(256), attention)
        self.up16, self.up8 = heavy(256 + 128, 128), heavy(128 + 128, 64)
        self.from8, self.down16 = conv(64, 64, 3, 2), heavy(64 + 128, 128)
        self.from16 = conv(128, 128, 3, 2)
        both = nn.Sequential(bottleneck(128, 64), transformer(128, heads=2))
        self.down32 = Cross(128 + 256, 256, 128, both)
        self.head = DepthHead([256, 128, 64])

    def forward(self, image: Tensor) -> Tensor:
        """Depth (N, 1, H, W) in metres of (N, 3, H, W) in [0, 1]."""
        p8 = self.stride8(image)
        p16 = self.stride16(p8)
        p32 = self.stride32(p16)
        up16 = self.up16(torch.cat([doubled(p32, "nearest"), p16], dim=1))
        up8 = self.up8(torch.cat([doubled(up16, "nearest"), p8], dim=1))
        down16 = self.down16(torch.cat([self.from8(up8), up16], dim=1))
        down32 = self.down32(torch.cat([self.from16(down16), p32], dim=1))
        depth = self.head([down32, down16, up8])
        return interpolate(depth, scale_factor=4, mode="bilinear", align_corners=True)
