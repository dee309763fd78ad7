"""Depth image and colours to a coloured point cloud, without the points that hang in the air at depth edges."""

import math
from os import PathLike

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.camera import CameraModel

# One point: metres in the optical frame (REP-103), and the bytes B, G, R, 0, which RViz and PCL read as 0x00RRGGBB.
POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<f4")])
POINT_WITH_CONFIDENCE = np.dtype([*POINT.descr, ("confidence", "<f4")])

MAX_SLANT = 80.0
# A depth edge, as networks and bilinear resizing blur it, is narrower than this share of the image's width.
EDGE_WIDTH = 1 / 40
_SMALLEST = float(np.finfo(np.float32).tiny)
_LARGEST = float(np.finfo(np.float32).max)


class CloudBuilder:
    """Builds clouds for one pinhole camera, always into the same memory: copy what must outlive the next frame.

    shape: of an organised cloud, (ceil(height / stride), ceil(width / stride)). dtype: of a point.
    stride: every stride-th row and column is kept, from the first.
    dense: False for the organised cloud, whose bad points have NaN as x, y, z; True for a flat one without them.
    max_slant: degrees, see EdgeFilter; 90 keeps every point. confidence_field: points carry their confidence, too.
    Raises ValueError for a stride below 1, a slant of 0 or less, and a distorted camera.
    """

    def __init__(
        self,
        camera: CameraModel,
        *,
        stride: int = 1,
        dense: bool = False,
        max_slant: float = MAX_SLANT,
        confidence_field: bool = False,
    ) -> None:
        if stride < 1:
            raise ValueError(f"stride: found {stride}, expected 1 or more")
        self.dtype = POINT_WITH_CONFIDENCE if confidence_field else POINT
        self.dense = dense
        self._size = (camera.height, camera.width)
        self._every = (slice(None, None, stride), slice(None, None, stride))
        self._edges = EdgeFilter(camera, max_slant) if max_slant < 90 else None

        rays = camera.rays()[self._every]
        self._x_ray, self._y_ray = np.ascontiguousarray(rays[..., 0]), np.ascontiguousarray(rays[..., 1])
        self.shape = shape = self._x_ray.shape
        self._x, self._y, self._z, self._depth, self._confidence = np.empty((5, *shape), dtype=np.float32)
        self._good, self._mask = np.empty((2, *shape), dtype=np.uint8)
        self._rgb = np.empty((*shape, 3), dtype=np.uint8)
        self._bgra = np.empty((*shape, 4), dtype=np.uint8)
        self._no_alpha = np.full(shape, 0x00FFFFFF, dtype="<i4")
        self._cloud = np.empty(shape, dtype=self.dtype)
        self._dense_cloud = np.empty(self._cloud.size if dense else 0, dtype=self.dtype)

    def build(
        self,
        depth: NDArray[np.float32],
        rgb: NDArray[np.uint8],
        confidence: NDArray[np.float32] | None = None,
        out: NDArray[np.void] | None = None,
    ) -> NDArray[np.void]:
        """The cloud, of self.dtype and self.shape, or (points,) when dense.

        depth (height, width) float32 in metres along the optical axis, rgb (height, width, 3) uint8, confidence
        (height, width) float32 or None, all of the camera's size; ValueError where they are not, or where confidence
        is None though a minimum or the field was asked for. An organised cloud is written into `out` where that is
        given, contiguous and of that dtype and shape; else into memory that the next call uses again.
        """
        self._check("depth", depth, self._size, np.float32)
        self._check("rgb", rgb, (*self._size, 3), np.uint8)
        cloud = self._cloud if out is None else out
        self._check("out", cloud, self.shape, self.dtype)
        kept = self._kept(depth, self._depth)
        cv2.inRange(kept, _SMALLEST, _LARGEST, dst=self._good)
        if self._edges is not None:
            cv2.bitwise_and(self._good, self._kept(self._edges.solid(depth), self._mask), dst=self._good)
        if self.dtype is POINT_WITH_CONFIDENCE:
            if confidence is None:
                raise ValueError("confidence: found None, but confidence_field needs it")
            self._check("confidence", confidence, self._size, np.float32)
            confidence = self._kept(confidence, self._confidence)

        self._z.fill(np.nan)
        cv2.copyTo(kept, self._good, dst=self._z)
        cv2.multiply(self._x_ray, self._z, dst=self._x)
        cv2.multiply(self._y_ray, self._z, dst=self._y)
        planes = [self._x, self._y, self._z, self._packed_colours(self._kept(rgb, self._rgb))]
        if self.dtype is POINT_WITH_CONFIDENCE:
            planes.append(confidence)
        cv2.merge(planes, dst=cloud.view("<f4").reshape(*self.shape, -1))
        return self._without_bad_points() if self.dense else cloud

    def valid_share(self) -> float:
        """Share of the last cloud's points that are no bad ones."""
        return cv2.countNonZero(self._good) / self._good.size

    def _kept(self, values: NDArray, memory: NDArray) -> NDArray:
        """Every stride-th row and column without gaps between them; a copy only where there are some."""
        values = values[self._every]
        if values.flags.c_contiguous:
            return values
        np.copyto(memory, values)
        return memory

    def _packed_colours(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Colours as float32 0x00RRGGBB; an alpha of 255 would make every bright colour a NaN."""
        cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA, dst=self._bgra)
        packed = self._bgra.view("<i4")[..., 0]
        cv2.bitwise_and(packed, self._no_alpha, dst=packed)
        return packed.view("<f4")

    def _without_bad_points(self) -> NDArray[np.void]:
        good = np.flatnonzero(self._good)
        return np.take(self._cloud.ravel(), good, out=self._dense_cloud[: good.size], mode="clip")  # clip: no buffering

    @staticmethod
    def _check(name: str, array: NDArray, shape: tuple[int, ...], dtype: type | np.dtype) -> None:
        if array.shape != shape or array.dtype != dtype:
            expected = f"{np.dtype(dtype)} {shape} for this camera"
            raise ValueError(f"{name}: found {array.dtype} {array.shape}, expected {expected}")


class EdgeFilter:
    """Finds the pixels that hang between the near and the far side of a depth edge, for one camera.

    On a plane 1 / depth is linear in the pixel, so fx |d(1 / depth) / du| depth is the tangent of the surface's slant
    towards the line of sight (and fy, dv likewise). A pixel flies where that tangent, towards both of its neighbours,
    exceeds the slant which the surface has over a strip of EDGE_WIDTH around it by more than tan(max_slant), in
    degrees. A floor is as steep far around as it is here, and stays, however steep; the ramp across a depth edge is
    narrow, and goes; a pixel on the rim of an object has a neighbour on the same object, and stays.
    """

    def __init__(self, camera: CameraModel, max_slant: float) -> None:
        if not 0 < max_slant <= 90:
            raise ValueError(f"max_slant: found {max_slant}, expected an angle above 0 and up to 90 degrees")
        shape = (camera.height, camera.width)
        strip = max(3, round(camera.width * EDGE_WIDTH) | 1)  # pixels; an odd number
        limit = math.tan(math.radians(max_slant))
        self._inverse, self._step, self._excess, self._steepest = np.empty((4, *shape), dtype=np.float32)
        self._slope = np.zeros((2, *shape), dtype=np.float32)
        self._strip = (np.ones((strip, 1), dtype=np.uint8), np.ones((1, strip), dtype=np.uint8))
        self._scale = (camera.fy / limit, camera.fx / limit)
        self._finite, self._solid = np.empty((2, *shape), dtype=np.uint8)
        self._firm = np.empty(shape, dtype=np.float32)

    def firm(self, depth: NDArray[np.float32]) -> NDArray[np.float32]:
        """The depth (height, width) with NaN where a pixel flies, good until the next call."""
        self._firm.fill(np.nan)
        cv2.copyTo(depth, self.solid(depth), dst=self._firm)
        return self._firm

    def solid(self, depth: NDArray[np.float32]) -> NDArray[np.uint8]:
        """(height, width) uint8: 255 where no pixel flies, else 0. NaN, infinite and 0 pixels are no points, so 255."""
        cv2.inRange(depth, _SMALLEST, _LARGEST, dst=self._finite)
        self._inverse.fill(0)  # what has no depth is infinitely far
        with np.errstate(divide="ignore", over="ignore"):
            np.reciprocal(depth, out=self._step)
        cv2.copyTo(self._step, self._finite, dst=self._inverse)
        for axis, excess in enumerate((self._steepest, self._excess)):
            cv2.morphologyEx(self._slopes(axis), cv2.MORPH_TOPHAT, self._strip[axis], dst=excess)
            np.multiply(excess, self._scale[axis], out=excess)
        cv2.max(self._steepest, self._excess, dst=self._steepest)
        cv2.compare(self._steepest, self._inverse, cv2.CMP_LE, dst=self._solid)
        cv2.bitwise_not(self._finite, dst=self._finite)
        cv2.bitwise_or(self._solid, self._finite, dst=self._solid)
        return self._solid

    def _slopes(self, axis: int) -> NDArray[np.float32]:
        """|d(1 / depth)| from each pixel to its neighbour before or after it, whichever is less; 0 on the border."""
        slope = self._slope[axis]
        offset = slope.shape[1] if axis == 0 else 1  # of the neighbour, in memory: flat arrays are NumPy's fast path
        inverse, step = self._inverse.ravel(), self._step.ravel()[offset:]
        np.subtract(inverse[offset:], inverse[:-offset], out=step)
        np.abs(step, out=step)
        np.minimum(step[:-offset], step[offset:], out=slope.ravel()[offset:-offset])
        if axis == 1:
            slope[:, [0, -1]] = 0  # their neighbours in memory are in other rows
        return slope


def placed(points: NDArray[np.void], pose: NDArray[np.float64], lowest: float, highest: float) -> NDArray[np.void]:
    """Points moved, in place, into the frame that a pose (4, 4) is given in; those beyond the heights (m, z) left out.

    Of a grid (H, W) they become NaN; of a list (N,), what is returned is a list without them.
    """
    numbers = points.view("<f4").reshape(*points.shape, -1)
    moved = numbers[..., :3] @ pose[:3, :3].T.astype(np.float32) + pose[:3, 3].astype(np.float32)
    kept = (moved[..., 2] >= lowest) & (moved[..., 2] <= highest)
    numbers[..., :3] = np.where(kept[..., None], moved, np.float32(np.nan))
    return points[kept] if points.ndim == 1 else points


def write_ply(path: str | PathLike[str], cloud: NDArray[np.void], comment: str = "") -> None:
    """Write the good points of a cloud that CloudBuilder made, of any shape, as a binary little-endian PLY file."""
    good = cloud[np.isfinite(cloud["z"])]
    colours = [("red", "u1"), ("green", "u1"), ("blue", "u1")]
    others = [(name, "<f4") for name in cloud.dtype.names or () if name != "rgb"]
    vertices = np.empty(good.shape, dtype=[*others, *colours])
    for name, _ in others:
        vertices[name] = good[name]
    packed = np.ascontiguousarray(good["rgb"]).view("<u4")
    for (name, _), shift in zip(colours, (16, 8, 0), strict=True):
        vertices[name] = packed >> shift & 0xFF
    properties = [f"property float {name}" for name, _ in others] + [f"property uchar {name}" for name, _ in colours]
    comments = [f"comment {comment}"] if comment else []
    header = [
        "ply",
        "format binary_little_endian 1.0",
        *comments,
        f"element vertex {len(vertices)}",
        *properties,
        "end_header",
    ]
    with open(path, "wb") as file:
        file.write("".join(f"{line}\n" for line in header).encode("ascii"))
        file.write(vertices.tobytes())
