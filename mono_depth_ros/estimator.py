"""RGB image and its camera -> metric depth and its sigma, on the best backend here."""

import math
import os
from time import perf_counter

import cv2
import numpy as np

from mono_depth_ros import checkpoint as checkpoints
from mono_depth_ros.alignment import NotMetricError
from mono_depth_ros.backends import Backend, Maps, NotFiniteError, select
from mono_depth_ros.camera import CameraModel
from mono_depth_ros.checkpoint import STRIDE, Checkpoint, CheckpointInfo
from mono_depth_ros.picture import flaw
from mono_depth_ros.prediction import METRES, Prediction, blinded

MIN_DEPTH = 1e-3
# Whatever the network says, sigma is a finite number above 0.
MOST_LOG_ERROR = 20.0


class DepthEstimator:
    """Metric depth from single images of any size.

    Attributes:
        checkpoint: the verified checkpoint.
        backend: what runs the network now.
        choice: the same in words, and why it was taken; None for a backend of one's own.
        input_size: (height, width) whose product is how many pixels the network gets.
        retried: how many predictions were made once more in single precision, for they had not been finite.
        timings: seconds the last prediction spent by stage: ``network``, ``scale``.
    """

    def __init__(self, checkpoint: Checkpoint, backend: Backend, input_size: tuple[int, int] | None = None) -> None:
        self.checkpoint = checkpoint
        self.backend = backend
        self.choice: select.Choice | None = None
        self.input_size = input_size or checkpoint.info.input_size
        self.timings = {"network": 0.0, "scale": 0.0}
        self.retried = 0
        self._threads = 0
        self._wider: Backend | None = None

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
        """Verify a checkpoint and start the best backend for it.

        Args:
            checkpoint: a ``.safetensors`` file, or one that ships by its name: ``fast`` (None is that) or ``accurate``.
            backend: ``auto``, ``torch``, ``openvino``, ``onnxruntime`` or ``opencv``.
            device: ``auto``, ``cpu``, ``cuda`` or ``tensorrt``.
            precision: ``auto``, ``fp32``, ``bf16``, ``fp16`` or ``int8``.
            input_size: (height, width) whose product is how many pixels the network gets; the image keeps its shape.
                None is the checkpoint's own.
            threads: of the CPU; 0 leaves the backend's choice.

        Raises:
            CheckpointError: the checkpoint is missing or damaged.
            BackendError: no backend here meets the request, or each one failed to start.
            ValueError: an option that does not exist, or an input size below 32 x 32, or one that the network does not
                take.
        """
        loaded = checkpoints.load(checkpoint)
        info = loaded.info
        budget = input_size or info.input_size
        if not info.multiple and budget != info.input_size:
            raise ValueError(f"input_size: found {budget}, expected {info.input_size}: the network takes that alone")
        size = network_size(*budget, budget, info.multiple)
        started, choice = select.start(loaded, size, backend, device, precision, threads)
        estimator = cls(loaded, started, budget)
        estimator.choice, estimator._threads = choice, threads
        return estimator

    def predict(self, rgb: np.ndarray, camera: CameraModel | None = None, out: Prediction | None = None) -> Prediction:
        """Estimate the depth of one image, and how sure it is.

        Args:
            rgb: (H, W, 3) uint8; rows may be padded.
            camera: of this image, without distortion; None assumes that the image's longer side spans the same field
                of view as NYU Depth V2's camera (63 degrees), and depth is as wrong as that assumption.
            out: (H, W) float32 arrays that are written and returned, so that nothing is allocated; where its sigma is
                None, none is computed. None allocates both.

        Returns:
            Depth, at most the network's range with this lens; sigma is None where the network does not predict it.

        Raises:
            ValueError: an image, a camera or an ``out`` of another shape.
            NotMetricError: the network knows no metres; see `estimate`.
            NotFiniteError: the network gave values that are not finite, also in single precision.
            BackendError: the backend failed; `fall_back` may help.
        """
        if not self.checkpoint.info.is_metric:
            raise NotMetricError(
                f"{self.checkpoint.path}: its output is {self.checkpoint.info.output_kind}, without a scale; expected "
                "depths that another sensor knows (anchors), or a checkpoint whose output is metres"
            )
        return self.estimate(rgb, camera, out)

    def estimate(self, rgb: np.ndarray, camera: CameraModel | None = None, out: Prediction | None = None) -> Prediction:
        """`predict` by any network: `fuse` makes metres of what one says that knows none (`Prediction.kind`)."""
        info = self.checkpoint.info
        started = perf_counter()
        image_size = _checked_size(rgb, camera)
        out = _checked(out, image_size) if out else Prediction(*np.empty((2, *image_size), np.float32))

        # Depth as the canonical camera would see it, and the logarithm of its error's scale.
        size = network_size(*image_size, self.input_size, info.multiple)
        depth, log_error = self._infer(rgb, size)
        inferred = perf_counter()
        if info.output_kind == "log-metres":
            cv2.exp(depth, depth)

        # Depth as this camera sees it: farther in proportion to its focal length.
        if info.is_metric:
            scale = metric_scale(image_size, size, info, camera)
            np.multiply(depth, np.float32(scale), out=depth)
            np.clip(depth, np.float32(MIN_DEPTH), np.float32(info.max_depth * scale), out=depth)
        _enlarge(depth, out.depth)

        # The error of ln(depth) is distributed as Laplace's, whose standard deviation is sqrt(2) times its scale.
        sigma = None
        if log_error is not None and out.sigma is not None:
            sigma = out.sigma
            np.clip(log_error, -MOST_LOG_ERROR, MOST_LOG_ERROR, out=log_error)
            cv2.exp(log_error, log_error)
            np.multiply(log_error, np.float32(math.sqrt(2)), out=log_error)
            _enlarge(log_error, sigma)

        # A picture that shows nothing says nothing of depth, however sure the network is of the room that it imagines.
        prediction = Prediction(out.depth, sigma, kind=METRES if info.is_metric else info.output_kind)
        why = flaw(rgb)
        prediction = blinded(prediction, why) if why else prediction
        self.timings.update(network=inferred - started, scale=perf_counter() - inferred)
        return prediction

    def fall_back(self) -> None:
        """Leave a backend that failed in mid-stream and start the best one on the CPU afresh. Raises `BackendError`."""
        size = network_size(*self.input_size, self.input_size, self.checkpoint.info.multiple)
        self.backend, self.choice = select.start(self.checkpoint, size, device="cpu", threads=self._threads)
        self._wider = None

    def _infer(self, rgb: np.ndarray, size: tuple[int, int]) -> Maps:
        """The network's maps; where they are not finite, those of the same device in single precision."""
        maps = self.backend.infer(rgb, size)
        if _is_finite(maps):
            return maps
        if self.backend.precision != "fp32":
            self.retried += 1
            self._wider = self._wider or select.create(self.checkpoint, select.wider(self.backend), self._threads)
            maps = self._wider.infer(rgb, size)
            if _is_finite(maps):
                return maps
        raise NotFiniteError(f"{self.backend.name} on {self.backend.device} gave values that are not finite in fp32")


