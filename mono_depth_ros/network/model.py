"""DepthNetwork: encoder, decoder and head, from a normalised image to depth and its expected error."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from mono_depth_ros.network.decoder import DECODERS, upsample
from mono_depth_ros.network.encoder import STRIDES, Encoder


class LastConv(nn.Conv2d):
    """A convolution in float32 whatever the rest computes in.

    In bfloat16 what follows would have 8 bits: some 200 different depths in a frame, 16 mm apart or more.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x`` (N, C, H, W) of any type; its weights are float32, see `half`."""
        return super().forward(x.float())


def half(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The network with its weights in another type, in place, but those of `LastConv`."""
    for module in network.modules():
        if not isinstance(module, LastConv):
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                tensor.data = tensor.data.to(dtype) if tensor.is_floating_point() else tensor.data
    return network


def two_convs(inputs: int, hidden: int) -> nn.Sequential:
    """3x3 convolution, ReLU, 3x3 convolution to one channel."""
    return nn.Sequential(nn.Conv2d(inputs, hidden, 3, padding=1), nn.ReLU(True), LastConv(hidden, 1, 3, padding=1))


class ErrorHead(nn.Module):
    """Predicts the logarithm of the error's scale from the decoder's coarsest map, place by place and over the image.

    Most of an image's error is its scale, which all its pixels share: the mean over the image is what tells it. Few
    training images have errors like those of new rooms, so most of the map's channels are dropped in training.

    It takes a copy of the map without its gradient, so that training it can't cost the depth any accuracy.
    """

    HIDDEN = 24
    DROPPED = 0.7

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.drop = nn.Dropout2d(self.DROPPED)
        self.here = nn.Conv2d(channels, self.HIDDEN, 1)
        self.everywhere = nn.Conv2d(channels, self.HIDDEN, 1, bias=False)
        self.convs = two_convs(self.HIDDEN, self.HIDDEN)

    def forward(self, coarsest: Tensor) -> Tensor:
        """Map (N, 1, 16 h, 16 w) from the decoder's map (N, C, h, w) at stride 16."""
        scene = self.drop(coarsest.detach())
        known = self.here(scene) + self.everywhere(scene.mean((2, 3), keepdim=True))
        return upsample(self.convs(known.relu()), 16)


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
        self.error_head = ErrorHead(self.decoder.channels[0]) if error else None
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
        log_error = self.error_head(rungs[0])[..., :height, :width] if self.error_head else None
        return depth[..., :height, :width], log_error
