"""Light in a room, computed once: direct light with soft shadows, then diffuse light from surface to surface.

Everything is diffuse (radiosity). Light is linear RGB radiance; the exposure is set afterwards, as a camera does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from test.rooms.boxes import Box

Array = NDArray[np.float32]

# Owners of the sides of the room: the walls towards +y, +x, -y, -x, floor, ceiling.
NORTH, EAST, SOUTH, WEST, FLOOR, CEILING = range(6)
SIDES = 6

_BOUNCES = 3
_DIRECTIONS = 24  # in which each point looks for light from other surfaces
_LAMP_GRID = 3  # a light's side is sampled at 3 x 3 points, for soft shadows


@dataclass(frozen=True)
class Faces:
    """Rectangles (F of them): the corner where the texture begins, the edges along its columns (u) and rows (v).

    All (F, 3) float32 in room axes; the normal, v x u, points to the side that is seen. owner (F,) is the box a face
    belongs to; the SIDES of the room itself come first, each its own owner, then box i as owner SIDES + i.
    """

    corner: Array
    u: Array
    v: Array
    owner: NDArray[np.intp]

    @property
    def normal(self) -> Array:
        """Unit normals (F, 3)."""
        normal = np.cross(self.v, self.u)
        return normal / np.linalg.norm(normal, axis=1, keepdims=True)

    @property
    def lengths(self) -> Array:
        """Metres along u and v, (F, 2)."""
        return np.stack([np.linalg.norm(self.u, axis=1), np.linalg.norm(self.v, axis=1)], axis=1)

    def points(self, face: int, rows: int, columns: int) -> Array:
        """Middles of a rows x columns grid on a face, (rows * columns, 3)."""
        y, x = np.mgrid[:rows, :columns].reshape(2, -1, 1)
        return self.corner[face] + (x + 0.5) / columns * self.u[face] + (y + 0.5) / rows * self.v[face]


class Obstacles:
    """Boxes that rays hit, inside a room that every ray ends at."""

    def __init__(self, size: Sequence[float], boxes: Sequence[Box]) -> None:
        self._room = np.asarray(size, np.float32)
        self._boxes = boxes

    def first_hit(self, origin: Array, direction: Array) -> NDArray[np.intp]:
        """Owner (N,) of what rays (3, N) meet first."""
        middle = np.array([[0], [0], [self._room[2] / 2]], np.float32)
        _, distance, axis = _slabs(origin - middle, direction, self._room / np.float32(2))
        forward = np.take_along_axis(direction, axis[None], axis=0)[0] > 0
        owner = np.array([[WEST, EAST], [SOUTH, NORTH], [FLOOR, CEILING]])[axis, forward.astype(int)]
        for number, box in enumerate(self._boxes):
            near, far, _ = _slabs(_in_box(origin - _column(box.center), box), _in_box(direction, box), _half(box))
            closer = (near < far) & (near > 0) & (near < distance)
            np.copyto(distance, near, where=closer)
            owner[closer] = SIDES + number
        return owner

    def blocked(self, origin: Array, way: Array, target_owner: int) -> NDArray[np.bool_]:
        """Whether another box than the target's own stands on the way (3, N) from origin (3, N), (N,)."""
        blocked = np.zeros(origin.shape[1], bool)
        for number, box in enumerate(self._boxes):
            if SIDES + number != target_owner:
                near, far, _ = _slabs(_in_box(origin - _column(box.center), box), _in_box(way, box), _half(box))
                blocked |= (near < far) & (far > 0) & (near < 1)
        return blocked


