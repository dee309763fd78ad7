"""A furnished, lit room by seed: its rectangles, and one texture atlas that holds the light as well.

Room axes, metres: the origin is the middle of the floor, x and y run along the walls, z up.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from test.rooms import lighting
from test.rooms.boxes import Box
from test.rooms.layout import Layout, furnished
from test.rooms.lighting import Array, Faces, Obstacles
from test.rooms.textures import Picture, Surface

LEVELS = 4  # of the atlas: whole, half, a quarter, an eighth of its size, against moire far away

_ROOM_DENSITY, _BOX_DENSITY = 150.0, 220.0  # texels per metre
_LIGHT_DENSITY = 6.0  # points of light per metre
_MOST_TEXELS = 1200  # on a side of a box's face
_ATLAS_WIDTH = 4096
_MARGIN = 2**LEVELS  # texels repeated around each face, so that a neighbour never bleeds in
_BRIGHTNESS = 0.20  # of the average surface in the picture, linear; 1 is white
_BRIGHTEST = 1.5  # of what glows

# Normal, u and v of the six sides of a box, seen from outside with v downwards: -y (front), +y, -x, +x, +z, -z.
_SIDES = np.array([
    [(0, -1, 0), (1, 0, 0), (0, 0, -1)],
    [(0, 1, 0), (-1, 0, 0), (0, 0, -1)],
    [(-1, 0, 0), (0, -1, 0), (0, 0, -1)],
    [(1, 0, 0), (0, 1, 0), (0, 0, -1)],
    [(0, 0, 1), (1, 0, 0), (0, -1, 0)],
    [(0, 0, -1), (1, 0, 0), (0, 1, 0)],
], dtype=np.float64)  # fmt: skip
# The sides of the room are such sides seen from inside, where the normal points: in the order of lighting's owners.
_INSIDE = (0, 2, 1, 3, 4, 5)


class Room:
    """A room, always the same for a seed.

    Attributes:
        size: (x, y, height) in metres.
        boxes: everything in it.
        faces: the rectangles that can be seen.
        atlas: (height, width, 3) uint8 RGB, all textures with the light on them, LEVELS sizes below each other.
        texels: (F * LEVELS, 4) float32: first column, first row, columns, rows in the atlas, for face * LEVELS + level.
        density: (F,) float32, texels per metre at level 0.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        layout = furnished(rng)
        self.size = layout.size
        self.boxes = layout.boxes
        rectangles = list(_rectangles(layout))
        corner, u, v = (np.array([r[i] for r in rectangles], np.float32) for i in range(3))
        self.faces = Faces(corner, u, v, np.array([r[3] for r in rectangles]))
        pictures = [self._texture(rng, face, r[4]) for face, r in enumerate(rectangles)]
        self.density = np.array([p.shape[1] for p in pictures], np.float32) / self.faces.lengths[:, 0]
        self._light(rng, pictures, np.array([r[5] for r in rectangles], np.float32))
        self.atlas, self.texels = _packed(pictures)

    def _texture(self, rng: Generator, face: int, surface: Surface) -> Picture:
        density = _ROOM_DENSITY if self.faces.owner[face] < lighting.SIDES else _BOX_DENSITY
        columns, rows = np.clip(np.ceil(self.faces.lengths[face] * density), 4, _MOST_TEXELS).astype(int)
        return np.clip(surface(rng, int(rows), int(columns), density), 3, 252)

    def _light(self, rng: Generator, pictures: list[Picture], light: Array) -> None:
        """Turn the colours of the pictures into what a camera sees: gamma 2, lit, exposed for the room's average."""
        for picture in pictures:
            np.square(picture / 255, out=picture)
        albedo = np.array([p.mean(axis=(0, 1)) for p in pictures])
        points = np.clip(np.round(self.faces.lengths * _LIGHT_DENSITY), 2, 40).astype(int).tolist()
        grids = [(rows, columns) for columns, rows in points]
        glow = albedo * light[:, None]
        falls = lighting.irradiance(self.faces, grids, albedo, glow, Obstacles(self.size, self.boxes))
        seen = [a * f.mean(axis=(0, 1)) / np.pi for a, f in zip(albedo, falls, strict=True)]
        area = self.faces.lengths.prod(axis=1)
        exposure = _BRIGHTNESS * rng.uniform(0.7, 1.3) * area.sum() / (np.mean(seen, axis=1) @ area)
        white = np.mean(seen, axis=0) ** 0.6  # most of the lamps' tint is taken out, as cameras do
        gain = np.asarray(exposure * white.mean() / white, np.float32)
        for picture, fall, own in zip(pictures, falls, light, strict=True):
            glare = min(own, _BRIGHTEST / float(gain.mean()))  # a lamp is far brighter than white
            smooth = cv2.resize(fall, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            picture *= (smooth / np.float32(np.pi) + glare) * gain
            picture *= 1 / (1 + 0.15 * picture)  # highlights roll off
            np.sqrt(picture, out=picture)
            picture *= 255

    def clearance(self, height: float, reach: float, resolution: float) -> Array:
        """Metres from each point of a horizontal plane to the nearest thing at most `reach` above or below, 0 inside.

        (rows, columns) float32: row r, column c is the point x = (c + 0.5) resolution - size_x / 2, y likewise.
        """
        columns, rows = (int(s / resolution) for s in self.size[:2])
        y, x = np.mgrid[:rows, :columns].reshape(2, -1).astype(np.float32) * resolution + resolution / 2
        x, y = x - self.size[0] / 2, y - self.size[1] / 2
        free = np.zeros((rows + 2, columns + 2), np.uint8)
        inside = np.ones(rows * columns, np.uint8)
        for box in self.boxes:
            if abs(box.center[2] - height) < box.size[2] / 2 + reach:
                dx, dy = x - box.center[0], y - box.center[1]
                cosine, sine = np.cos(box.yaw), np.sin(box.yaw)
                along, across = np.abs(cosine * dx + sine * dy), np.abs(cosine * dy - sine * dx)
                inside[(along < box.size[0] / 2) & (across < box.size[1] / 2)] = 0
        free[1:-1, 1:-1] = inside.reshape(rows, columns)
        return cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1] * np.float32(resolution)


