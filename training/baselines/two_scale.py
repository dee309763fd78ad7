"""A two-scale network with a perceptual loss, after Zhang et al. (2022).

Known of it: two scales as Eigen et al. (2014) have them, a coarse network for the whole and a fine one for details, and
a perceptual loss beside a loss on depth. Assumed here: the coarse stack is Eigen's five convolutions, which two
convolutions with upsampling and a skip bring to a quarter of the image in place of fully connected layers, so that any
size will do; the fine stack is Eigen's; both are trained together; the loss on depth is L1, the perceptual one ours.
"""

import math

import torch
from torch import Tensor, nn

from mono_depth_ros.network.decoder import upsample
from training.baselines.base import MIDDLE, Baseline, begin_at
from training.baselines.eigen import Fine, coarse_convolutions, conv_relu


class TwoScale(Baseline):
    """The network."""

    multiple, stride = 32, 4

    def __init__(self) -> None:
        super().__init__()
        layers = coarse_convolutions(padding=5)
        self.near, self.far = layers[:2], layers[2:]
        self.wide = conv_relu(256, 128, 3)
        self.merge = nn.Sequential(conv_relu(128 + 96, 64, 3), nn.Conv2d(64, 1, 3, padding=1))
        self.fine = Fine(padding=4)
        for last in (self.merge[-1], self.fine.refine[-1]):
            begin_at(last, math.log(MIDDLE))

    def predict(self, image: Tensor) -> Tensor:
        """See `Baseline.predict`."""
        near = self.near(image)
        coarse = self.merge(torch.cat((upsample(self.wide(self.far(near))), near), dim=1))
        return self.fine(image, upsample(coarse)).exp()
