"""RGB image and its camera -> metric depth and confidence, on the best engine here."""

import math
import os
from dataclasses import dataclass
from time import perf_counter

import cv2
import numpy as np

from mono_depth_ros import checkpoint as checkpoints
from mono_depth_ros.backends import Backend, BackendError, select
from mono_depth_ros.camera import CameraModel
from mono_depth_ros.checkpoint import STRIDE, Checkpoint, CheckpointInfo

MIN_DEPTH = 1e-3
# A depth counts as right where it is within this factor of the truth, as in the metric delta < 1.25.
RIGHT_WITHIN = 1.25


@dataclass(frozen=True)
class Prediction:
    """What the network saw.

    The arrays belong to the estimator and hold until its next `DepthEstimator.predict`; `copy` keeps them.

    Attributes:
        depth: (H, W) float32, metres along the optical axis; finite, above 0, at most the network's range with this
            lens.
        confidence: (H, W) float32 in [0, 1], the probability that depth is within a factor of 1.25 of the truth; None
            where the network does not predict its error, or nobody asked.
    """

    depth: np.ndarray
    confidence: np.ndarray | None

    def copy(self) -> "Prediction":
        """The same with arrays of its own."""
        return Prediction(self.depth.copy(), None if self.confidence is None else self.confidence.copy())


class DepthEstimator:
    """Metric depth from single images of any size.

    Attributes:
        checkpoint: the verified checkpoint.
        backend: the engine that runs now.
        choice: the same in words, and why it was taken; None for a backend of one's own.
        input_size: (height, width) whose product is how many pixels the network gets.
        timings: seconds the last prediction spent by stage: ``resize``, ``network``, ``scale``.
    """

    def __init__(self, checkpoint: Checkpoint, backend: Backend, input_size: tuple[int, int] | None = None) -> None:
        self.checkpoint = checkpoint
        self.backend = backend
        self.choice: select.Choice | None = None
        self.input_size = input_size or checkpoint.info.input_size
        self.timings = {"resize": 0.0, "network": 0.0, "scale": 0.0}
        self._threads = 0
        size = network_size(*self.input_size, self.input_size)
        self._arrays = _Arrays(size, size)

    @classmethod
    def load(
        cls,
        checkpoint: str | os.PathLike[str] | None = None,
        backend: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        input_size: tuple[int, int] | None = None,
        threads: int = 0,
    ) -> "DepthEstimator":
        """Verify a checkpoint and start the best engine for it.

        Args:
            checkpoint: a ``.safetensors`` file; None is the shipped one.
            backend: ``auto``, ``torch``, ``openvino`` or ``onnxruntime``.
            device: ``auto``, ``cpu``, ``cuda`` or ``tensorrt``.
            precision: ``auto``, ``fp32``, ``bf16``, ``fp16`` or ``int8``.
            input_size: (height, width) whose product is how many pixels the network gets; the image keeps its shape.
                None is the checkpoint's own.
            threads: of the CPU; 0 leaves the engine's choice.

        Raises:
            CheckpointError: the checkpoint is missing or damaged.
            BackendError: no engine here meets the request, or each one failed to start.
            ValueError: an option that does not exist, or an input size below 32 x 32.
        """
        loaded = checkpoints.load(checkpoint)
        budget = input_size or loaded.info.input_size
        engine, choice = select.start(loaded, network_size(*budget, budget), backend, device, precision, threads)
        estimator = cls(loaded, engine, budget)
        estimator.choice, estimator._threads = choice, threads
        return estimator

    def predict(self, rgb: np.ndarray, camera: CameraModel | None = None, confidence: bool = True) -> Prediction:
        """Estimate the depth of one image.

        Args:
            rgb: (H, W, 3) uint8; rows may be padded.
            camera: of this image, without distortion; None assumes that the image's longer side spans the same field
                of view as NYU Depth V2's camera (63 degrees), and depth is as wrong as that assumption.
            confidence: compute it.

        Raises:
            ValueError: an image or a camera of another shape.
            BackendError: the engine failed or gave values that are not finite; `fall_back` may help.
        """
        height, width = _checked_size(rgb, camera)
        started = perf_counter()
        if (height, width) != self._arrays.image_size:
            self._arrays = _Arrays((height, width), network_size(height, width, self.input_size))
        small = self._arrays.shrink(rgb)
        resized = perf_counter()
        depth, log_error = self.backend.infer(small)
        inferred = perf_counter()
        self._check_finite(depth, log_error)
        scale = metric_scale((height, width), self._arrays.network_size, self.checkpoint.info, camera)
        prediction = Prediction(
            self._arrays.metric(depth, scale, self.checkpoint.info.max_depth),
            self._arrays.confident(log_error) if confidence and log_error is not None else None,
        )
        self.timings.update(resize=resized - started, network=inferred - resized, scale=perf_counter() - inferred)
        return prediction

    def fall_back(self) -> None:
        """Leave an engine that failed in mid-stream and start the best one on the CPU afresh. Raises `BackendError`."""
        size = self._arrays.network_size
        self.backend, self.choice = select.start(self.checkpoint, size, device="cpu", threads=self._threads)

    def _check_finite(self, *maps: np.ndarray | None) -> None:
        """Raise BackendError for NaN or infinity. A sum has one if any pixel has, and costs next to nothing."""
        if not all(math.isfinite(float(m.sum())) for m in maps if m is not None):
            b = self.backend
            raise BackendError(f"{b.name} on {b.device} in {b.precision} gave values that are not finite")


