"""Eigen et al. (2014): a coarse stack that sees the whole image, and a fine one that refines its depth.

The paper's own loss is the scale-invariant one with the natural logarithm and a factor of 0.5. It trains the coarse
stack first, then the fine one behind it with the coarse one held still: ``stage`` says which.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from training.baselines.base import MIDDLE, Baseline, begin_at

STAGES = ("coarse", "fine")


def conv_relu(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int | None = None) -> nn.Sequential:
    """Convolution and ReLU; the size stays, but for the stride, unless another padding is given."""
    padding = kernel // 2 if padding is None else padding
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.ReLU(True))


def coarse_convolutions(padding: int = 0) -> nn.Sequential:
    """The five convolutions of the coarse stack, up to its last pooling: stride 16; ``padding`` is of the first."""
    return nn.Sequential(
        conv_relu(3, 96, 11, stride=4, padding=padding),
        nn.MaxPool2d(2),
        conv_relu(96, 256, 5),
        nn.MaxPool2d(2),
        conv_relu(256, 384, 3),
        conv_relu(384, 384, 3),
        conv_relu(384, 256, 3),
    )


class Fine(nn.Module):
    """The fine stack: edges of the image at a quarter of its size, and the coarse stack's ln of depth among them."""

    def __init__(self, padding: int = 0) -> None:
        super().__init__()
        self.edges = nn.Sequential(conv_relu(3, 63, 9, stride=2, padding=padding), nn.MaxPool2d(2))
        self.refine = nn.Sequential(conv_relu(64, 64, 5), conv_relu(64, 64, 5), nn.Conv2d(64, 1, 5, padding=2))

    def forward(self, image: Tensor, coarse: Tensor) -> Tensor:
        """Ln of depth (N, 1, h, w) of an image (N, 3, H, W) and a coarse map (N, 1, h, w), about a quarter as large."""
        return self.refine(torch.cat((self.edges(image), coarse), dim=1))


class Eigen(Baseline):
    """The network. Its fully connected layers take one size, so it looks at a window in the middle of the image.

    Args:
        stage: ``coarse`` trains and gives the coarse depth; ``fine`` the refined one, the coarse stack held still.
        window: (height, width) in the image, pixels: the size of the crops it is trained on. A smaller image, and what
            lies outside of the window, repeat the border.
        size: (height, width) that the window is brought to; the paper's is 228x304.
        hidden: width of the fully connected layer; the paper's is 4096.
    """

    def __init__(
        self,
        stage: str = "fine",
        window: tuple[int, int] = (448, 576),
        size: tuple[int, int] = (228, 304),
        hidden: int = 4096,
    ) -> None:
        super().__init__()
        if stage not in STAGES:
            raise ValueError(f"stage: found {stage!r}, expected one of {', '.join(STAGES)}")
        self.stage, self.window, self.size = stage, window, size
        self.convolutions = nn.Sequential(*coarse_convolutions(), nn.MaxPool2d(3, 2))
        self.fine = Fine()
        with torch.no_grad():
            example = torch.zeros(1, 3, *size)
            inputs, self.coarse_size = self.convolutions(example).numel(), self.fine.edges(example).shape[-2:]
        pixels = self.coarse_size.numel()
        self.connected = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(True), nn.Dropout(), nn.Linear(hidden, pixels)
        )
        for last in (self.connected[-1], self.fine.refine[-1]):
            begin_at(last, math.log(MIDDLE))
        frozen = (self.convolutions, self.connected) if stage == "fine" else (self.fine,)
        for stack in frozen:
            stack.requires_grad_(False)

    def train(self, mode: bool = True) -> "Eigen":
        """The coarse stack drops nothing while the fine one is trained."""
        super().train(mode)
        if self.stage == "fine":
            self.connected.eval()
        return self

    def coarse(self, image: Tensor) -> Tensor:
        """Ln of depth (N, 1, h, w) of an image (N, 3, *size)."""
        return self.connected(self.convolutions(image)).unflatten(1, (1, *self.coarse_size))

    def predict(self, image: Tensor) -> Tensor:
        """See `Baseline.predict`; enlarged here, since only the middle of the image is seen."""
        margins = [whole - part for whole, part in zip(image.shape[-2:], self.window, strict=True)]
        top, left = (margin // 2 for margin in margins)
        bottom, right = margins[0] - top, margins[1] - left
        # A negative margin of the image is a positive one of the window: `pad` takes both.
        window = pad(image, (min(-left, 0), min(-right, 0), min(-top, 0), min(-bottom, 0)))
        window = pad(window, (max(-left, 0), max(-right, 0), max(-top, 0), max(-bottom, 0)), mode="replicate")
        small = interpolate(window, self.size, mode="bilinear", align_corners=False, antialias=True)
        log_depth = self.coarse(small)
        if self.stage == "fine":
            log_depth = self.fine(small, log_depth)
        depth = interpolate(log_depth.exp(), self.window, mode="bilinear", align_corners=False)
        depth = pad(depth, (min(left, 0), min(right, 0), min(top, 0), min(bottom, 0)))
        return pad(depth, (max(left, 0), max(right, 0), max(top, 0), max(bottom, 0)), mode="replicate")