def irradiance(
    faces: Faces, grids: Sequence[tuple[int, int]], albedo: Array, glow: Array, obstacles: Obstacles
) -> list[Array]:
    """Light that falls on each face, on a grid of (rows, columns) points: (rows, columns, 3) float32.

    albedo (F, 3) is the share of light that a face sends back, glow (F, 3) the radiance that it sends by itself.
    """
    normal = faces.normal
    points = [faces.points(face, *grid) for face, grid in enumerate(grids)]
    face_of = np.repeat(np.arange(len(grids)), [len(p) for p in points])
    normals = normal[face_of]
    origin = np.concatenate(points).astype(np.float32) + 0.004 * normals
    direct = _direct(faces, glow, origin, normals, obstacles)
    hits = _looking_around(origin, normals, obstacles)

    owners = faces.owner.max() + 1
    weights = np.bincount(faces.owner[face_of], minlength=owners).clip(1)
    total = direct
    for _ in range(_BOUNCES):
        sent = total * albedo[face_of] / np.pi
        by_owner = np.stack([np.bincount(faces.owner[face_of], sent[:, c], owners) for c in range(3)], axis=1)
        total = direct + np.pi * (by_owner / weights[:, None])[hits].mean(axis=1).astype(np.float32)
    ends = np.cumsum([len(p) for p in points])[:-1]
    return [part.reshape(*grid, 3) for part, grid in zip(np.split(total, ends), grids, strict=True)]


def _direct(faces: Faces, glow: Array, origin: Array, normals: Array, obstacles: Obstacles) -> Array:
    """Light straight from what glows: the sum over its samples of L cos cos' A / d^2, where nothing is between."""
    direct = np.zeros((len(origin), 3), np.float32)
    area = faces.lengths.prod(axis=1) / _LAMP_GRID**2
    for face in np.flatnonzero(glow.any(axis=1)):
        way = faces.points(int(face), _LAMP_GRID, _LAMP_GRID).astype(np.float32)[:, None] - origin  # (samples, N, 3)
        squared = np.einsum("snc,snc->sn", way, way)
        cosines = np.einsum("snc,nc->sn", way, normals).clip(0) * -(way @ faces.normal[face]).clip(max=0)
        share = cosines / squared.clip(0.01) ** 2 * area[face]
        sample, point = np.nonzero(share > 1e-4)
        free = ~obstacles.blocked(origin[point].T, way[sample, point].T, faces.owner[face])
        lit = np.bincount(point[free], share[sample, point][free], len(origin))
        direct += lit[:, None].astype(np.float32) * glow[face]
    return direct


def _looking_around(origin: Array, normals: Array, obstacles: Obstacles) -> NDArray[np.intp]:
    """Owners (N, directions) of what is seen in directions spread by the cosine law, the same for every point."""
    turn = np.arange(_DIRECTIONS)
    radius, angle = np.sqrt((turn + 0.5) / _DIRECTIONS), turn * np.pi * (3 - np.sqrt(5))
    local = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - radius**2)], axis=1)
    aside = np.where(np.abs(normals[:, 2:]) < 0.9, [[0, 0, 1]], [[1, 0, 0]])
    first = np.cross(aside, normals)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    frame = np.stack([first, np.cross(normals, first), normals], axis=1)  # (N, 3, 3)
    directions = (local @ frame).astype(np.float32).reshape(-1, 3)
    return obstacles.first_hit(np.repeat(origin.T, _DIRECTIONS, axis=1), directions.T).reshape(-1, _DIRECTIONS)


def _column(vector: Sequence[float]) -> Array:
    return np.asarray(vector, np.float32)[:, None]


def _half(box: Box) -> Array:
    return np.asarray(box.size, np.float32) / np.float32(2)


def _in_box(vectors: Array, box: Box) -> Array:
    """Vectors (3, N) in the axes of a box."""
    if box.yaw == 0:
        return vectors
    cosine, sine = np.float32(np.cos(box.yaw)), np.float32(np.sin(box.yaw))
    x, y, z = vectors
    return np.stack([cosine * x + sine * y, cosine * y - sine * x, z])


def _slabs(origin: Array, direction: Array, half: Array) -> tuple[Array, Array, NDArray[np.intp]]:
    """Where rays (3, N) enter and leave a block around the origin, in lengths of direction, and the axis of leaving."""
    inverse = 1 / np.where(direction == 0, np.float32(1e-9), direction)
    middle, reach = -origin * inverse, half[:, None] * np.abs(inverse)
    leave = middle + reach
    return (middle - reach).max(axis=0), leave.min(axis=0), leave.argmin(axis=0)
