"""From an RGB-D frame to a sample: the paper's augmentation, and the canonical camera that keeps metres comparable.

Geometry acts on colour, depth and camera together, so that a frame stays a true picture of some camera; every random
number comes from the generator given.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.transforms import v2

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.checkpoint import STRIDE
from mono_depth_ros.estimator import network_size
from training.data.frame import RgbdFrame

Sample = dict[str, Tensor]

Rgb = tuple[float, float, float]
# Mean and deviation of ImageNet's RGB in [0, 1], which most encoders were pretrained with.
IMAGENET: tuple[Rgb, Rgb] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
MIN_DEPTH = 1e-3


def flip(frame: RgbdFrame) -> RgbdFrame:
    """Mirror left and right."""
    camera = replace(frame.camera, cx=frame.camera.width - 1 - frame.camera.cx)
    return replace(frame, rgb=frame.rgb[:, ::-1], depth=frame.depth[:, ::-1], camera=camera)


def crop(frame: RgbdFrame, x: int, y: int, width: int, height: int) -> RgbdFrame:
    """Keep the width x height window whose first pixel is (x, y)."""
    window = np.s_[y : y + height, x : x + width]
    camera = frame.camera.cropped(x, y, width, height)
    return replace(frame, rgb=frame.rgb[window], depth=frame.depth[window], camera=camera)


def resize(frame: RgbdFrame, width: int, height: int) -> RgbdFrame:
    """Bring to width x height: colour smoothly, depth by its nearest pixel, so that edges gain no in-between depth."""
    if (width, height) == (frame.camera.width, frame.camera.height):
        return frame
    smooth = cv2.INTER_AREA if width < frame.camera.width else cv2.INTER_LINEAR
    rgb = np.asarray(cv2.resize(frame.rgb, (width, height), interpolation=smooth), np.uint8)
    depth = np.asarray(cv2.resize(frame.depth, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), np.float32)
    return RgbdFrame(frame.name, rgb, depth, frame.camera.resized(width, height))


def turn(frame: RgbdFrame, axis_angle: Sequence[float] | NDArray[np.float64]) -> RgbdFrame:
    """What the camera sees after a turn about its own centre: an exact homography, whatever the depth.

    axis_angle (3,), radians, in the optical frame: its direction is the axis, its length the angle. Depth is along the
    new optical axis; what the frame does not show becomes unknown, with the nearest colour.
    """
    camera = frame.camera
    rotation = cv2.Rodrigues(np.asarray(axis_angle, np.float64))[0]  # columns: the new axes, in the old frame
    to_frame = camera.matrix @ rotation @ np.linalg.inv(camera.matrix)
    size = (camera.width, camera.height)
    rgb = cv2.warpPerspective(
        frame.rgb, to_frame, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    depth = cv2.warpPerspective(frame.depth, to_frame, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    forward = camera.rays() @ rotation[2, :2].astype(np.float32) + np.float32(rotation[2, 2])
    return replace(frame, rgb=np.asarray(rgb, np.uint8), depth=np.asarray(depth / forward, np.float32))


def cut_depth(image: Tensor, depth: Tensor, left: int, width: int, max_depth: float) -> Tensor:
    """Replace columns left..left+width of the image by depth / max_depth as grey (CutDepth, vertical).

    image (3, H, W) uint8; depth (1, H, W) as the network is to predict it, so that grey names the target itself.
    """
    columns = np.s_[..., left : left + width]
    image = image.clone()
    image[columns] = (depth[columns] * (255 / max_depth)).clamp(0, 255).round().to(torch.uint8)
    return image


def focal_length(camera: CameraModel) -> float:
    """Geometric mean of fx and fy, pixels."""
    return float(np.sqrt(camera.fx * camera.fy))


def covering_scale(camera: CameraModel, input_size: tuple[int, int]) -> float:
    """By how much to resize the camera's image for it to cover input_size (height, width)."""
    return max(input_size[0] / camera.height, input_size[1] / camera.width)


def canonical_focal_length(input_size: tuple[int, int]) -> float:
    """Focal length, in pixels, of NYU Depth V2's camera with its image covering input_size (height, width)."""
    nyu = CameraModel.nyu()
    return focal_length(nyu) * covering_scale(nyu, input_size)


