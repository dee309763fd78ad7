"""Losses on depth maps: SILog, the perceptual loss, multi-scale gradients, edges, L1, berHu, the error's likelihood.

Every loss takes depth (N, 1, H, W) in metres and a boolean mask of the same shape, is computed in float32 whatever the
precision around it, and is zero with a finite gradient when no pixel is valid.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torchvision.models import resnet50

from training.pretrained import fetch_resnet50, load_pretrained, read_weights

SMALLEST_DEPTH = 1e-3


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` where ``mask`` holds; zero where it holds nowhere."""
    return torch.where(mask, values, 0).sum() / mask.sum().clamp(min=1)


def log_difference(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """ln(prediction) - ln(truth) where valid, else zero; no gradient flows from invalid pixels."""
    safe_prediction = torch.where(mask, prediction.float(), 1).clamp(min=SMALLEST_DEPTH)
    safe_truth = torch.where(mask, truth.float(), 1).clamp(min=SMALLEST_DEPTH)
    return safe_prediction.log() - safe_truth.log()


class SILogLoss(nn.Module):
    """Scale-invariant logarithmic loss (paper, equation 5): mean(d^2) - variance_focus * mean(d)^2.

    Args:
        variance_focus: the paper's lambda, 0.5; BTS and AdaBins use 0.85.
        base: of the logarithm; the paper's is 10.
        root: take the square root times 10, as BTS does.
        per_image: the mean over images of each one's loss, in place of one over all pixels of the batch: with a
            ``variance_focus`` of 1 it sees the scale of no image.
    """

    def __init__(
        self, variance_focus: float = 0.5, base: float = 10.0, root: bool = False, per_image: bool = False
    ) -> None:
        super().__init__()
        self.variance_focus, self.base, self.root, self.per_image = variance_focus, base, root, per_image

    def forward(self, prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """Scalar loss over all valid pixels."""
        if self.per_image and len(truth) > 1:
            return torch.stack([self(*image) for image in zip(prediction, truth, mask, strict=True)]).mean()
        d = log_difference(prediction, truth, mask) / math.log(self.base)
        loss = masked_mean(d**2, mask) - self.variance_focus * masked_mean(d, mask) ** 2
        # The epsilon keeps the root's gradient finite where the prediction is exact or nothing is valid.
        return 10 * ((loss + 1e-6).sqrt() - 1e-3) if self.root else loss


class GradientLoss(nn.Module):
    """Mean absolute gradient of ln(prediction) - ln(truth), averaged over ``scales`` halvings: sharp, aligned edges."""

    def __init__(self, scales: int = 4) -> None:
        super().__init__()
        self.scales = scales

    def forward(self, prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """Scalar loss; a difference counts where both its pixels are valid."""
        d = log_difference(prediction, truth, mask)
        total = d.new_zeros(())
        for scale in range(self.scales):
            step = 2**scale
            part, valid = d[..., ::step, ::step], mask[..., ::step, ::step]
            for axis in (-2, -1):
                pairs = valid.narrow(axis, 1, valid.shape[axis] - 1) & valid.narrow(axis, 0, valid.shape[axis] - 1)
                total = total + masked_mean(part.diff(dim=axis).abs(), pairs)
        return total / self.scales


class EdgeLoss(nn.Module):
    """Mean absolute error, in ln, of the step of depth across true edges, where the gradient of all pixels says little.

    An edge lies between two pixels of a row or column, 1, 2 or 4 apart, whose true depths differ by over 15 %. Where
    an edge is uncertain by a pixel, the wider pairs still ask for the whole step.
    """

    APART = (1, 2, 4)
    EDGE = math.log(1.15)

    def forward(self, prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """Scalar loss; zero where the truth has no edge."""
        log_truth = torch.where(mask, truth.float(), 1).log()
        maps = log_difference(prediction, truth, mask), log_truth, mask
        terms = []
        for wrong, step, valid in (maps, [values.mT for values in maps]):
            for n in self.APART:
                edges = valid[..., n:] & valid[..., :-n] & ((step[..., n:] - step[..., :-n]).abs() > self.EDGE)
                terms.append(masked_mean((wrong[..., n:] - wrong[..., :-n]).abs(), edges))
        return torch.stack(terms).mean()


class L1Loss(nn.Module):
    """Mean absolute error in metres."""

    def forward(self, prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """Scalar loss over all valid pixels."""
        return masked_mean((prediction.float() - truth.float()).abs(), mask)


class BerHuLoss(nn.Module):
    """Reverse Huber (Laina et al., 2016, equation 1): |e| up to c, (e^2 + c^2) / 2c beyond; c is a fifth of max |e|."""

    def forward(self, prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """Scalar loss over all valid pixels, in metres."""
        error = torch.where(mask, prediction.float() - truth.float(), 0).abs()
        c = (0.2 * error.detach().amax()).clamp(min=1e-6)
        return masked_mean(torch.where(error <= c, error, (error.square() + c**2) / (2 * c)), mask)


def laplace_nll(log_error: Tensor, prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Negative log-likelihood of ln(truth) under Laplace(ln(prediction), exp(log_error)), less its constant ln 2.

    The prediction is detached: the error head learns how wrong the depth is, and cannot buy likelihood with depth.
    """
    distance = log_difference(prediction.detach(), truth, mask).abs()
    log_error = log_error.float()
    return masked_mean(distance * (-log_error).exp() + log_error, mask)


@dataclass
class LossWeights:
    """What each term counts; a term of weight 0 is not computed."""

    silog: float = 1.0
    perceptual: float = 0.5
    gradient: float = 0.0
    edge: float = 0.0
    l1: float = 0.0
    berhu: float = 0.0
    error: float = 0.0


class DepthLoss(nn.Module):
    """The weighted sum of the terms; the defaults are the paper's loss (equation 4).

    Args:
        weights: of each term.
        variance_focus, base, root, per_image: see `SILogLoss`.
        loss_network, loss_network_weights: see `PerceptualLoss`.
        max_depth: metres that become 1 in the perceptual loss.
    """

    def __init__(
        self,
        weights: LossWeights | None = None,
        variance_focus: float = 0.5,
        base: float = 10.0,
        root: bool = False,
        per_image: bool = False,
        loss_network: str = "resnet50",
        loss_network_weights: str | None = None,
        max_depth: float = 10.0,
    ) -> None:
        super().__init__()
        self.weights = weights or LossWeights()
        makers: dict[str, Callable[[], nn.Module]] = {
            "silog": lambda: SILogLoss(variance_focus, base, root, per_image),
            "perceptual": lambda: PerceptualLoss(loss_network, loss_network_weights, max_depth),
            "gradient": GradientLoss,
            "edge": EdgeLoss,
            "l1": L1Loss,
            "berhu": BerHuLoss,
        }
        self.terms = nn.ModuleDict({name: make() for name, make in makers.items() if getattr(self.weights, name)})

    def forward(self, depth: Tensor, log_error: Tensor | None, truth: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Each term by name, unweighted, and their weighted sum as ``loss``."""
        values = {name: term(depth, truth, mask) for name, term in self.terms.items()}
        if self.weights.error and log_error is not None:
            values["error"] = laplace_nll(log_error, depth, truth, mask)
        values["loss"] = torch.stack([getattr(self.weights, name) * value for name, value in values.items()]).sum()
        return values


class PerceptualLoss(nn.Module):
    """The loss network (paper, equation 6 and table 1): distance between features of prediction and truth.

    phi is a frozen ResNet50 pretrained on ImageNet, compared after its stem, ``layer1`` and ``layer2``; each term is
    the mean squared difference of one map. Depth / max_depth, invalid pixels set to 0 in both, is repeated to three
    channels.

    Args:
        network: ``resnet50`` (the paper's), or any timm model to stand in for it, compared at its first three maps.
        weights: None fetches ImageNet weights from torchvision's or timm's hub; ``random`` takes none, where only the
            time counts; else see `training.pretrained.locate`.
        max_depth: metres that become 1.

    Raises:
        FileNotFoundError: no weights there, with the file to fetch and where to put it.
    """

    def __init__(self, network: str = "resnet50", weights: str | None = None, max_depth: float = 10.0) -> None:
        super().__init__()
        self.phi = ResNet50Maps(weights) if network == "resnet50" else encoder_maps(network, weights)
        self.max_depth = max_depth
        self.requires_grad_(False).eval()
        # Frozen and kept elsewhere, so no part of a checkpoint: a test needs no loss network.
        self.register_state_dict_post_hook(leave_out)
        self.register_load_state_dict_pre_hook(take_own)

    def train(self, mode: bool = True) -> "PerceptualLoss":
        """Stay in evaluation mode: a loss must not move its own batch statistics."""
        return super().train(False)

    def maps(self, depth: Tensor, mask: Tensor) -> Sequence[Tensor]:
        """The compared maps of one depth map."""
        image = torch.where(mask, depth.float(), 0).div(self.max_depth).expand(-1, 3, -1, -1)
        return self.phi(image)

    def forward(self, prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
        """Scalar loss."""
        with torch.autocast(prediction.device.type, enabled=False):
            with torch.no_grad():
                wanted = self.maps(truth, mask)
            found = self.maps(prediction, mask)
            return torch.stack([(a - b).square().mean() for a, b in zip(found, wanted, strict=True)]).mean()


def leave_out(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """Take a module's tensors out of the state of the whole."""
    for key in [key for key in state if key.startswith(prefix)]:
        del state[key]


def take_own(module: nn.Module, state: dict[str, Any], prefix: str, *unused: Any) -> None:
    """Give a module its own tensors back as the state to load."""
    own = [*module.named_parameters(), *module.named_buffers()]
    state.update({prefix + name: tensor for name, tensor in own})


class ResNet50Maps(nn.Module):
    """ResNet50 after its stem (with max-pool), layer1 and layer2 (paper, table 1)."""

    def __init__(self, weights: str | None) -> None:
        super().__init__()
        network = resnet50()
        if weights != "random":
            network.load_state_dict(read_weights(weights) if weights else fetch_resnet50())
        stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.stages = nn.ModuleList([stem, network.layer1, network.layer2])

    def forward(self, image: Tensor) -> list[Tensor]:
        """Maps at strides 4, 4 and 8 of ``image`` (N, 3, H, W)."""
        maps = []
        for stage in self.stages:
            image = stage(image)
            maps.append(image)
        return maps


def encoder_maps(name: str, weights: str | None) -> nn.Module:
    """The first three maps of a timm encoder."""
    encoder = timm.create_model(name, features_only=True, out_indices=(0, 1, 2))
    if weights != "random":
        load_pretrained(encoder, name, weights)
    return encoder
