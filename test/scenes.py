"""A room of planes seen through any lens, by formulas of its own: the truth that geometry is tested against."""

import numpy as np

from mono_depth_ros.camera import CameraModel

LENSES = {
    "pinhole": CameraModel(640, 480, 500.0, 510.0, 322.0, 238.0),
    "plumb_bob": CameraModel(  # a Kinect: TUM freiburg1's colour camera
        640, 480, 517.3, 516.5, 318.6, 255.3, "plumb_bob", (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)
    ),
    "barrel": CameraModel(640, 480, 400.0, 380.0, 330.0, 230.0, "plumb_bob", (-0.28, 0.07, 0.001, -0.002)),
    "rational_polynomial": CameraModel(
        640, 480, 430.0, 430.0, 310.0, 245.0, "rational_polynomial", (0.9, 0.1, 6e-4, -2e-4, 0.01, 1.25, 0.35, 0.03)
    ),
    "equidistant": CameraModel(640, 480, 290.0, 285.0, 322.0, 238.0, "equidistant", (-0.02, 0.01, -0.004, 0.001)),
}

# normal . point = distance, in an optical frame (y down), metres: floor, ceiling, left, right, and a wall at an angle.
ROOM = [
    ((0.0, 1.0, 0.0), 1.2),
    ((0.0, -1.0, 0.0), 1.3),
    ((-1.0, 0.0, 0.0), 2.0),
    ((1.0, 0.0, 0.0), 2.2),
    ((0.28, 0.0, 0.96), 4.0),
]


def rays_of(camera: CameraModel) -> np.ndarray:
    """(H, W, 2) float64: X/Z, Y/Z of each raw pixel, the lens inverted by iteration."""
    v, u = np.mgrid[: camera.height, : camera.width].astype(np.float64)
    image = np.dstack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy])
    if not camera.is_distorted:
        return image
    invert = _invert_equidistant if camera.distortion_model == "equidistant" else _invert_polynomial
    return invert(image, camera.distortion)


def _invert_equidistant(image: np.ndarray, k: tuple[float, ...]) -> np.ndarray:
    """Kannala-Brandt: radius = angle (1 + k1 angle^2 + k2 angle^4 + k3 angle^6 + k4 angle^8), by Newton's method."""
    powers = np.arange(1, 10, 2)
    coefficients = np.array([1.0, *k])
    radius = np.linalg.norm(image, axis=-1, keepdims=True)
    angle = radius.copy()
    for _ in range(20):
        error = (coefficients * angle**powers).sum(-1, keepdims=True) - radius
        angle -= error / (coefficients * powers * angle ** (powers - 1)).sum(-1, keepdims=True)
    assert np.abs(error).max() < 1e-9
    return image / np.maximum(radius, 1e-12) * np.tan(angle)


def _invert_polynomial(image: np.ndarray, d: tuple[float, ...]) -> np.ndarray:
    """Brown-Conrady, with the denominator of the rational model, by fixed-point iteration."""
    k1, k2, p1, p2, k3, k4, k5, k6 = (*d, 0.0, 0.0, 0.0, 0.0)[:8]
    x, y = np.moveaxis(image, -1, 0)
    for _ in range(60):
        r2 = x * x + y * y
        radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        shift_x = 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
        shift_y = p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        error = np.dstack([x * radial + shift_x, y * radial + shift_y]) - image
        x, y = (image[..., 0] - shift_x) / radial, (image[..., 1] - shift_y) / radial
    assert np.abs(error).max() < 1e-9
    return np.dstack([x, y])


def cast(rays: np.ndarray, planes: list) -> tuple[np.ndarray, np.ndarray]:
    """Depth along the optical axis (H, W), inf where no plane is hit, and the number of the plane that is hit."""
    normals = np.array([normal for normal, _ in planes])
    distances = np.array([distance for _, distance in planes])
    with np.errstate(divide="ignore"):
        depths = distances / (np.dstack([rays, np.ones(rays.shape[:2])]) @ normals.T)
    depths[depths <= 0] = np.inf
    return depths.min(-1), depths.argmin(-1)