def _rectangles(layout: Layout) -> Iterator[tuple[Array, Array, Array, int, Surface, float]]:
    """Corner, u, v, owner, surface and light of each rectangle: the room's sides, then those of each box."""
    middle, size = np.array([0, 0, layout.size[2] / 2]), np.array(layout.size)
    surfaces = [*layout.walls, layout.floor, layout.ceiling]
    for owner, (side, surface) in enumerate(zip(_INSIDE, surfaces, strict=True)):
        normal, u, v = _SIDES[side]
        yield middle - (normal + u + v) * size / 2, u * size, v * size, owner, surface, 0.0
    for number, box in enumerate(layout.boxes):
        yield from _box_rectangles(box, lighting.SIDES + number)


def _box_rectangles(box: Box, owner: int) -> Iterator[tuple[Array, Array, Array, int, Surface, float]]:
    cosine, sine = np.cos(box.yaw), np.sin(box.yaw)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    size = np.array(box.size)
    for side, (normal, u, v) in enumerate(_SIDES):
        if side == 5 and box.center[2] - size[2] / 2 < 0.02:
            continue  # nobody sees what stands on the floor from below
        surface = box.front if side == 0 and box.front else box.surface
        light = box.light if side == 0 or not box.front else 0.0
        corner = np.array(box.center) + turn @ ((normal - u - v) * size / 2)
        yield corner, turn @ (u * size), turn @ (v * size), owner, surface, light


def _packed(pictures: list[Picture]) -> tuple[NDArray[np.uint8], Array]:
    """The atlas of all pictures, and where each lies in it at each level; see Room."""
    places, row, column, tall = {}, 0, 0, 0
    for face in sorted(range(len(pictures)), key=lambda f: -pictures[f].shape[0]):
        height, width = (_aligned(n) for n in pictures[face].shape[:2])
        if column + width > _ATLAS_WIDTH:
            row, column, tall = row + tall, 0, 0
        places[face] = (row, column, height, width)
        column, tall = column + width, max(tall, height)
    whole = row + tall
    # Level 0 on top, the smaller ones side by side below it.
    corners = [(0, 0)] + [(whole, _ATLAS_WIDTH - (_ATLAS_WIDTH >> level - 1)) for level in range(1, LEVELS)]
    atlas = np.zeros((whole + whole // 2, _ATLAS_WIDTH, 3), np.uint8)
    texels = np.empty((len(pictures), LEVELS, 4), np.float32)
    for face, (top, left, height, width) in places.items():
        rows, columns = pictures[face].shape[:2]
        framed = cv2.copyMakeBorder(
            np.clip(pictures[face], 0, 255).astype(np.uint8), _MARGIN, height - rows - _MARGIN, _MARGIN,
            width - columns - _MARGIN, cv2.BORDER_REPLICATE,
        )  # fmt: skip
        for level, corner in enumerate(corners):
            y, x = corner[0] + (top >> level), corner[1] + (left >> level)
            atlas[y : y + framed.shape[0], x : x + framed.shape[1]] = framed
            framed = cv2.resize(framed, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            margin = _MARGIN / 2**level - 0.5  # remap counts from the middle of a texel
            texels[face, level] = (x + margin, y + margin, columns / 2**level, rows / 2**level)
    return atlas, texels.reshape(-1, 4)


def _aligned(texels: int) -> int:
    """Size with both margins, a multiple of the smallest level's texel."""
    return (texels + 2 * _MARGIN + 2**LEVELS - 1) // 2**LEVELS * 2**LEVELS
