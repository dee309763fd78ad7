"""Procedural surfaces: paint, wood, cloth, books, pictures, windows, as RGB pictures of any size.

A surface is a function (rng, height, width, density) -> (height, width, 3) float32 in 0 to 255, not clipped; height and
width are in texels and density is texels per metre, so that a plank is as wide on a small shelf as on a large one.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Picture = NDArray[np.float32]
Surface = Callable[[Generator, int, int, float], Picture]
Color = Sequence[float]

BINDINGS = ((150, 40, 36), (40, 60, 110), (60, 90, 60), (215, 205, 180), (240, 238, 232), (35, 34, 36), (200, 150, 60),
            (120, 80, 50), (90, 130, 150), (110, 60, 90))  # fmt: skip


def shade_of(rng: Generator, palette: Sequence[Color]) -> tuple[float, ...]:
    """One of some colours, a little different each time."""
    color = np.array(palette[int(rng.integers(len(palette)))])
    return tuple(np.clip(color * rng.normal(1, 0.05, 3), 10, 245).tolist())


def noise(rng: Generator, height: int, width: int, cells_y: float, cells_x: float, octaves: int = 3) -> Picture:
    """Smooth noise (height, width), mean 0, standard deviation about 1; the coarsest octave has that many cells."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        rows = int(np.clip(cells_y * 2**octave, 2, max(height, 2)))
        columns = int(np.clip(cells_x * 2**octave, 2, max(width, 2)))
        grid = rng.standard_normal((rows, columns), dtype=np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * 0.5**octave
    return total


def _tinted(color: Color, shade: Picture) -> Picture:
    return np.asarray(color, np.float32) * shade[..., None]


def paint(rng: Generator, height: int, width: int, density: float, *, color: Color, rough: float = 0.02) -> Picture:
    """Painted plaster, plastic or lacquer: one colour, a little uneven."""
    shade = 1 + rough * noise(rng, height, width, height / density * 2, width / density * 2)
    shade += rough / 2 * rng.standard_normal((height, width), dtype=np.float32)
    return _tinted(color, shade)


def wallpaper(rng: Generator, height: int, width: int, density: float, *, color: Color) -> Picture:
    """Stripes or a lattice of blossoms."""
    y, x = np.mgrid[:height, :width].astype(np.float32) / density
    period, depth = rng.uniform(0.08, 0.3), rng.uniform(0.06, 0.2)
    if rng.random() < 0.5:
        pattern = np.tanh(4 * np.sin(2 * np.pi * x / period))
    else:
        pattern = np.tanh(3 * (np.cos(2 * np.pi * x / period) * np.cos(2 * np.pi * y / period) - 0.3))
    return paint(rng, height, width, density, color=color) * (1 + depth * pattern[..., None])


def wood(rng: Generator, height: int, width: int, density: float, *, color: Color) -> Picture:
    """Veneer, its grain along the longer side."""
    if width >= height:
        return _tinted(color, _grain(rng, height, width, density))
    return _tinted(color, np.ascontiguousarray(_grain(rng, width, height, density).T))


def planks(rng: Generator, height: int, width: int, density: float, *, color: Color) -> Picture:
    """Floor boards along x, each of its own shade, dark joints between them."""
    picture = _tinted(color, _grain(rng, height, width, density))
    board, length = round(rng.uniform(0.09, 0.2) * density), round(rng.uniform(0.8, 2.0) * density)
    for top in range(0, height, board):
        start = -int(rng.integers(length))
        for left in range(start, width, length):
            area = (slice(top, top + board), slice(max(left, 0), max(left + length, 0)))
            picture[area] *= rng.uniform(0.82, 1.14) * rng.uniform(0.97, 1.03, 3)
            picture[area][:, :1] *= 0.5
        picture[top : top + 1] *= 0.5
    return picture


def tiles(rng: Generator, height: int, width: int, density: float, *, color: Color) -> Picture:
    """Square tiles with grout, sometimes in two colours."""
    side = round(rng.uniform(0.15, 0.6) * density)
    picture = paint(rng, height, width, density, color=color, rough=0.03)
    second = rng.uniform(0.5, 1.0) if rng.random() < 0.4 else 1.0
    for row, top in enumerate(range(0, height, side)):
        for column, left in enumerate(range(0, width, side)):
            shade = rng.uniform(0.93, 1.05) * (second if (row + column) % 2 else 1)
            picture[top : top + side, left : left + side] *= shade
    joint = max(1, round(0.005 * density))
    for offset in range(joint):
        picture[offset::side] = 120
        picture[:, offset::side] = 120
    return picture


def carpet(rng: Generator, height: int, width: int, density: float, *, color: Color) -> Picture:
    """Pile: strong fine grain, faint wear."""
    shade = 1 + 0.12 * noise(rng, height, width, height / 3, width / 3, octaves=2)
    shade += 0.05 * noise(rng, height, width, height / density * 3, width / density * 3)
    return _tinted(color, shade)


def cloth(rng: Generator, height: int, width: int, density: float, *, color: Color, folds: float = 0.0) -> Picture:
    """Woven cloth; folds > 0 hang in it from top to bottom, as in a curtain."""
    shade = 1 + 0.05 * noise(rng, height, width, height / 2, width / 2, octaves=1)
    shade += 0.06 * noise(rng, height, width, height / density * 4, width / density * 4)
    if folds:
        x = np.arange(width, dtype=np.float32) / density
        shade += folds * np.sin(2 * np.pi * (x / rng.uniform(0.08, 0.16) + np.sin(9 * x) / 3))
    return _tinted(color, shade)


def rug(rng: Generator, height: int, width: int, density: float, *, color: Color) -> Picture:
    """Borders around a field of lozenges."""
    picture = carpet(rng, height, width, density, color=color)
    y, x = np.mgrid[:height, :width].astype(np.float32) / density
    edge = np.minimum(np.minimum(y, y[::-1]), np.minimum(x, x[:, ::-1]))
    period = rng.uniform(0.25, 0.6)
    lozenges = np.abs((x / period) % 1 - 0.5) + np.abs((y / period) % 1 - 0.5) < 0.3
    for mask in (lozenges & (edge > 0.25), (edge > 0.08) & (edge < 0.13), (edge > 0.18) & (edge < 0.2)):
        picture[mask] *= rng.uniform(0.4, 1.5, 3).astype(np.float32)
    return picture


def books(rng: Generator, height: int, width: int, density: float) -> Picture:
    """Spines side by side before a dark back, some leaning away from the top."""
    picture = np.full((height, width, 3), 30, np.float32)
    left = 0
    while left < width:
        thick = max(2, int(rng.uniform(0.015, 0.05) * density))
        top = int(rng.uniform(0.05, 0.4) * height)
        spine = np.asarray(BINDINGS[rng.integers(len(BINDINGS))], np.float32) * rng.uniform(0.5, 1.2)
        area = picture[top:, left : left + thick]
        round_back = 1 - 0.35 * np.abs(np.linspace(-1, 1, area.shape[1], dtype=np.float32))
        area[:] = spine * round_back[:, None]
        label = int(rng.uniform(0.1, 0.6) * area.shape[0])
        area[label : label + max(1, area.shape[0] // 6)] *= rng.uniform(0.5, 1.8)
        left += thick + (int(rng.uniform(0, 0.15) * density) if rng.random() < 0.06 else 0)
    return picture


def fronts(
    rng: Generator, height: int, width: int, density: float, *, surface: Surface, rows: int, columns: int
) -> Picture:
    """Doors or drawers: rows x columns of panels with dark joints, a lit upper edge, and handles."""
    picture = surface(rng, height, width, density)
    joint, handle = max(1, round(0.004 * density)), max(2, round(0.06 * density))
    tops, lefts = (np.linspace(0, size, n + 1).astype(int) for size, n in ((height, rows), (width, columns)))
    for top, bottom in zip(tops[:-1], tops[1:], strict=True):
        for left, right in zip(lefts[:-1], lefts[1:], strict=True):
            cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), (25, 22, 20), joint)
            cv2.line(picture, (left + 2 * joint, top + 2 * joint), (right - 2 * joint, top + 2 * joint), (235,) * 3, 1)
            x = (left + right) // 2 if rows >= columns else (right - handle if left == 0 else left + handle)
            y = (top + bottom) // 2
            long = (handle, joint) if rows >= columns else (joint, handle)
            cv2.rectangle(picture, (x - long[0], y - long[1]), (x + long[0], y + long[1]), (150, 148, 140), -1)
    return picture


def door(rng: Generator, height: int, width: int, density: float, *, color: Color) -> Picture:
    """A panelled door, its recesses shaded, with a handle."""
    picture = paint(rng, height, width, density, color=color)
    margin, rows = round(0.12 * density), int(rng.integers(1, 4))
    edges = np.linspace(margin // 2, height - margin // 2, rows + 1).astype(int)
    for top, bottom in zip(edges[:-1], edges[1:], strict=True):
        corners = (margin, top + margin // 2), (width - margin, bottom - margin // 2)
        cv2.rectangle(picture, *corners, tuple(0.72 * c for c in color), 3)
        cv2.line(picture, (corners[0][0], corners[1][1]), corners[1], tuple(1.15 * c for c in color), 2)
    knob = (width - margin // 2, height * 55 // 100)
    cv2.circle(picture, knob, max(2, round(0.025 * density)), (170, 160, 130), -1)
    return picture


def picture_frame(rng: Generator, height: int, width: int, density: float) -> Picture:
    """A painting or a photograph: a landscape or shapes, a mount, a frame."""
    border, frame = max(2, round(0.06 * density)), max(2, round(0.025 * density))
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = rng.uniform(210, 250)
    art = picture[border:-border, border:-border]
    if art.size:
        art[:] = _landscape(rng, *art.shape[:2]) if rng.random() < 0.6 else _shapes(rng, *art.shape[:2])
    color = rng.choice([(35, 30, 28), (120, 80, 45), (190, 160, 90), (235, 235, 230)])
    cv2.rectangle(picture, (0, 0), (width - 1, height - 1), [float(c) for c in color], frame)
    return picture


def window_view(rng: Generator, height: int, width: int, density: float) -> Picture:
    """Bright sky, trees or houses below it, and the bars of the window."""
    picture = np.minimum(_landscape(rng, height, width) * 0.6 + 120, 255).astype(np.float32)
    bar = max(2, round(0.05 * density))
    cv2.rectangle(picture, (0, 0), (width - 1, height - 1), (225, 225, 222), bar)
    for column in range(1, int(rng.integers(2, 4))):
        x = width * column // 2
        cv2.line(picture, (x, 0), (x, height), (225, 225, 222), bar)
    return picture


def screen(rng: Generator, height: int, width: int, density: float) -> Picture:
    """A display in a black frame: switched off, or with windows and lines of text."""
    picture = np.full((height, width, 3), 22, np.float32)
    edge = max(1, round(0.015 * density))
    if rng.random() < 0.6:
        inner = picture[edge:-edge, edge:-edge]
        inner[:] = rng.uniform(30, 140, 3)
        for _ in range(int(rng.integers(1, 4))):
            y, x = (int(rng.uniform(0, 0.5) * n) for n in inner.shape[:2])
            pane = inner[y : y + inner.shape[0] // 2, x : x + inner.shape[1] // 2]
            pane[:] = rng.uniform(170, 240)
            pane[3::6, 4 : -pane.shape[1] // 4] *= 0.6
    return picture


def leaves(rng: Generator, height: int, width: int, density: float) -> Picture:
    """Foliage: blades in greens over dark."""
    picture = np.full((height, width, 3), (18, 30, 14), np.float32)
    for _ in range(max(8, height * width // 150)):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        green = tuple(float(c) for c in np.array([60, 110, 45]) * rng.uniform(0.5, 1.5))
        axes = (max(1, int(0.035 * density)), max(1, int(0.012 * density)))
        cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 180)), 0, 360, green, -1)
    return picture


def _grain(rng: Generator, height: int, width: int, density: float) -> Picture:
    rings = noise(rng, height, width, max(height / density * 25, 2), max(width / density * 1.5, 2))
    fibres = noise(rng, height, width, height / 2, max(width / density * 6, 2), octaves=1)
    return 1 + 0.09 * np.sin(rings * 2.5) + 0.04 * fibres


def _landscape(rng: Generator, height: int, width: int) -> Picture:
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    sky, land = rng.uniform((120, 150, 190), (200, 215, 245)), rng.uniform((40, 60, 20), (150, 140, 90))
    clouds = noise(rng, height, width, 4, 5)[..., None]
    picture = np.asarray(sky, np.float32) * (0.8 + 0.3 * y[..., None]) + 12 * clouds
    for layer in range(3):
        ridge = 0.4 + 0.18 * layer + 0.06 * noise(rng, 1, width, 2, 4 + 6 * layer)
        grass = 1 - 0.2 * layer + 0.12 * noise(rng, height, width, 12, 12)
        picture = np.where((y > ridge)[..., None], np.asarray(land, np.float32) * grass[..., None], picture)
    return picture.astype(np.float32)


def _shapes(rng: Generator, height: int, width: int) -> Picture:
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = rng.uniform(60, 230, 3)
    for _ in range(int(rng.integers(3, 10))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        axes = (int(rng.uniform(0.05, 0.35) * width) + 1, int(rng.uniform(0.05, 0.35) * height) + 1)
        color = tuple(float(c) for c in rng.uniform(20, 240, 3))
        cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 180)), 0, 360, color, -1)
    return picture
