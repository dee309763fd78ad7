"""Encoder: the five feature maps of any timm image classifier."""

import timm
from timm.layers import Conv2dSame
from timm.models import FeatureInfo
from torch import Tensor, nn

STRIDES = [2, 4, 8, 16, 32]


class Encoder(nn.Module):
    """A timm model without its classifier.

    Args:
        name: a timm model with feature maps at strides 2, 4, 8, 16 and 32, such as ``efficientnet_b2``.
        pretrained: fetch its ImageNet weights through timm.

    Raises:
        ValueError: the model is unknown to timm, or has other strides.
    """

    def __init__(self, name: str = "efficientnet_b2", pretrained: bool = False) -> None:
        super().__init__()
        if not timm.is_model(name):
            close = ", ".join(timm.list_models(f"*{name[:12]}*")[:5]) or "see timm.list_models()"
            raise ValueError(f"encoder: timm has no model {name!r}; close names: {close}")
        self.features = timm.create_model(name, pretrained=pretrained, features_only=True)
        info = self.features.feature_info
        assert isinstance(info, FeatureInfo)
        strides = info.reduction()
        if strides != STRIDES:
            raise ValueError(f"encoder: {name} has feature maps at strides {strides}, expected {STRIDES}")
        self.channels: list[int] = info.channels()
        fix_same_padding(self.features)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Features at strides 2, 4, 8, 16 and 32 of ``image`` (N, 3, H, W), H and W multiples of 32."""
        return self.features(image)


def fix_same_padding(model: nn.Module) -> None:
    """Replace TensorFlow's size-dependent "same" padding by the constant it is when every input size is even.

    A constant pad exports to ONNX as a constant and lets a backend fold it into the convolution.
    """
    for parent in model.modules():
        for name, conv in parent.named_children():
            if isinstance(conv, Conv2dSame):
                plain = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride,  # type: ignore[arg-type]
                                  groups=conv.groups, bias=conv.bias is not None)  # fmt: skip
                plain.weight, plain.bias = conv.weight, conv.bias
                total = conv.kernel_size[0] - conv.stride[0]
                before, after = total // 2, total - total // 2
                setattr(parent, name, nn.Sequential(nn.ZeroPad2d((before, after, before, after)), plain))
