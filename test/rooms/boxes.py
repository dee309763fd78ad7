"""The block that everything in a virtual room is made of."""

from dataclasses import dataclass, replace

import numpy as np

from test.rooms.textures import Surface


@dataclass(frozen=True)
class Box:
    """A block: centre and size (x, y, z) in metres, turned by yaw (radians, about z).

    front, if given, is the surface of the side towards -y. light is the radiance of a lamp, times its surface's colour;
    with a front, that side alone shines.
    """

    center: tuple[float, float, float]
    size: tuple[float, float, float]
    surface: Surface
    front: Surface | None = None
    yaw: float = 0.0
    light: float = 0.0

    def moved(self, x: float, y: float, yaw: float) -> "Box":
        """The same box after its piece of furniture was turned by yaw and then put at (x, y)."""
        cosine, sine = np.cos(yaw), np.sin(yaw)
        cx, cy, cz = self.center
        center = (float(x + cosine * cx - sine * cy), float(y + sine * cx + cosine * cy), cz)
        return replace(self, center=center, yaw=self.yaw + yaw)


Piece = list[Box]


def footprint(piece: Piece) -> tuple[float, float, float]:
    """Half width, half depth, and height of a piece, in metres, as if none of its boxes were turned."""
    reach = [
        (abs(b.center[0]) + b.size[0] / 2, abs(b.center[1]) + b.size[1] / 2, b.center[2] + b.size[2] / 2) for b in piece
    ]
    half_width, half_depth, height = np.max(reach, axis=0)
    return float(half_width), float(half_depth), float(height)