def network_size(height: int, width: int, budget: tuple[int, int], multiple: int = STRIDE) -> tuple[int, int]:
    """(height, width) for the network: the image's shape, as many pixels as ``budget``'s product, multiples of such.

    With ``multiple`` 0 the network takes one size alone, ``budget``, and the image is stretched to it.
    """
    if not multiple:
        return budget
    pixels = budget[0] * budget[1]
    if min(budget) < 1 or pixels < multiple * multiple:
        least = f"{multiple} x {multiple} pixels"
        raise ValueError(f"input_size: found {budget}, expected (height, width) of at least {least}")
    ratio = math.sqrt(pixels / (height * width))
    longest = pixels // multiple
    sides = (multiple * round(min(side * ratio, longest) / multiple) for side in (height, width))
    network_height, network_width = (max(side, multiple) for side in sides)
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
    if info.focal_length is None:
        return 1.0
    if camera is None:
        fx = fy = info.focal_length * max(image) / max(info.input_size)
    else:
        fx, fy = camera.fx, camera.fy
    resized = math.sqrt(fx * network[1] / image[1] * fy * network[0] / image[0])
    return resized / info.focal_length


def _is_finite(maps: Maps) -> bool:
    """Whether all values are. A sum is not finite if any value is not, and costs next to nothing."""
    return all(math.isfinite(float(m.sum())) for m in maps if m is not None)


def _enlarge(small: np.ndarray, out: np.ndarray) -> None:
    """Fill ``out`` with a map of another size."""
    cv2.resize(small, out.shape[::-1], dst=out, interpolation=cv2.INTER_LINEAR)


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


def _checked(out: Prediction, size: tuple[int, int]) -> Prediction:
    """The same; ValueError unless OpenCV can write into it."""
    for array in (out.depth, out.sigma):
        if array is not None and (array.shape != size or array.dtype != np.float32 or not array.flags.c_contiguous):
            raise ValueError(f"out: found {array.dtype} of shape {array.shape}, expected contiguous float32 {size}")
    return out
