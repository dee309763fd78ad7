"""Sensors beside the camera, simulated from a frame's own depth: what they read, and as which anchors it arrives.

A reading is made of the true depth with the sensor's noise; then `misplaced` moves it as wrong extrinsics and a wrong
clock would. What a sensor claims to know of itself (sigma) is its noise alone.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.random import Generator

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.fusion import Anchors

# What fails in practice, together: mounted 1 degree and 2 cm off, and a clock 20 ms off on a robot that turns at
# 1 rad/s and drives at 0.5 m/s.
WRONG_TURNS, WRONG_SHIFTS = (math.radians(1.0), 0.020 * 1.0), (0.02, 0.020 * 0.5)


def points(number: int, noise: float = 0.02) -> "Simulate":
    """So many points at random pixels, each with that relative noise."""

    def simulate(depth: np.ndarray, camera: CameraModel, rng: Generator) -> Anchors:
        v, u = np.nonzero(depth > 0)
        chosen = rng.choice(len(u), min(number, len(u)), replace=False)
        return _noisy(u[chosen], v[chosen], depth[v[chosen], u[chosen]], noise, rng)

    return simulate


def scan(step: float = 0.5, noise: float = 0.02) -> "Simulate":
    """A level 2D lidar at the camera's height: a beam every ``step`` degrees, ``noise`` in metres."""

    def simulate(depth: np.ndarray, camera: CameraModel, rng: Generator) -> Anchors:
        field = math.degrees(math.atan(camera.width / 2 / camera.fx))
        bearing = np.radians(np.arange(-field, field, step))
        u = np.rint(camera.cx + camera.fx * np.tan(bearing)).astype(int)
        u = u[(u >= 0) & (u < camera.width)]
        z = depth[round(camera.cy), u]
        u, z = u[z > 0], z[z > 0]
        return _noisy(u, np.full(u.shape, round(camera.cy)), z, noise / z, rng)

    return simulate


def zones(side: int = 8, field: float = 45.0, noise: float = 0.05) -> "Simulate":
    """A time-of-flight chip: side x side zones over ``field`` degrees, each a wide beam with that relative noise."""
    bearings, half = np.radians((np.arange(side) + 0.5) * field / side - field / 2), math.radians(field / side) / 2

    def simulate(depth: np.ndarray, camera: CameraModel, rng: Generator) -> Anchors:
        rays = camera.rays()
        across, down = (np.arctan(x) for x in (rays[0, :, 0], rays[:, 0, 1]))
        beams = []
        for bearing in bearings:
            rows = np.flatnonzero(np.abs(down - bearing) < half)
            for other in bearings:
                columns = np.flatnonzero(np.abs(across - other) < half)
                inside = np.repeat(rows, len(columns)), np.tile(columns, len(rows))
                beams.append(_beam(depth, rays, *inside, noise, rng))
        return Anchors(*np.array([beam for beam in beams if beam], np.float64).reshape(-1, 5).T)

    return simulate


def rangefinder(field: float = 27.0, noise: float = 0.03) -> "Simulate":
    """One wide beam along the axis, over ``field`` degrees, with that relative noise."""

    def simulate(depth: np.ndarray, camera: CameraModel, rng: Generator) -> Anchors:
        rays = camera.rays()
        rows, columns = np.nonzero(np.hypot(rays[..., 0], rays[..., 1]) < math.tan(math.radians(field / 2)))
        beam = _beam(depth, rays, rows, columns, noise, rng)
        return Anchors(*np.array([beam] if beam else [], np.float64).reshape(-1, 5).T)

    return simulate


Simulate = Callable[[np.ndarray, CameraModel, Generator], Anchors]


def _noisy(u: np.ndarray, v: np.ndarray, z: np.ndarray, sigma: np.ndarray | float, rng: Generator) -> Anchors:
    sigma = np.broadcast_to(np.asarray(sigma, np.float64), z.shape)
    return Anchors(u.astype(np.float64), v.astype(np.float64), z * np.exp(sigma * rng.standard_normal(z.shape)), sigma)


def _beam(
    depth: np.ndarray, rays: np.ndarray, rows: np.ndarray, columns: np.ndarray, noise: float, rng: Generator
) -> tuple[float, ...]:
    """u, v, depth, sigma, radius of the beam over these pixels; none where less than half of them have a depth."""
    z = depth[rows, columns]
    if np.count_nonzero(z) <= len(z) / 2:
        return ()
    stretch = np.sqrt(1 + (rays[rows, columns] ** 2).sum(axis=-1))
    inverse = 1 / (z * stretch)[z > 0]
    reading = inverse.sum() / (inverse**2).sum() * math.exp(noise * rng.standard_normal())
    return columns.mean(), rows.mean(), reading / stretch.mean(), noise, math.sqrt(len(z) / math.pi)


def misplaced(anchors: Anchors, camera: CameraModel, turn: float, shift: float, rng: Generator) -> Anchors:
    """Anchors as they arrive where the sensor is believed ``turn`` radians and ``shift`` metres from its place.

    The axis of the turn and the shift's direction are drawn; all anchors move together.
    """
    axis, direction = (x / np.linalg.norm(x) for x in rng.standard_normal((2, 3)))
    return moved(anchors, camera, turn * axis, shift * direction)


def moved(anchors: Anchors, camera: CameraModel, rotation: np.ndarray, shift: np.ndarray) -> Anchors:
    """Anchors after their points were turned by a rotation vector (3,), radians, and shifted by (3,) metres."""
    ray = np.stack([(anchors.u - camera.cx) / camera.fx, (anchors.v - camera.cy) / camera.fy, np.ones(len(anchors))])
    x, y, z = cv2.Rodrigues(rotation)[0] @ (ray * anchors.depth) + shift[:, None]
    z = np.where(z > 0.01, z, np.nan)
    return replace(anchors, u=camera.cx + camera.fx * x / z, v=camera.cy + camera.fy * y / z, depth=z)
