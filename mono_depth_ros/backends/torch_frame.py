"""A whole frame in PyTorch: resize, network, metric scale, confidence, gates and cloud, all on the network's device."""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool1d, pad

from mono_depth_ros.backends import FrameOptions, FrameOutput, FramePlan
from mono_depth_ros.backends.torch_resize import ImageResize
from mono_depth_ros.camera import CameraModel
from mono_depth_ros.pointcloud import POINT, POINT_WITH_CONFIDENCE, edge_strip

_FLOAT = torch.finfo(torch.float32)


class WholeFrame(nn.Module):
    """What `DepthEstimator`, the node's gates and `CloudBuilder` do on a CPU, by the same rules, for one plan.

    Args:
        network: maps (1, h, w, 3) uint8 to depth and, perhaps, log_error (1, h, w) float32.
        plan: see `FramePlan`.
    """

    unseen: Tensor | None

    def __init__(self, network: nn.Module, plan: FramePlan) -> None:
        super().__init__()
        self.network, self.plan = network, plan
        stays = plan.image_size == plan.network_size
        self.shrink = nn.Identity() if stays else ImageResize(plan.image_size, plan.network_size, plan.interpolation)
        rectifier = plan.options.rectifier
        self.register_buffer("unseen", torch.from_numpy(~rectifier.valid_mask) if rectifier else None)
        self.cloud = Cloud(plan.camera, plan.options) if plan.camera else None

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """What `unpack` takes, of ``image`` (H, W, 3) uint8; what is not wanted has no values."""
        canonical, *log_error = (m[0] for m in self.network(self.shrink(image)[None]))
        sums = sum((m.sum() for m in log_error), canonical.sum())
        depth, confidence = self._gated(self._metric(canonical), self._confidence(*log_error))
        missing = depth.new_empty(0)
        count, points = self.cloud(image, depth, confidence) if self.cloud else (missing, missing)
        return sums, depth, missing if confidence is None else confidence, count, points

    def _metric(self, canonical: Tensor) -> Tensor:
        return self._enlarged((canonical * self.plan.scale).clamp(self.plan.min_depth, self.plan.max_depth))

    def _confidence(self, log_error: Tensor | None = None) -> Tensor | None:
        """See `DepthEstimator`: 1 - exp(-ln(right_within) / b) with b = exp(log_error)."""
        options = self.plan.options
        if log_error is None:
            if options.min_confidence > 0:
                raise ValueError("min_confidence is set, but this checkpoint predicts no confidence; set it to 0")
            return None
        in_cloud = self.cloud is not None and options.confidence_field
        if not (options.confidence or in_cloud or options.min_confidence > 0):
            return None
        return self._enlarged(1 - (-math.log(self.plan.right_within) * (-log_error).exp()).exp())

    def _enlarged(self, small: Tensor) -> Tensor:
        if small.shape == self.plan.image_size:
            return small
        return interpolate(small[None, None], self.plan.image_size, mode="bilinear")[0, 0]

    def _gated(self, depth: Tensor, confidence: Tensor | None) -> tuple[Tensor, Tensor | None]:
        options = self.plan.options
        near = (depth < options.nearest) | (depth <= 0)
        depth = depth.masked_fill(depth > options.farthest, math.inf).masked_fill(near, -math.inf)
        if confidence is not None and options.min_confidence > 0:
            depth = depth.masked_fill(confidence < options.min_confidence, math.nan)
        if self.unseen is not None:
            depth = depth.masked_fill(self.unseen, math.nan)
            confidence = None if confidence is None else confidence.masked_fill(self.unseen, 0)
        return depth, confidence


class Cloud(nn.Module):
    """`CloudBuilder` for one pinhole camera."""

    rays: Tensor

    def __init__(self, camera: CameraModel, options: FrameOptions) -> None:
        super().__init__()
        self.options = options
        self.every = (slice(None, None, options.stride),) * 2
        self.register_buffer("rays", torch.from_numpy(camera.rays()[self.every]).permute(2, 0, 1).contiguous())
        self.strip = edge_strip(camera.width)
        limit = math.tan(math.radians(options.max_slant))
        self.scale_x, self.scale_y = camera.fx / limit, camera.fy / limit

    def forward(self, image: Tensor, depth: Tensor, confidence: Tensor | None) -> tuple[Tensor, Tensor]:
        """The number of good points (1,), an int32 in a float32's bits, and all points (rows, columns, lanes).

        When dense the points are (rows * columns, lanes), the good ones first.
        """
        good = self._good(depth)[self.every]
        z = depth[self.every].masked_fill(~good, math.nan)
        red, green, blue = image[self.every].int().unbind(-1)
        lanes = [*(self.rays * z), z, (red << 16 | green << 8 | blue).view(torch.float32)]
        if self.options.confidence_field and confidence is not None:
            lanes.append(confidence[self.every])
        points = torch.stack(lanes, dim=-1)
        if self.options.dense:
            points = self._good_first(points.flatten(0, 1), good.flatten())
        return good.sum(dtype=torch.int32).view(1).view(torch.float32), points

    def _good(self, depth: Tensor) -> Tensor:
        """Where there is a depth and no flying pixel; see `mono_depth_ros.pointcloud.flying_pixels`."""
        good = (depth >= _FLOAT.tiny) & (depth <= _FLOAT.max)
        if self.options.max_slant < 90:
            inverse = depth.reciprocal().masked_fill(~good, 0)
            across = excess(inverse, self.strip) * self.scale_x
            down = excess(inverse.T, self.strip).T * self.scale_y
            good = good & (torch.maximum(across, down) <= inverse)
        return good

    @staticmethod
    def _good_first(points: Tensor, good: Tensor) -> Tensor:
        """Points (n, lanes), the good ones first; sizes must not depend on values, or no graph could be captured."""
        places = (good.cumsum(0) - 1).masked_fill(~good, len(good))  # the bad ones all go to a row that is cut off
        return points.new_empty(len(good) + 1, points.shape[1]).index_copy(0, places, points)[:-1]


def excess(inverse: Tensor, strip: int) -> Tensor:
    """How much steeper 1 / depth (m, n) is at each pixel, along its row, than over a strip of pixels around it."""
    step = pad(inverse.diff(dim=-1).abs(), (1, 1))
    slope = torch.minimum(step[:, :-1], step[:, 1:])
    eroded = -max_pool1d(-slope, strip, stride=1, padding=strip // 2)
    return slope - max_pool1d(eroded, strip, stride=1, padding=strip // 2)


def unpack(
    sums: np.ndarray, depth: np.ndarray, confidence: np.ndarray, count: np.ndarray, points: np.ndarray
) -> FrameOutput:
    """What `FrameBackend.frame` returns, of what `WholeFrame` gave. FloatingPointError for a network gone wrong."""
    if not np.isfinite(sums):
        raise FloatingPointError("it gave values that are not finite")
    cloud = None
    if count.size:
        dtype = POINT_WITH_CONFIDENCE if 4 * points.shape[-1] == POINT_WITH_CONFIDENCE.itemsize else POINT
        good = slice(int(count.view(np.int32)[0])) if points.ndim == 2 else slice(None)
        cloud = points[good].view(dtype)[..., 0]
    return depth, confidence if confidence.size else None, cloud
