"""FCRN (Laina et al., 2016): ResNet50, then four up-projections. The paper's own loss is berHu."""

from torch import Tensor, nn

from training.baselines.base import MIDDLE, Backbone, Baseline, begin_at


def up_convolution(inputs: int, outputs: int) -> nn.Sequential:
    """Unpooling (each value becomes a 2x2 block whose other three are zero), 5x5 convolution, batch normalisation.

    The two together are one transposed convolution, which skips the zeros, as the authors' own fast form does.
    """
    conv = nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class UpProjection(nn.Module):
    """Twice the size, half the channels: a residual block whose two branches both begin with an up-convolution."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        outputs = inputs // 2
        self.branch = nn.Sequential(
            up_convolution(inputs, outputs),
            nn.ReLU(True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.projection = up_convolution(inputs, outputs)
        self.relu = nn.ReLU(True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C / 2, 2 H, 2 W)."""
        return self.relu(self.branch(x) + self.projection(x))


class FCRN(Baseline):
    """The network; 228x304 give 128x160.

    Args:
        encoder: a timm model; the paper's is ``resnet50``.
    """

    multiple, stride = 32, 2

    def __init__(self, encoder: str = "resnet50") -> None:
        super().__init__()
        self.encoder = Backbone(encoder)
        width = self.encoder.channels // 2
        self.bridge = nn.Sequential(nn.Conv2d(2 * width, width, 1, bias=False), nn.BatchNorm2d(width))
        self.decoder = nn.Sequential(*(UpProjection(width >> rung) for rung in range(4)))
        self.head = nn.Sequential(nn.Conv2d(width // 16, 1, 3, padding=1), nn.ReLU(True))
        begin_at(self.head[0], MIDDLE)

    def predict(self, image: Tensor) -> Tensor:
        """See `Baseline.predict`; any height and width will do, of which it gives about half."""
        return self.head(self.decoder(self.bridge(self.encoder(image))))
