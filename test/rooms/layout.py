"""Furnishes a room: its size, the surfaces of its walls, and where furniture, doors, windows and pictures go.

Room axes, metres: the origin is the middle of the floor, x and y run along the walls, z up.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.random import Generator

from test.rooms import furniture, textures
from test.rooms.boxes import Box, Piece, footprint
from test.rooms.furniture import Maker
from test.rooms.textures import Surface

# Yaw that turns a piece's back (+y) to the wall it stands at: the walls at +y, +x, -y, -x, seen in this order.
WALLS = (0.0, -np.pi / 2, np.pi, np.pi / 2)

# What stands at the walls, and what in the middle.
_KINDS: dict[str, tuple[tuple[Maker, ...], tuple[Maker, ...]]] = {
    "living room": (
        (furniture.sofa, furniture.television, furniture.bookshelf, furniture.sofa, furniture.cabinet, furniture.plant),
        (furniture.coffee_table,),
    ),
    "bedroom": (
        (furniture.bed, furniture.cabinet, furniture.cabinet, furniture.desk, furniture.plant, furniture.cartons),
        (),
    ),
    "office": (
        (furniture.desk, furniture.desk, furniture.bookshelf, furniture.cabinet, furniture.cartons, furniture.plant),
        (furniture.table,),
    ),
    "kitchen": (
        (furniture.counter, furniture.cabinet, furniture.bookshelf, furniture.plant, furniture.cartons),
        (furniture.table,),
    ),
}
# What finds a place between them anywhere.
_SMALL: tuple[Maker, ...] = (
    furniture.plant, furniture.cartons, furniture.chair, furniture.nightstand, furniture.cabinet, furniture.office_chair
)  # fmt: skip
_WALL_COLORS = ((226, 222, 212), (214, 206, 190), (196, 208, 196), (188, 200, 214), (222, 200, 178), (206, 168, 140),
                (236, 236, 234), (150, 168, 150))  # fmt: skip
_ACCENTS = ((140, 124, 110), (120, 138, 120), (110, 124, 146), (170, 104, 84), (190, 176, 150), (96, 96, 100))
_FLOORS: tuple[tuple[Callable, tuple[tuple[int, int, int], ...]], ...] = (
    (textures.planks, ((150, 106, 66), (186, 146, 100), (112, 74, 46), (205, 178, 140))),
    (textures.tiles, ((205, 200, 190), (170, 150, 130), (120, 120, 122))),
    (textures.carpet, ((150, 140, 126), (96, 104, 120), (120, 90, 80))),
)
_WHITE = partial(textures.paint, color=(232, 231, 228))


@dataclass
class Layout:
    """A furnished room: size (x, y, height) in metres, all boxes, and the surfaces of floor, ceiling and four walls."""

    size: tuple[float, float, float]
    floor: Surface
    ceiling: Surface
    walls: list[Surface]
    boxes: Piece = field(default_factory=list)
    _floor_taken: list[tuple[float, float, float, float]] = field(default_factory=list)
    _wall_taken: list[tuple[int, float, float, float, float]] = field(default_factory=list)

    def wall_length(self, wall: int) -> float:
        """Metres."""
        return self.size[wall % 2]

    def stand(self, piece: Piece, x: float, y: float, yaw: float, gap: float) -> bool:
        """Put a piece on the floor, unless something stands within `gap` of it, or a wall is in the way."""
        half_x, half_y, _ = footprint(piece)
        cosine, sine = abs(np.cos(yaw)), abs(np.sin(yaw))
        reach_x, reach_y = half_x * cosine + half_y * sine, half_x * sine + half_y * cosine
        if abs(x) + reach_x > self.size[0] / 2 or abs(y) + reach_y > self.size[1] / 2:
            return False
        area = (x - reach_x - gap, y - reach_y - gap, x + reach_x + gap, y + reach_y + gap)
        if any(
            _overlap(area[0], area[2], t[0], t[2]) and _overlap(area[1], area[3], t[1], t[3]) for t in self._floor_taken
        ):
            return False
        self._floor_taken.append((area[0] + gap, area[1] + gap, area[2] - gap, area[3] - gap))
        self.boxes += [box.moved(x, y, yaw) for box in piece]
        return True

    def at_wall(self, rng: Generator, piece: Piece, gap: float = 0.06) -> bool:
        """Try a few places at walls for a piece of furniture."""
        half_x, half_y, height = footprint(piece)
        for _ in range(30):
            wall = int(rng.integers(4))
            room = self.wall_length(wall) / 2 - half_x - 0.03
            if room <= 0:
                continue
            along, away = rng.uniform(-room, room), self.wall_length(wall + 1) / 2 - half_y - 0.02
            x, y = _at(wall, along, away)
            if self._wall_free(wall, along, half_x, 0, height) and self.stand(piece, x, y, WALLS[wall], gap):
                self._wall_taken.append((wall, along - half_x, along + half_x, 0, height))
                return True
        return False

    def hang(self, rng: Generator, piece: Piece, half: float, low: float, high: float, keep_free: float = 0) -> bool:
        """Hang a piece on a wall, where [low, high] metres of height are free; `keep_free` metres of floor before it.

        The piece's y = 0 is the wall's face.
        """
        for _ in range(20):
            wall = int(rng.integers(4))
            room = self.wall_length(wall) / 2 - half - 0.1
            if room <= 0:
                continue
            along = rng.uniform(-room, room)
            if self._wall_free(wall, along, half, low, high):
                x, y = _at(wall, along, self.wall_length(wall + 1) / 2)
                self.boxes += [box.moved(x, y, WALLS[wall]) for box in piece]
                self._wall_taken.append((wall, along - half, along + half, low, high))
                if keep_free:
                    reach = (half, keep_free) if wall % 2 == 0 else (keep_free, half)
                    self._floor_taken.append((x - reach[0], y - reach[1], x + reach[0], y + reach[1]))
                return True
        return False

    def _wall_free(self, wall: int, along: float, half: float, low: float, high: float) -> bool:
        return not any(
            wall == w and _overlap(along - half - 0.05, along + half + 0.05, a, b) and _overlap(low, high, c, d)
            for w, a, b, c, d in self._wall_taken
        )


def furnished(rng: Generator) -> Layout:
    """A room at random: living room, bedroom, office or kitchen."""
    at_walls, in_the_middle = _KINDS[str(rng.choice(list(_KINDS)))]
    size_x, size_y, height = rng.uniform((3.4, 3.2, 2.35), (6.2, 5.4, 2.9)).tolist()
    floor, floor_colors = _FLOORS[rng.choice(3, p=(0.55, 0.2, 0.25))]
    layout = Layout(
        size=(size_x, size_y, height),
        floor=partial(floor, color=textures.shade_of(rng, floor_colors)),
        ceiling=_WHITE,
        walls=_wall_surfaces(rng),
    )
    _openings(rng, layout)
    for maker in at_walls:
        layout.at_wall(rng, maker(rng))
    for maker in in_the_middle:
        piece, reach = maker(rng), np.array((size_x, size_y)) / 3
        for _ in range(40):
            x, y = rng.uniform(-reach, reach).tolist()
            if layout.stand(piece, x, y, rng.uniform(0, np.pi), gap=0.15):
                break
    for extra in rng.choice(len(_SMALL), size=4):
        layout.at_wall(rng, _SMALL[extra](rng))
    for _ in range(int(rng.integers(2, 7))):
        half, tall = rng.uniform(0.15, 0.5), rng.uniform(0.15, 0.4)
        z = rng.uniform(1.4, 1.75)
        picture = Box((0, -0.015, z), (2 * half, 0.03, 2 * tall), _WHITE, textures.picture_frame)
        layout.hang(rng, [picture], half, z - tall, z + tall)
    _trim(rng, layout)
    return layout


def _wall_surfaces(rng: Generator) -> list[Surface]:
    """All walls of one colour, sometimes one of them papered or of another."""
    walls: list[Surface] = [partial(textures.paint, color=textures.shade_of(rng, _WALL_COLORS))] * 4
    if rng.random() < 0.5:
        special = textures.wallpaper if rng.random() < 0.6 else textures.paint
        walls[rng.integers(4)] = partial(special, color=textures.shade_of(rng, _ACCENTS))
    return walls


def _openings(rng: Generator, layout: Layout) -> None:
    """One or two doors, and windows with curtains."""
    leaf = partial(
        textures.door, color=textures.shade_of(rng, (*furniture.WOODS[:5], (228, 227, 222), (228, 227, 222)))
    )
    for _ in range(int(rng.integers(1, 3))):
        half, top = 0.43, min(2.05, layout.size[2] - 0.15)
        frame = [Box((s * (half + 0.04), -0.025, top / 2), (0.08, 0.05, top), _WHITE) for s in (-1, 1)]
        frame.append(Box((0, -0.025, top + 0.04), (2 * half + 0.16, 0.05, 0.08), _WHITE))
        frame.append(Box((0, -0.015, top / 2), (2 * half, 0.03, top), leaf))
        layout.hang(rng, frame, half + 0.08, 0, top + 0.08, keep_free=1.0)
    cover = partial(textures.cloth, color=textures.shade_of(rng, furniture.CLOTHS), folds=0.16)
    daylight = rng.uniform(2.0, 9.0) if rng.random() < 0.8 else 0.3
    for _ in range(int(rng.integers(1, 3))):
        half, sill, top = rng.uniform(0.4, 1.0), rng.uniform(0.8, 1.0), rng.uniform(1.95, 2.2)
        size, view = (2 * half, 0.02, top - sill), textures.window_view
        piece = [Box((0, -0.01, (sill + top) / 2), size, _WHITE, view, light=daylight)]
        piece += [Box((0, -0.08, sill - 0.02), (2 * half + 0.1, 0.16, 0.04), _WHITE)]
        reach = half + 0.05
        if rng.random() < 0.6:
            low, wide = rng.choice((0.05, sill - 0.1)), rng.uniform(0.2, 0.35)
            reach = half + wide
            piece += [
                Box((s * (half + wide / 2), -0.08, (low + top + 0.1) / 2), (wide, 0.06, top + 0.1 - low), cover)
                for s in (-1, 1)
            ]
        layout.hang(rng, piece, reach, sill - 0.05, top + 0.1)


def _trim(rng: Generator, layout: Layout) -> None:
    """Skirting boards, and the lamp under the ceiling."""
    board = partial(textures.paint, color=textures.shade_of(rng, ((230, 229, 226), (110, 76, 50))))
    for wall, yaw in enumerate(WALLS):
        x, y = _at(wall, 0, layout.wall_length(wall + 1) / 2)
        layout.boxes.append(Box((0, -0.008, 0.04), (layout.wall_length(wall), 0.016, 0.08), board).moved(x, y, yaw))
    side, drop = rng.uniform(0.25, 0.7), rng.uniform(0.05, 0.4)
    shade = partial(textures.paint, color=(250, 240, 215))
    top = layout.size[2]
    layout.boxes.append(Box((0, 0, top - drop - 0.04), (side, side, 0.08), shade, light=float(rng.uniform(2, 8))))
    layout.boxes.append(Box((0, 0, top - drop / 2), (0.03, 0.03, drop), _WHITE))


def _at(wall: int, along: float, away: float) -> tuple[float, float]:
    """Room x, y of a point `along` a wall, `away` from the room's middle towards that wall."""
    cosine, sine = np.cos(WALLS[wall]), np.sin(WALLS[wall])
    return float(cosine * along - sine * away), float(sine * along + cosine * away)


def _overlap(a: float, b: float, c: float, d: float) -> bool:
    return a < d and c < b
