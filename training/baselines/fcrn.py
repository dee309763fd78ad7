"""FCRN (Laina et al., 2016): ResNet50, then four up-projections; the network of the paper's table of other methods."""

from torch import Tensor, nn
from torchvision.models import resnet50


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


class FCRN(nn.Module):
    """The network; 228x304 give 128x160, and from there on it is interpolated."""

    def __init__(self) -> None:
        super().__init__()
        resnet = resnet50(weights=None)
        self.encoder = nn.Sequential(*list(resnet.children())[:-2])  # without pooling and classifier
        self.bridge = nn.Sequential(nn.Conv2d(2048, 1024, 1, bias=False), nn.BatchNorm2d(1024))
        self.decoder = nn.Sequential(*(UpProjection(channels) for channels in (1024, 512, 256, 128)))
        self.head = nn.Sequential(nn.Conv2d(64, 1, 3, padding=1), nn.ReLU(True))

    def forward(self, image: Tensor) -> Tensor:
        """Depth (N, 1, h, w), h and w about half of H and W, of a normalised image (N, 3, H, W)."""
        return self.head(self.decoder(self.bridge(self.encoder(image))))
