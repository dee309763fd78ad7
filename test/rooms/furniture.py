"""Furniture out of boxes: sofas, shelves, desks, beds, each random in size, colour and what lies on it.

Each function (rng) -> Piece builds in its own axes, metres: x along its width, y from the front (negative) to the back,
z up from the floor; the middle of the footprint is the origin.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.random import Generator

from test.rooms import textures
from test.rooms.boxes import Box, Piece
from test.rooms.textures import Surface

WOODS = ((96, 60, 34), (140, 98, 60), (176, 136, 92), (205, 172, 128), (70, 44, 30), (226, 222, 214), (58, 56, 56))
CLOTHS = ((92, 96, 104), (70, 86, 120), (130, 52, 46), (74, 92, 66), (170, 150, 122), (200, 190, 176), (52, 52, 58))
PLASTICS = ((30, 30, 32), (200, 200, 198), (150, 30, 28), (35, 70, 130), (60, 110, 80), (210, 160, 50))

Maker = Callable[[Generator], Piece]


def _wood(rng: Generator) -> Surface:
    return partial(textures.wood, color=textures.shade_of(rng, WOODS))


def _cloth(rng: Generator) -> Surface:
    return partial(textures.cloth, color=textures.shade_of(rng, CLOTHS))


def _plastic(rng: Generator) -> Surface:
    return _paint(rng, *PLASTICS)


def _paint(rng: Generator, *palette: textures.Color) -> Surface:
    return partial(textures.paint, color=textures.shade_of(rng, palette))


def _legs(half_x: float, half_y: float, height: float, thick: float, surface: Surface) -> Piece:
    return [
        Box((x * (half_x - thick / 2), y * (half_y - thick / 2), height / 2), (thick, thick, height), surface)
        for x in (-1, 1)
        for y in (-1, 1)
    ]


def clutter(rng: Generator, half_x: float, half_y: float, top: float, count: int) -> Piece:
    """Books, cups and boxes that stand on a surface."""
    things = []
    for _ in range(count):
        size = rng.uniform((0.05, 0.05, 0.02), (0.26, 0.2, 0.22))
        x, y = rng.uniform(-half_x + 0.14, half_x - 0.14), rng.uniform(-half_y + 0.1, half_y - 0.1)
        center = (float(x), float(y), float(top + size[2] / 2))
        surface = textures.picture_frame if rng.random() < 0.15 else _plastic(rng)
        things.append(Box(center, tuple(size.tolist()), surface, yaw=float(rng.uniform(-1, 1))))
    return things


def table(rng: Generator) -> Piece:
    """Dining table with chairs around it."""
    x, y, top, surface = rng.uniform(0.6, 0.95), rng.uniform(0.38, 0.5), rng.uniform(0.71, 0.76), _wood(rng)
    piece = [Box((0, 0, top - 0.02), (2 * x, 2 * y, 0.04), surface)]
    piece += _legs(x - 0.04, y - 0.04, top - 0.04, 0.06, surface)
    seat = chair(rng)
    for side, turned in ((-1, np.pi), (1, 0.0)):
        for along in (-x / 2, x / 2) if x > 0.75 else (0.0,):
            away = side * (y + rng.uniform(0.05, 0.3))
            piece += [box.moved(along, away, turned + rng.uniform(-0.25, 0.25)) for box in seat]
    return piece + clutter(rng, x, y, top, int(rng.integers(1, 5)))


def chair(rng: Generator) -> Piece:
    """Four legs, a seat, a back."""
    surface, cover, seat = _wood(rng), _cloth(rng) if rng.random() < 0.5 else _wood(rng), rng.uniform(0.43, 0.48)
    return [
        Box((0, 0, seat), (0.42, 0.42, 0.05), cover),
        Box((0, 0.19, seat + 0.35), (0.4, 0.03, rng.uniform(0.18, 0.3)), cover),
        *_legs(0.2, 0.2, seat, 0.035, surface),
        *(Box((x, 0.19, seat + 0.24), (0.035, 0.03, 0.46), surface) for x in (-0.18, 0.18)),
    ]


def coffee_table(rng: Generator) -> Piece:
    """Low table on a rug."""
    x, y, top, surface = rng.uniform(0.4, 0.65), rng.uniform(0.25, 0.4), rng.uniform(0.35, 0.48), _wood(rng)
    carpet = partial(textures.rug, color=textures.shade_of(rng, CLOTHS))
    return [
        Box((0, 0, 0.006), (2 * x + rng.uniform(0.6, 1.2), 2 * y + rng.uniform(0.5, 1.0), 0.012), carpet),
        Box((0, 0, top - 0.02), (2 * x, 2 * y, 0.04), surface),
        *_legs(x - 0.03, y - 0.03, top - 0.04, 0.05, surface),
        *clutter(rng, x, y, top, int(rng.integers(1, 4))),
    ]


def sofa(rng: Generator) -> Piece:
    """Base, back, arms and cushions."""
    seats, cover = int(rng.integers(1, 4)), _cloth(rng)
    half, seat, arm = 0.33 * seats, rng.uniform(0.38, 0.45), rng.uniform(0.12, 0.22)
    back, height = 0.28, rng.uniform(0.72, 0.9)
    piece = [
        Box((0, -0.02, 0.15), (2 * half, 0.8, 0.26), cover),
        Box((0, back + 0.05, height / 2), (2 * half, 0.2, height), cover),
        *(Box((s * (half + arm / 2), -0.02, 0.3), (arm, 0.86, 0.6), cover) for s in (-1, 1)),
        *(Box((0.66 * (i + 0.5) - half, -0.08, seat - 0.06), (0.64, 0.66, 0.16), cover) for i in range(seats)),
    ]
    for _ in range(int(rng.integers(0, 3))):
        x = rng.uniform(-half + 0.2, half - 0.2)
        piece.append(Box((x, 0.12, seat + 0.2), (0.4, 0.14, 0.36), _cloth(rng), yaw=rng.uniform(-0.4, 0.4)))
    return piece


def bed(rng: Generator) -> Piece:
    """Frame, mattress, quilt, pillows, head board, and a stand beside it with a lamp."""
    x, y, top, surface = rng.uniform(0.5, 0.9), 1.02, rng.uniform(0.45, 0.58), _wood(rng)
    head = rng.uniform(0.85, 1.2)
    quilt, pillow = _cloth(rng), partial(textures.cloth, color=(222, 220, 214))
    pillows = (-x / 2, x / 2) if x > 0.65 else (0.0,)
    return [
        Box((0, 0, 0.15), (2 * x, 2 * y, 0.3), surface),
        Box((0, 0, (top + 0.2) / 2), (2 * x - 0.04, 2 * y - 0.08, top - 0.2), pillow),
        Box((0, -0.25, top - 0.06), (2 * x + 0.06, 2 * y - 0.5, 0.2), quilt),
        Box((0, y, head / 2), (2 * x + 0.06, 0.06, head), surface),
        *(Box((p, y - 0.32, top + 0.06), (0.62, 0.4, 0.14), pillow, yaw=rng.uniform(-0.1, 0.1)) for p in pillows),
        *(b.moved(x + 0.3, y - 0.22, 0) for b in nightstand(rng)),
    ]


def nightstand(rng: Generator) -> Piece:
    """Two drawers and a table lamp."""
    surface, shade = _wood(rng), partial(textures.cloth, color=(235, 222, 190))
    return [
        Box((0, 0, 0.26), (0.44, 0.38, 0.52), surface, partial(textures.fronts, surface=surface, rows=2, columns=1)),
        Box((0, 0.02, 0.62), (0.05, 0.05, 0.2), surface),
        Box((0, 0.02, 0.82), (0.24, 0.24, 0.22), shade, light=2.0),
    ]


def cabinet(rng: Generator) -> Piece:
    """Sideboard, chest of drawers or wardrobe, with doors or drawers."""
    width, depth = rng.uniform(0.6, 1.8), rng.uniform(0.35, 0.6)
    height = rng.uniform(1.8, 2.2) if rng.random() < 0.3 else rng.uniform(0.55, 1.2)
    surface, tall = _wood(rng), height > 1.5
    rows, columns = (1, max(2, round(width / 0.5))) if tall else (int(rng.integers(1, 5)), max(1, round(width / 0.6)))
    front = partial(textures.fronts, surface=surface, rows=rows, columns=columns)
    piece = [Box((0, 0, height / 2), (width, depth, height), surface, front)]
    return piece if tall else piece + clutter(rng, width / 2, depth / 2, height, int(rng.integers(0, 5)))


def bookshelf(rng: Generator) -> Piece:
    """Sides, boards, a back, and books in most of the bays."""
    width, depth, height = rng.uniform(0.6, 1.6), rng.uniform(0.24, 0.34), rng.uniform(1.2, 2.2)
    surface, bays = _wood(rng), max(3, round(height / 0.38))
    bay = height / bays
    piece = [Box((s * (width / 2 - 0.01), 0, height / 2), (0.02, depth, height), surface) for s in (-1, 1)]
    piece.append(Box((0, depth / 2 - 0.005, height / 2), (width - 0.04, 0.01, height), surface))
    for level in range(bays + 1):
        z = min(level * bay + 0.01, height - 0.01)
        piece.append(Box((0, 0, z), (width - 0.04, depth - 0.02, 0.02), surface))
        if level < bays and rng.random() < 0.85:
            filled = rng.uniform(0.45, 1.0) * (width - 0.06)
            tall, deep = bay * rng.uniform(0.6, 0.85), depth * rng.uniform(0.5, 0.8)
            x = (filled - width + 0.06) / 2 * rng.choice((-1, 1))
            piece.append(Box((x, 0.02, z + 0.01 + tall / 2), (filled, deep, tall), textures.books, textures.books))
    return piece


def desk(rng: Generator) -> Piece:
    """Desk with a display, a keyboard, papers, drawers, and a chair before it."""
    x, y, top, surface = rng.uniform(0.55, 0.9), rng.uniform(0.32, 0.42), rng.uniform(0.7, 0.76), _wood(rng)
    black = partial(textures.paint, color=(34, 34, 36))
    drawers = partial(textures.fronts, surface=surface, rows=3, columns=1)
    wide, at = rng.uniform(0.22, 0.34), rng.uniform(-0.2, 0.2)
    lift = top + rng.uniform(0.08, 0.16) + wide * 0.6
    return [
        Box((0, 0, top - 0.015), (2 * x, 2 * y, 0.03), surface),
        Box((x - 0.22, 0, (top - 0.03) / 2), (0.4, 2 * y - 0.06, top - 0.03), surface, drawers),
        Box((-x + 0.02, 0, (top - 0.03) / 2), (0.04, 2 * y - 0.06, top - 0.03), surface),
        Box((at, y - 0.14, lift), (2 * wide, 0.03, 1.2 * wide), black, textures.screen, yaw=rng.uniform(-0.3, 0.3)),
        Box((at, y - 0.1, (top + lift) / 2), (0.05, 0.03, lift - top), black),
        Box((at, y - 0.13, top + 0.008), (0.22, 0.18, 0.016), black),
        Box((at, -y + 0.24, top + 0.012), (0.42, 0.14, 0.024), _plastic(rng)),
        *clutter(rng, x, y, top, int(rng.integers(1, 5))),
        *(b.moved(at, -y - rng.uniform(0.1, 0.3), np.pi + rng.uniform(-0.6, 0.6)) for b in office_chair(rng)),
    ]


def office_chair(rng: Generator) -> Piece:
    """A column on a cross, a seat, a back, arm rests."""
    cover, black = _cloth(rng), partial(textures.paint, color=(30, 30, 32))
    return [
        *(Box((0, 0, 0.05), (0.6, 0.06, 0.05), black, yaw=angle) for angle in (0.3, 0.3 + np.pi / 2)),
        Box((0, 0, 0.24), (0.06, 0.06, 0.36), black),
        Box((0, 0, 0.46), (0.48, 0.46, 0.09), cover),
        Box((0, 0.23, 0.82), (0.44, 0.07, 0.56), cover),
        *(Box((s * 0.26, 0.0, 0.64), (0.05, 0.26, 0.03), black) for s in (-1, 1)),
    ]


def television(rng: Generator) -> Piece:
    """Low board with a television on it."""
    width, top, surface = rng.uniform(1.2, 1.8), rng.uniform(0.38, 0.55), _wood(rng)
    front = partial(textures.fronts, surface=surface, rows=1, columns=int(rng.integers(2, 5)))
    wide, black = rng.uniform(0.8, 1.2), partial(textures.paint, color=(28, 28, 30))
    return [
        Box((0, 0, top / 2), (width, 0.42, top), surface, front),
        Box((0, 0.05, top + 0.06 + wide * 0.29), (wide, 0.05, wide * 0.58), black, textures.screen),
        Box((0, 0.05, top + 0.03), (0.3, 0.2, 0.06), black),
        *(Box((s * (wide / 2 + 0.1), 0.02, top + 0.14), (0.13, 0.16, 0.28), black) for s in (-1, 1)),
    ]


def counter(rng: Generator) -> Piece:
    """Kitchen: units with a worktop, wall units above, things on it."""
    width, surface = rng.uniform(1.8, 3.0), _wood(rng)
    columns = round(width / 0.6)
    stone = partial(
        textures.paint, color=textures.shade_of(rng, ((60, 60, 64), (170, 165, 158), (205, 200, 192))), rough=0.08
    )
    below = partial(textures.fronts, surface=surface, rows=1, columns=columns)
    return [
        Box((0, 0.02, 0.45), (width, 0.56, 0.8), surface, below),
        Box((0, 0, 0.88), (width + 0.02, 0.62, 0.04), stone),
        Box((0, 0.14, 1.75), (width, 0.34, 0.7), surface, below),
        Box(
            (-width / 2 - 0.32, 0, 0.9),
            (0.6, 0.62, 1.8),
            partial(textures.paint, color=(205, 206, 206)),
            partial(textures.fronts, surface=partial(textures.paint, color=(212, 213, 213)), rows=2, columns=1),
        ),
        *clutter(rng, width / 2, 0.26, 0.9, int(rng.integers(3, 8))),
    ]


def plant(rng: Generator) -> Piece:
    """Foliage in a pot."""
    height = rng.uniform(0.5, 1.3)
    pot = Box((0, 0, 0.15), (0.28, 0.28, 0.3), _paint(rng, (150, 90, 60), (210, 208, 200)))
    crown = []
    for _ in range(10):
        x, y, z = rng.uniform((-0.18, -0.18, 0.38), (0.18, 0.18, height))
        size = tuple(rng.uniform((0.04, 0.12, 0.08), (0.1, 0.3, 0.3)).tolist())
        crown.append(Box((float(x), float(y), float(z)), size, textures.leaves, yaw=float(rng.uniform(0, np.pi))))
    return [pot, *crown]


def cartons(rng: Generator) -> Piece:
    """A stack of boxes."""
    piece, top = [], 0.0
    for _ in range(int(rng.integers(1, 4))):
        size = rng.uniform((0.3, 0.25, 0.15), (0.5, 0.45, 0.4))
        surface = _paint(rng, (168, 130, 88), (150, 112, 74), (215, 212, 205))
        at = (float(rng.uniform(-0.03, 0.03)), 0.0, float(top + size[2] / 2))
        piece.append(Box(at, tuple(size.tolist()), surface, yaw=float(rng.uniform(-0.2, 0.2))))
        top += size[2]
    return piece
