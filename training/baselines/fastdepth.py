"""FastDepth (Wofk et al., 2019): MobileNet encoder, NNConv5 decoder of depthwise convolutions, skips by addition.

The paper's own loss is L1.
"""

from torch import Tensor, nn
from torch.nn.functional import interpolate

from mono_depth_ros.network import Encoder
from training.baselines.base import MIDDLE, Baseline, begin_at, conv_bn_relu, separable

DECODER = (512, 256, 128, 64, 32)


class FastDepth(Baseline):
    """The network before pruning.

    Args:
        encoder: a timm model; the paper's MobileNet is ``mobilenetv1_100``. Skips need maps of 256, 128 and 64
            channels at strides 8, 4 and 2.
    """

    multiple = 32

    def __init__(self, encoder: str = "mobilenetv1_100") -> None:
        super().__init__()
        self.encoder = Encoder(encoder)
        widths = (self.encoder.channels[-1], *DECODER)
        self.decoder = nn.ModuleList(separable(a, b, 5) for a, b in zip(widths, DECODER, strict=False))
        self.head = conv_bn_relu(DECODER[-1], 1, 1)
        begin_at(self.head[1], MIDDLE)

    def predict(self, image: Tensor) -> Tensor:
        """See `Baseline.predict`."""
        *skips, _, x = self.encoder(image)
        for rung, layer in enumerate(self.decoder):
            x = interpolate(layer(x), scale_factor=2.0, mode="nearest")
            if 1 <= rung <= len(skips):
                x = x + skips[-rung]
        return self.head(x)
