"""The virtual camera: renders a room through any lens, with exact depth, and flies through it.

A pixel's ray meets the plane of a rectangle at an inverse depth that is linear in the ray, and so are, over it, the
coordinates on the rectangle. So each rectangle costs a few array operations on the pixels it can cover.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from test.rooms.lighting import Array, Faces
from test.rooms.room import LEVELS, Room

_NEAR = 0.02  # metres; what is nearer to the lens is not seen
_LENS_BLUR = 0.55  # pixels, standard deviation; it also takes the stairs from edges


@dataclass(frozen=True)
class Pose:
    """Where a camera is in the room: position (3,) in metres; rotation (3, 3), its columns the camera's axes."""

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]

    @classmethod
    def looking(cls, position: NDArray, yaw: float, pitch: float = 0.0, roll: float = 0.0) -> "Pose":
        """Radians: yaw from the room's x axis towards y, pitch upwards, roll clockwise as the camera sees it."""
        forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
        right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
        down = np.cross(forward, right)
        cosine, sine = np.cos(roll), np.sin(roll)
        axes = (cosine * right + sine * down, cosine * down - sine * right, forward)
        return cls(np.asarray(position, np.float64), np.stack(axes, axis=1))


class Renderer:
    """Renders rooms for one camera, given as its rays: (H, W, 2) float, X/Z and Y/Z of each pixel.

    CameraModel.rays() gives them for a pinhole; those of a distorted lens do as well.
    """

    def __init__(self, rays: NDArray) -> None:
        self.shape = rays.shape[:2]
        x, y = np.ascontiguousarray(rays[..., 0], np.float32), np.ascontiguousarray(rays[..., 1], np.float32)
        # A pinhole's x is the same in each row and its y in each column: one row and one column do.
        self._x = x[:1] if (x == x[:1]).all() else x
        self._y = y[:, :1] if (y == y[:, :1]).all() else y
        self._column_range = np.maximum.accumulate(x.max(axis=0)), np.minimum.accumulate(x.min(axis=0)[::-1])[::-1]
        self._row_range = np.maximum.accumulate(y.max(axis=1)), np.minimum.accumulate(y.min(axis=1)[::-1])[::-1]
        self._focal = self.shape[1] / float(np.ptp(x))
        self._inverse, self._u, self._v = np.empty((3, *self.shape), np.float32)
        self._face = np.empty(self.shape, np.int32)

    def render(self, room: Room, pose: Pose) -> tuple[NDArray[np.uint8], Array]:
        """RGB (H, W, 3) uint8 and depth (H, W) float32, metres along the optical axis, finite everywhere."""
        depth = self.depth(room, pose)
        faces = room.faces
        away = np.abs(np.einsum("ij,ij->i", faces.normal, faces.corner - pose.position)).clip(0.01)
        # Texels that a pixel covers: density z / f across the line of sight, and z / away times that along it.
        coarseness = (np.log2(room.density / self._focal) - 0.5 * np.log2(away)).astype(np.float32)
        level = np.take(coarseness, self._face) + np.float32(1.5 / np.log(2)) * cv2.log(depth)
        place = self._face * LEVELS + np.clip(level, 0, LEVELS - 1).astype(np.int32)
        texels = np.take(room.texels, place, axis=0)
        column = self._u * depth * texels[..., 2] + texels[..., 0]
        row = self._v * depth * texels[..., 3] + texels[..., 1]
        rgb = cv2.remap(room.atlas, column, row, cv2.INTER_LINEAR)
        return np.asarray(cv2.GaussianBlur(rgb, (3, 3), _LENS_BLUR), np.uint8), depth

    def depth(self, room: Room, pose: Pose) -> Array:
        """The same depth alone, in half the time."""
        inverse, u, v = _planes(room.faces, pose)
        self._inverse.fill(0)
        for face, area in self._visible(room.faces, pose):
            self._draw(face, area, inverse[face], u[face], v[face])
        return 1 / self._inverse

    def _draw(self, face: int, area: tuple[slice, slice], inverse: Array, u: Array, v: Array) -> None:
        """Write a rectangle where it is nearer than what is there: 1 / z, u / z, v / z, and its number."""
        x = self._x[area] if len(self._x) > 1 else self._x[:, area[1]]
        y = self._y[area] if self._y.shape[1] > 1 else self._y[area[0]]
        one_z, u_z, v_z = ((c[0] * x + c[2]) + c[1] * y for c in (inverse, u, v))
        nearest = self._inverse[area]
        mask = (one_z > nearest) & (u_z >= 0) & (u_z <= one_z) & (v_z >= 0) & (v_z <= one_z)
        seen = mask.view(np.uint8)
        cv2.copyTo(one_z, seen, nearest)
        cv2.copyTo(u_z, seen, self._u[area])
        cv2.copyTo(v_z, seen, self._v[area])
        self._face[area][mask] = face

    def _visible(self, faces: Faces, pose: Pose) -> list[tuple[int, tuple[slice, slice]]]:
        """Faces that are turned to the camera and lie in the picture, with the rows and columns they may cover."""
        facing = np.einsum("ij,ij->i", faces.normal, pose.position - faces.corner) > 1e-6
        corners = np.stack([faces.corner, faces.corner + faces.u, faces.corner + faces.u + faces.v,
                            faces.corner + faces.v], axis=1)  # fmt: skip
        points = (corners - pose.position) @ pose.rotation
        following = np.roll(points, -1, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (_NEAR - points[..., 2:]) / (following - points)[..., 2:]
            cut = points + share * (following - points)  # where an edge passes the near plane
        cut[~((share > 0) & (share < 1)).squeeze(-1)] = np.nan
        points[points[..., 2] < _NEAR] = np.nan
        outline = np.concatenate([points, cut], axis=1)
        facing &= ~np.isnan(outline).all(axis=(1, 2))
        numbers = np.flatnonzero(facing)
        projected = outline[numbers, :, :2] / outline[numbers, :, 2:]
        low, high = np.nanmin(projected, axis=1), np.nanmax(projected, axis=1)
        left, right = self._span(self._column_range, low[:, 0], high[:, 0])
        top, bottom = self._span(self._row_range, low[:, 1], high[:, 1])
        inside = (left < right) & (top < bottom)
        spans = np.stack([numbers, top, bottom, left, right], axis=1)[inside].tolist()
        return [(face, (slice(t, b), slice(a, z))) for face, t, b, a, z in spans]

    @staticmethod
    def _span(ranges: tuple[Array, Array], low: Array, high: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """First and last + 1 column (or row) whose rays can lie in [low, high]; a pixel wider, for rounding."""
        upper, lower = ranges
        return (np.searchsorted(upper, low) - 1).clip(0), np.searchsorted(lower, high, side="right") + 1


def render(room: Room, pose: Pose, rays: NDArray) -> tuple[NDArray[np.uint8], Array]:
    """One picture of a room: RGB (H, W, 3) uint8 and depth (H, W) float32 in metres; see Renderer."""
    return Renderer(rays).render(room, pose)


def _planes(faces: Faces, pose: Pose) -> tuple[Array, Array, Array]:
    """For each face the three coefficients, of (x, y, 1), of 1 / z, u / z and v / z; u and v run from 0 to 1 on it.

    A point z r on the plane n . p = n . c has 1 / z = (n . r) / (n . c), and u = (z r - c) . U / |U|^2.
    """
    corner = (faces.corner - pose.position) @ pose.rotation
    normal = faces.normal @ pose.rotation
    distance = np.einsum("ij,ij->i", normal, corner)
    inverse = normal / np.where(distance == 0, 1e-12, distance)[:, None]
    edges = []
    for edge in (faces.u, faces.v):
        dual = (edge @ pose.rotation) / np.einsum("ij,ij->i", edge, edge)[:, None]
        edges.append(dual - np.einsum("ij,ij->i", corner, dual)[:, None] * inverse)
    return inverse.astype(np.float32), edges[0].astype(np.float32), edges[1].astype(np.float32)