@dataclass(frozen=True)
class TrainTransform:
    """Training: flip, turn, zoom and crop, colour, the canonical camera, CutDepth; the defaults are the paper's.

    Attributes:
        input_size: height and width that a whole frame is brought to (it covers them, where its shape is another).
        focal_length: pixels, of the canonical camera; None is that of NYU Depth V2 brought to input_size.
        crop_size: height and width of the part of it that is taken, and of the samples.
        scales: by which both sizes are multiplied, one of them a batch; samples then have multiples of 32 pixels. The
            canonical camera stays: a frame shown larger has nearer canonical depth, as in `estimator.metric_scale`.
        zoom: smallest and largest magnification, at least 1; a magnified frame has a longer focal length, and so
            nearer canonical depth.
        flip: probability of mirroring.
        turn: degrees, standard deviation of random turns of the camera about each of its axes.
        cut_depth: probability of CutDepth.
        cut_depth_width: CutDepth's width, as a share of what lies right of its left edge, at most.
        color: largest change of brightness, contrast and saturation, as shares, and of hue, in turns.
        grey: probability of losing all colour.
        blur: largest standard deviation of a Gaussian blur that half of the samples get, pixels.
        noise: largest standard deviation of Gaussian noise, as a share of the range.
        erase: probability of covering a rectangle of up to an eighth of the image with one colour.
        max_depth: metres; canonical depth is valid between 1 mm and it.
        normalisation: mean and deviation of RGB in [0, 1] that the encoder was pretrained with.
    """

    input_size: tuple[int, int] = (480, 640)
    focal_length: float | None = None
    crop_size: tuple[int, int] = (448, 576)
    scales: tuple[float, ...] = (1.0,)
    zoom: tuple[float, float] = (1.0, 1.0)
    flip: float = 0.5
    turn: float = 0.0
    cut_depth: float = 0.25
    cut_depth_width: float = 0.75
    color: tuple[float, float, float, float] = (0.2, 0.2, 0.2, 0.05)
    grey: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    erase: float = 0.0
    max_depth: float = 10.0
    normalisation: tuple[Rgb, Rgb] = IMAGENET

    def __post_init__(self) -> None:
        if any(part > whole for part, whole in zip(self.crop_size, self.input_size, strict=True)):
            raise ValueError(f"crop_size: found {self.crop_size}, expected no more than input_size {self.input_size}")
        if not 1 <= self.zoom[0] <= self.zoom[1]:
            raise ValueError(f"zoom: found {self.zoom}, expected 1 <= smallest <= largest")
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f"scales: found {self.scales}, expected one positive number or more")

    @property
    def canonical(self) -> float:
        """Focal length of the canonical camera, pixels."""
        return self.focal_length or canonical_focal_length(self.input_size)

    def __call__(self, frame: RgbdFrame, rng: np.random.Generator, scale: float = 1.0) -> Sample:
        """Sample of one frame, ``scale`` times as large as ``crop_size``.

        Returns image (3, h, w) float32, normalised; depth (1, h, w) float32, metres in the canonical camera; mask
        (1, h, w) bool, where depth is valid.
        """
        if rng.random() < self.flip:
            frame = flip(frame)
        if self.turn:
            frame = turn(frame, rng.normal(0, np.radians(self.turn), 3))
        frame = self._zoom_and_crop(frame, rng, scale)
        image = seeded(self._colors, image_tensor(frame), seed=int(rng.integers(2**63)))
        depth = depth_tensor(frame) * (self.canonical / focal_length(frame.camera))
        if rng.random() < self.cut_depth:
            image = self._cut_depth(image, depth, rng)
        return {"image": normalised(image, self.normalisation), "depth": depth, "mask": valid(depth, self.max_depth)}

    @cached_property
    def _colors(self) -> nn.Module:
        """All that changes colour and leaves geometry alone."""
        steps: list[nn.Module] = [v2.ColorJitter(*self.color)]
        if self.grey:
            steps.append(v2.RandomGrayscale(self.grey))
        if self.blur:
            kernel = 2 * int(np.ceil(2 * self.blur)) + 1
            steps.append(v2.RandomApply([v2.GaussianBlur(kernel, (0.1, self.blur))], p=0.5))
        if self.noise:
            steps.append(Noise(self.noise))
        if self.erase:
            steps.append(RandomErasing(self.erase))
        return v2.Compose(steps)

    def _cut_depth(self, image: Tensor, depth: Tensor, rng: np.random.Generator) -> Tensor:
        """CutDepth with the strip that GLPDepth draws, but of canonical depth, after all that could change its grey."""
        alpha, beta = rng.random(2)
        columns = image.shape[-1]
        width = int(max((columns - alpha * columns) * beta * self.cut_depth_width, 1))
        return cut_depth(image, depth, int(alpha * columns), width, self.max_depth)

    def _zoom_and_crop(self, frame: RgbdFrame, rng: np.random.Generator, scale: float = 1.0) -> RgbdFrame:
        """Cut the window that the magnified frame's crop shows, then resize it: one resampling for both."""
        camera = frame.camera
        sample = self.crop_size if scale == 1 else [STRIDE * round(side * scale / STRIDE) for side in self.crop_size]
        covering = covering_scale(camera, self.input_size) * scale
        magnification = float(np.exp(rng.uniform(*np.log(self.zoom))))
        height, width = (
            min(round(side / (covering * magnification)), whole)
            for side, whole in zip(sample, (camera.height, camera.width), strict=True)
        )
        x = int(rng.integers(camera.width - width + 1))
        y = int(rng.integers(camera.height - height + 1))
        return resize(crop(frame, x, y, width, height), sample[1], sample[0])


