"""What all baselines share: they stand where a `DepthNetwork` stands, and give depth of the image's own size."""

from abc import ABC, abstractmethod

import timm
from timm.models import FeatureInfo
from torch import Tensor, nn
from torch.nn.functional import pad

from mono_depth_ros.network.decoder import upsample

# Metres that an untrained network says, about the middle of a room: a ReLU that begins at zero would learn nothing.
MIDDLE = 2.7


class Baseline(nn.Module, ABC):
    """A network of another paper, with the forward of `mono_depth_ros.network.DepthNetwork`.

    One whose encoder has ImageNet weights holds it as ``encoder``, with the timm model in ``encoder.features``, as
    `DepthNetwork` does.

    Attributes:
        multiple: of which height and width must be multiples; other images are padded by repeating their border.
        stride: by how much its depth is smaller than such an image.
    """

    error_head = None
    multiple = 1
    stride = 1

    @abstractmethod
    def predict(self, image: Tensor) -> Tensor:
        """Depth (N, 1, H / ``stride``, W / ``stride``) in metres of a normalised image (N, 3, H, W)."""

    def forward(self, image: Tensor) -> tuple[Tensor, None]:
        """Depth (N, 1, H, W), interpolated where the network's own is smaller, and no expected error."""
        height, width = image.shape[-2:]
        bottom, right = -height % self.multiple, -width % self.multiple
        if bottom or right:
            image = pad(image, (0, right, 0, bottom), mode="replicate")
        depth = self.predict(image)
        depth = upsample(depth, self.stride) if self.stride > 1 else depth
        return depth[..., :height, :width], None


class Backbone(nn.Module):
    """One feature map of a timm model, for networks that take no others.

    Args:
        name: of the model.
        index: of the map among the model's feature maps.
        options: of `timm.create_model`.
    """

    def __init__(self, name: str, index: int = -1, **options: int) -> None:
        super().__init__()
        self.features: nn.Module = timm.create_model(name, features_only=True, out_indices=(index,), **options)  # type: ignore[arg-type]
        info = self.features.feature_info
        assert isinstance(info, FeatureInfo)
        self.channels: int = info.channels()[0]

    def forward(self, image: Tensor) -> Tensor:
        """The map (N, ``channels``, h, w)."""
        return self.features(image)[0]


def begin_at(layer: nn.Module, value: float) -> None:
    """Let a layer's bias begin at ``value``."""
    assert isinstance(layer.bias, Tensor)
    nn.init.constant_(layer.bias, value)


def conv_bn_relu(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU; the size stays, but for the stride."""
    conv = nn.Conv2d(
        inputs, outputs, kernel, stride, kernel // 2 * dilation, dilation=dilation, groups=groups, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(True))


def separable(inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Depthwise convolution, then a pointwise one (Howard et al., 2017), each with normalisation and ReLU."""
    return nn.Sequential(
        conv_bn_relu(inputs, inputs, kernel, stride, inputs, dilation), conv_bn_relu(inputs, outputs, 1)
    )
