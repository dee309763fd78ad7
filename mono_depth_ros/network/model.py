"""DepthNetwork: encoder, decoder and head, from a normalised image to depth and its expected error."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from mono_depth_ros.network.decoder import DECODERS, upsample
from mono_depth_ros.network.encoder import STRIDES, Encoder


def two_convs(inputs: int, hidden: int) -> nn.Sequential:
    """3x3 convolution, ReLU, 3x3 convolution to one channel."""
    return nn.Sequential(nn.Conv2d(inputs, hidden, 3, padding=1), nn.ReLU(True), nn.Conv2d(hidden, 1, 3, padding=1))


class ErrorHead(nn.Module):
    """Predicts the logarithm of the error's scale from what the decoder knew: the scene (stride 16), edges (stride 4).

    It takes copies of the maps without their gradient, so that training it can't cost the depth any accuracy.
    """

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        scene, _, edges, _ = channels
        self.scene = nn.Sequential(nn.Conv2d(scene, edges, 1), nn.ReLU(True))
        self.convs = two_convs(2 * edges, edges)

    def forward(self, rungs: list[Tensor]) -> Tensor:
        """Map (N, 1, H, W) from the decoder's maps at strides 16, 8, 4 and 2."""
        scene, _, edges, _ = (rung.detach() for rung in rungs)
        return upsample(self.convs(torch.cat((upsample(self.scene(scene), 4), edges), dim=1)), 4)


class DepthNetwork(nn.Module):
    """The paper's network (sections 2.1 and 2.2), with a second head for the error.

    Args:
        encoder: a timm model with five strides; the paper's is ``efficientnet_b2``.
        decoder: ``sunet`` (the paper's) or ``unet`` (its baseline).
        width: see `Decoder`.
        max_depth: metres at which the sigmoid saturates.
        error: add the head that predicts the error; see `ErrorHead`.
        pretrained: start the encoder from timm's ImageNet weights.
    """

    def __init__(
        self,
        encoder: str = "efficientnet_b2",
        decoder: str = "sunet",
        width: int | None = None,
        max_depth: float = 10.0,
        error: bool = False,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        if decoder not in DECODERS:
            raise ValueError(f"decoder: found {decoder!r}, expected one of {', '.join(DECODERS)}")
        self.encoder = Encoder(encoder, pretrained)
        self.decoder = DECODERS[decoder](self.encoder.channels, width)
        finest = self.decoder.channels[-1]
        self.depth_head = two_convs(finest, finest)
        self.error_head = ErrorHead(self.decoder.channels) if error else None
        self.max_depth = max_depth

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        """Predict.

        Args:
            image: (N, 3, H, W), normalised as the encoder's weights expect; any H and W (padded to multiples of 32
                by repeating the border, and cropped back).

        Returns:
            depth (N, 1, H, W) in metres, in (0, max_depth), of the canonical camera; and the logarithm of the
            Laplace scale of ln(depth)'s error, of the same shape, or None without the error head.
        """
        height, width = image.shape[-2:]
        stride = STRIDES[-1]
        bottom, right = -height % stride, -width % stride
        if bottom or right:
            image = pad(image, (0, right, 0, bottom), mode="replicate")
        rungs = self.decoder(self.encoder(image))
        depth = self.max_depth * self.depth_head(upsample(rungs[-1])).sigmoid()
        log_error = self.error_head(rungs)[..., :height, :width] if self.error_head else None
        return depth[..., :height, :width], log_error
