"""Other depth networks that the benchmark runs beside ours: built here after their papers, with random weights.

The weights do not matter for the time that a network takes. Only the files of the networks import PyTorch.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Peer:
    """One of them.

    Attributes:
        name: as its authors call it.
        source: where it was published.
        size: (height, width) of its input there.
        file, maker: the file here, and what makes the network in it.
    """

    name: str
    source: str
    size: tuple[int, int]
    file: str
    maker: str

    def build(self) -> Any:
        """The module; it maps a normalised (1, 3, H, W) to depth (1, 1, h, w). Raises ModuleNotFoundError."""
        return getattr(import_module(f"{__name__}.{self.file}"), self.maker)()


FAST_DEPTH = Peer("FastDepth", "Wofk et al. 2019, not pruned", (224, 224), "fastdepth", "FastDepth")
FCRN = Peer("FCRN ResNet50", "Laina et al. 2016", (228, 304), "fcrn", "FCRN")
DEPTH_ANYTHING = Peer(
    "Depth Anything V2 Small", "Yang et al. 2024", (518, 686), "depth_anything", "depth_anything_v2_small"
)
METER = Peer("METER-XXS", "Papa et al. 2023, as released", (192, 256), "meter", "Meter")

PEERS = (FAST_DEPTH, FCRN, DEPTH_ANYTHING, METER)
