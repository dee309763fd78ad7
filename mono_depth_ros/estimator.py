"""RGB image and its camera -> metric depth and confidence, on the best engine here."""

import math
import os
from dataclasses import dataclass
from time import perf_counter

import cv2
import numpy as np

from mono_depth_ros import checkpoint as checkpoints
from mono_depth_ros.backends import Backend, BackendError, FrameBackend, FrameOptions, FramePlan, select
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
        cloud: as `CloudBuilder.build` gives it; None but from `DepthEstimator.predict_frame`.
    """

    depth: np.ndarray
    confidence: np.ndarray | None
    cloud: np.ndarray | None = None

    def copy(self) -> "Prediction":
        """The same with arrays of its own."""
        confidence, cloud = (None if a is None else a.copy() for a in (self.confidence, self.cloud))
        return Prediction(self.depth.copy(), confidence, cloud)


class DepthEstimator:
    """Metric depth from single images of any size.

    Attributes:
        checkpoint: the verified checkpoint.
        backend: the engine that runs now.
        choice: the same in words, and why it was taken; None for a backend of one's own.
        input_size: (height, width) whose product is how many pixels the network gets.
        timings: seconds the last prediction spent by stage: ``resize``, ``network``, ``scale``; on a device that does
            the whole frame, all of them are in ``network``.
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
        if prediction := self.predict_frame(rgb, camera, FrameOptions(confidence)):
            return prediction
        started = perf_counter()
        scale = self._scale_of(rgb, camera)
        small = self._arrays.shrink(rgb)
        resized = perf_counter()
        depth, log_error = self.backend.infer(small)
        inferred = perf_counter()
        self._check_finite(depth, log_error)
        prediction = Prediction(
            self._arrays.metric(depth, scale, self.checkpoint.info.max_depth),
            self._arrays.confident(log_error) if confidence and log_error is not None else None,
        )
        self.timings.update(resize=resized - started, network=inferred - resized, scale=perf_counter() - inferred)
        return prediction

    def predict_frame(
        self, rgb: np.ndarray, camera: CameraModel | None = None, options: FrameOptions | None = None
    ) -> Prediction | None:
        """Do a whole frame on a GPU: `predict`, then the gates and the cloud of ``options``.

        Depth is what the options' gates make of it, so it may be NaN or infinite; without a camera there is no cloud.
        The first frame of a size, a camera or other options is slow: the device's work is laid out anew.

        Returns None where the engine can't: on every CPU, and on a GPU with another engine than PyTorch.

        Raises:
            ValueError, BackendError: see `predict`; also ValueError for a minimum of confidence that this network
                does not predict, and for options that mean nothing.
        """
        if self.backend.device == "cpu" or not isinstance(self.backend, FrameBackend):
            return None
        started = perf_counter()
        options = options or FrameOptions()
        scale = self._scale_of(rgb, camera)
        plan = FramePlan(
            image_size=self._arrays.image_size,
            network_size=self._arrays.network_size,
            interpolation=self._arrays.interpolation,
            scale=scale,
            min_depth=MIN_DEPTH,
            max_depth=self.checkpoint.info.max_depth * scale,
            right_within=RIGHT_WITHIN,
            camera=camera if options.cloud else None,
            options=options,
        )
        prediction = Prediction(*self.backend.frame(rgb, plan))
        self.timings.update(resize=0.0, network=perf_counter() - started, scale=0.0)
        return prediction

    def fall_back(self) -> None:
        """Leave an engine that failed in mid-stream and start the best one on the CPU afresh. Raises `BackendError`."""
        size = self._arrays.network_size
        self.backend, self.choice = select.start(self.checkpoint, size, device="cpu", threads=self._threads)

    def _scale_of(self, rgb: np.ndarray, camera: CameraModel | None) -> float:
        """See `metric_scale`; the arrays fit the image then."""
        size = _checked_size(rgb, camera)
        if size != self._arrays.image_size:
            self._arrays = _Arrays(size, network_size(*size, self.input_size))
        return metric_scale(size, self._arrays.network_size, self.checkpoint.info, camera)

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
        smaller = math.prod(network_size) < math.prod(image_size)
        self.interpolation = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        self._rgb = np.empty((*network_size, 3), np.uint8)
        self._map = np.empty(network_size, np.float32)
        self._depth = np.empty(image_size, np.float32)
        self._confidence = np.empty(image_size, np.float32)

    def shrink(self, rgb: np.ndarray) -> np.ndarray:
        """The image at the network's size."""
        if self.image_size == self.network_size:
            return rgb
        return cv2.resize(rgb, self.network_size[::-1], self._rgb, interpolation=self.interpolation)

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