def network_size(height: int, width: int, budget: tuple[int, int]) -> tuple[int, int]:
    """(height, width) for the network: the image's shape, as many pixels as ``budget``'s product, multiples of 32."""
    pixels = budget[0] * budget[1]
    if min(budget) < 1 or pixels < STRIDE * STRIDE:
        raise ValueError(f"input_size: found {budget}, expected (height, width) of at least {STRIDE} x {STRIDE} pixels")
    ratio = math.sqrt(pixels / (height * width))
    longest = pixels // STRIDE
    sides = (STRIDE * round(min(side * ratio, longest) / STRIDE) for side in (height, width))
    network_height, network_width = (max(side, STRIDE) for side in sides)
    return network_height, network_width


def metric_scale(
    image: tuple[int, int], network: tuple[int, int], info: CheckpointInfo, camera: CameraModel | None
) -> float:
    """Metres per metre of canonical depth: focal length of the resized image over the canonical one.

    A shorter lens shows the same object smaller, as if it were farther; the ratio takes that back (Metric3D's label
    transform; Yin et al., 2023).

    Args:
        image: (height, width) of the image.
        network: (height, width) of what the network gets.
        info: has the canonical focal length.
        camera: of the image; None assumes the canonical field of view along the longer side.
    """
    if camera is None:
        fx = fy = info.focal_length * max(image) / max(info.input_size)
    else:
        fx, fy = camera.fx, camera.fy
    resized = math.sqrt(fx * network[1] / image[1] * fy * network[0] / image[0])
    return resized / info.focal_length


class _Arrays:
    """Everything one image size needs, allocated once; sizes are (height, width)."""

    def __init__(self, image_size: tuple[int, int], network_size: tuple[int, int]) -> None:
        self.image_size = image_size
        self.network_size = network_size
        self._rgb = np.empty((*network_size, 3), np.uint8)
        self._map = np.empty(network_size, np.float32)
        self._depth = np.empty(image_size, np.float32)
        self._confidence = np.empty(image_size, np.float32)

    def shrink(self, rgb: np.ndarray) -> np.ndarray:
        """The image at the network's size."""
        if self.image_size == self.network_size:
            return rgb
        height, width = self.network_size
        smaller = height * width < rgb.shape[0] * rgb.shape[1]
        return cv2.resize(
            rgb, (width, height), self._rgb, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        )

    def metric(self, canonical: np.ndarray, scale: float, max_depth: float) -> np.ndarray:
        """Metric depth at the image's size."""
        small = self._depth if self.image_size == self.network_size else self._map
        np.multiply(canonical, np.float32(scale), out=small)
        np.clip(small, np.float32(MIN_DEPTH), np.float32(max_depth * scale), out=small)
        return self._enlarged(small, self._depth)

    def confident(self, log_error: np.ndarray) -> np.ndarray:
        """P(|ln d - ln d*| < ln 1.25) = 1 - exp(-ln(1.25) / b), Laplace-distributed with scale b = exp(log_error)."""
        small = self._confidence if self.image_size == self.network_size else self._map
        np.negative(log_error, out=small)
        cv2.exp(small, small)
        np.multiply(small, np.float32(-math.log(RIGHT_WITHIN)), out=small)
        cv2.exp(small, small)
        np.subtract(np.float32(1), small, out=small)
        return self._enlarged(small, self._confidence)

    def _enlarged(self, small: np.ndarray, large: np.ndarray) -> np.ndarray:
        if small is not large:
            cv2.resize(small, large.shape[::-1], large, interpolation=cv2.INTER_LINEAR)
        return large


def _checked_size(rgb: np.ndarray, camera: CameraModel | None) -> tuple[int, int]:
    """(height, width) of an image that has a valid shape and fits its camera."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
        raise ValueError(f"image: found {rgb.dtype} of shape {rgb.shape}, expected uint8 (height, width, 3) RGB")
    height, width = rgb.shape[:2]
    if camera is not None and (camera.height, camera.width) != (height, width):
        raise ValueError(
            f"camera: found {camera.width}x{camera.height} for an image of {width}x{height} pixels, "
            "expected the same size; CameraModel.resized fits one to the other"
        )
    return height, width
