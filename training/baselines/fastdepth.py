"""FastDepth (Wofk et al., 2019): MobileNet encoder, NNConv5 decoder of depthwise convolutions, skips by addition."""

from torch import Tensor, nn
from torch.nn.functional import interpolate

# MobileNet (Howard et al., 2017): output channels and stride of its separable convolutions.
MOBILENET = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
# The last map of 256, 128 and 64 channels; each is added to the decoder's map of its size.
SKIPS = (4, 2, 0)
DECODER = (512, 256, 128, 64, 32)


def conv_bn_relu(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(True))


def separable(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Depthwise convolution, then a pointwise one."""
    return nn.Sequential(conv_bn_relu(inputs, inputs, kernel, stride, inputs), conv_bn_relu(inputs, outputs, 1))


class FastDepth(nn.Module):
    """The network before pruning; depth has the size of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn_relu(3, 32, 3, stride=2)
        widths = [32, *(channels for channels, _ in MOBILENET)]
        self.encoder = nn.ModuleList(
            separable(inputs, outputs, 3, stride) for inputs, (outputs, stride) in zip(widths, MOBILENET, strict=False)
        )
        self.decoder = nn.ModuleList(
            separable(inputs, outputs, 5) for inputs, outputs in zip((1024, *DECODER), DECODER, strict=False)
        )
        self.head = conv_bn_relu(DECODER[-1], 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Depth (N, 1, H, W) of a normalised image (N, 3, H, W); H and W are multiples of 32."""
        x = self.stem(image)
        maps = []
        for layer in self.encoder:
            x = layer(x)
            maps.append(x)
        skips = {1: maps[SKIPS[0]], 2: maps[SKIPS[1]], 3: maps[SKIPS[2]]}
        for rung, layer in enumerate(self.decoder):
            x = interpolate(layer(x), scale_factor=2.0, mode="nearest")
            if rung in skips:
                x = x + skips[rung]
        return self.head(x)