@dataclass(frozen=True)
class EvaluationTransform:
    """Evaluation: the whole frame as the node shows it to the network, with its true depth at its own resolution.

    Attributes:
        input_size: height and width; the image keeps its shape and gets about as many pixels, see `network_size`.
        canonical: focal length of the canonical camera, pixels.
        max_depth: metres; truth is valid between 1 mm and it.
        normalisation: see `TrainTransform`.
    """

    input_size: tuple[int, int]
    canonical: float
    max_depth: float
    normalisation: tuple[Rgb, Rgb] = IMAGENET

    def __call__(self, frame: RgbdFrame, rng: np.random.Generator, scale: float = 1.0) -> Sample:
        """Sample of one frame; nothing is random, and ``scale`` is not used: whole frames are evaluated.

        Returns image (3, h, w) float32, normalised; depth (1, H, W) float32, metres; mask (1, H, W) bool, where depth
        is valid; scale () float32, metres per metre of canonical depth.
        """
        camera = frame.camera
        height, width = network_size(camera.height, camera.width, self.input_size)
        shown = resize(frame, width, height)
        metres = focal_length(shown.camera) / self.canonical
        depth = depth_tensor(frame)
        return {
            "image": normalised(image_tensor(shown), self.normalisation),
            "depth": depth,
            "mask": valid(depth, self.max_depth),
            "scale": torch.tensor(metres, dtype=torch.float32),
        }


def image_tensor(frame: RgbdFrame) -> Tensor:
    """(3, H, W) uint8."""
    return torch.from_numpy(np.ascontiguousarray(frame.rgb)).permute(2, 0, 1).contiguous()


def depth_tensor(frame: RgbdFrame) -> Tensor:
    """(1, H, W) float32."""
    return torch.from_numpy(np.ascontiguousarray(frame.depth))[None]


def normalised(image: Tensor, normalisation: tuple[Rgb, Rgb]) -> Tensor:
    """(3, H, W) float32, mean and deviation taken out, of (3, H, W) uint8."""
    mean, std = (255 * torch.tensor(values).view(3, 1, 1) for values in normalisation)
    return image.float().sub_(mean).div_(std)


def valid(depth: Tensor, max_depth: float) -> Tensor:
    """Boolean: known and in range."""
    return (depth > MIN_DEPTH) & (depth < max_depth)


class Noise(nn.Module):
    """Gaussian noise of a random strength up to ``largest``, a share of the range of uint8."""

    def __init__(self, largest: float) -> None:
        super().__init__()
        self.largest = largest

    def forward(self, image: Tensor) -> Tensor:
        """Image (3, H, W) uint8 to the same."""
        sigma = 255 * self.largest * torch.rand(())
        return (image + sigma * torch.randn(image.shape)).clamp(0, 255).round().to(torch.uint8)


class RandomErasing(nn.Module):
    """Cover a rectangle of 2 % to an eighth of the image with one random colour, with probability ``p``."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, image: Tensor) -> Tensor:
        """Image (3, H, W) uint8 to the same."""
        color = torch.randint(256, (3,)).tolist()
        return v2.RandomErasing(self.p, scale=(0.02, 0.125), value=color)(image)


def seeded(transform: nn.Module, image: Tensor, seed: int) -> Tensor:
    """Apply a torchvision transform, which draws from torch's global generator, as if that were seeded with seed."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)  # torch.manual_seed would reseed the GPU too
        return transform(image)
