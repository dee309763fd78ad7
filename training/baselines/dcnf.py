"""Deep convolutional neural field (Liu et al., 2016): one depth a superpixel, from a continuous CRF in closed form.

A network gives each superpixel the ln of its depth by itself (unary); neighbours that look alike are drawn together
(pairwise). With superpixel pooling, the convolutions run once over the image and each superpixel takes the mean of its
part of the maps. Assumed here: VGG16's convolutions up to stride 16; SLIC's superpixels; LUV divided by 100, 8 bins a
channel for its histogram; uniform local binary patterns of 8 neighbours. Superpixels are made of an image while it is
predicted, so no graph of operations holds the whole: it is no network for the node.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import torch
from skimage.feature import local_binary_pattern
from skimage.segmentation import slic
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from training.baselines.base import MIDDLE, Backbone, Baseline, begin_at
from training.transforms import IMAGENET

BINS = 8
# Values of a uniform local binary pattern of 8 neighbours.
PATTERNS = 10


class Superpixels(NamedTuple):
    """An image in parts.

    Attributes:
        labels: (H, W) int64, the part of each pixel, from 0.
        pairs: (2, m) int64, parts that touch, each pair once.
        likeness: (m, 3) float32 in (0, 1], of colour, colour histogram and texture of each pair.
    """

    labels: Tensor
    pairs: Tensor
    likeness: Tensor


class Field(NamedTuple):
    """The CRF of one image: energy y'Ay - 2z'y in the ln of depth y of its parts; ``parts`` says where they are."""

    parts: Superpixels
    z: Tensor
    a: Tensor

    def mean(self) -> Tensor:
        """The likeliest ln of depth (n,)."""
        return torch.linalg.solve(self.a, self.z)

    def negative_log_likelihood(self, log_depth: Tensor, known: Tensor) -> Tensor:
        """Of ``log_depth`` (n,) where ``known`` (n,) holds; the others are integrated out. Per part."""
        covariance = torch.linalg.inv(2 * self.a)[known][:, known]
        return -MultivariateNormal(self.mean()[known], covariance).log_prob(log_depth[known]) / known.sum()


class DCNF(Baseline):
    """The network.

    Args:
        encoder: a timm model, whose last map but one is taken; the paper's is of VGG16's kind.
        segments: superpixels of an image, about.
        own_loss: train by the paper's loss, the negative log-likelihood of the field, in place of the configuration's.
    """

    multiple = 32

    def __init__(self, encoder: str = "vgg16", segments: int = 700, own_loss: bool = False) -> None:
        super().__init__()
        self.segments, self.own_loss = segments, own_loss
        self.encoder = Backbone(encoder, -2)
        self.unary = nn.Sequential(
            nn.Linear(self.encoder.channels, 128), nn.ReLU(True), nn.Linear(128, 16), nn.Sigmoid(), nn.Linear(16, 1)
        )
        begin_at(self.unary[-1], math.log(MIDDLE))
        self.pairwise = nn.Parameter(torch.ones(3))

    @property
    def training_loss(self) -> Callable[[Tensor, Tensor, Tensor], Tensor] | None:
        """The paper's loss of image, truth and mask, where it was asked for."""
        return self.likelihood_loss if self.own_loss else None

    def predict(self, image: Tensor) -> Tensor:
        """See `Baseline.predict`; of the image's size, constant within a superpixel."""
        return torch.stack([field.mean().exp()[field.parts.labels][None] for field in self.fields(image)])

    def likelihood_loss(self, image: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """Mean negative log-likelihood over the images that have any truth; see `Baseline.forward` for the shapes."""
        losses = [0 * self.pairwise.sum()]
        for field, depth, valid in zip(self.fields(image), truth[:, 0], mask[:, 0], strict=True):
            labels, n = field.parts.labels, len(field.z)
            pixels = torch.bincount(labels[valid], minlength=n)
            log_depth = torch.bincount(labels[valid], depth[valid].log(), minlength=n) / pixels.clamp(min=1)
            if valid.any():
                losses.append(field.negative_log_likelihood(log_depth.float(), pixels > 0))
        return torch.stack(losses).sum() / max(len(losses) - 1, 1)

    def fields(self, image: Tensor) -> list[Field]:
        """The CRF of each image (N, 3, H, W)."""
        deviation, mean = (image.new_tensor(values).view(3, 1, 1) for values in IMAGENET[::-1])
        found = []
        for maps, picture in zip(self.encoder(image).float(), image, strict=True):
            rgb = (picture.float() * deviation + mean).clamp(0, 1).permute(1, 2, 0)
            parts = Superpixels(*(part.to(image.device) for part in superpixels(rgb.cpu().numpy(), self.segments)))
            z = self.unary(pool(maps, parts.labels))[:, 0]
            found.append(Field(parts, z, couplings(parts, self.pairwise.clamp(min=0), len(z))))
        return found


def couplings(parts: Superpixels, weights: Tensor, n: int) -> Tensor:
    """The matrix A = I + D - R (n, n) of the paper, R from the likeness of neighbours and its ``weights`` (3,)."""
    (p, q), strength = parts.pairs, parts.likeness @ weights
    r = strength.new_zeros(n, n).index_put((torch.cat((p, q)), torch.cat((q, p))), strength.repeat(2))
    return torch.eye(n, device=r.device) + torch.diag(r.sum(1)) - r


def pool(maps: Tensor, labels: Tensor) -> Tensor:
    """Mean of maps (C, h, w) over each part (n, C), the maps brought to the labels' size (H, W) by their nearest."""
    (height, width), (h, w) = labels.shape, maps.shape[1:]
    rows = torch.arange(height, device=labels.device) * h // height
    columns = torch.arange(width, device=labels.device) * w // width
    cells = rows[:, None] * w + columns
    n = int(labels.max()) + 1
    pixels = torch.bincount((labels * (h * w) + cells).flatten(), minlength=n * h * w).view(n, h * w).float()
    return pixels @ maps.flatten(1).T / pixels.sum(1, keepdim=True)


def superpixels(rgb: np.ndarray, segments: int) -> Superpixels:
    """Parts of RGB (H, W, 3) float32 in [0, 1]."""
    labels = np.unique(slic(rgb, segments, start_label=0), return_inverse=True)[1].reshape(rgb.shape[:2])
    luv = cv2.cvtColor(rgb, cv2.COLOR_RGB2LUV) / 100
    grey = (255 * cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)).astype(np.uint8)
    patterns = local_binary_pattern(grey, 8, 1, "uniform")
    colours = np.clip((luv + (0, 1, 1)) / (1, 2, 2) * BINS, 0, BINS - 1).astype(int)
    looks = (
        np.hstack([shares(labels, np.zeros_like(labels), 1, channel) for channel in np.moveaxis(luv, -1, 0)]),
        np.hstack([shares(labels, channel, BINS) for channel in np.moveaxis(colours, -1, 0)]),
        shares(labels, patterns.astype(int), PATTERNS),
    )
    touching = [np.stack((labels[:, 1:], labels[:, :-1])), np.stack((labels[1:], labels[:-1]))]
    sides = np.sort(np.hstack([pair.reshape(2, -1) for pair in touching]), axis=0)
    p, q = pairs = np.unique(sides[:, sides[0] != sides[1]], axis=1)
    likeness = np.stack([np.exp(-np.linalg.norm(look[p] - look[q], axis=1)) for look in looks], axis=1)
    return Superpixels(torch.from_numpy(labels), torch.from_numpy(pairs), torch.from_numpy(likeness).float())


def shares(labels: np.ndarray, values: np.ndarray, bins: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Of each part (n, bins): the share of its pixels in each bin, or the mean of their weights that falls there."""
    n = labels.max() + 1
    places = (labels * bins + values).ravel()
    counts = np.bincount(places, None if weights is None else weights.ravel(), n * bins).reshape(n, bins)
    return counts / np.bincount(labels.ravel())[:, None]
