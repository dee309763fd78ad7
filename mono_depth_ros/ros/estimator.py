"""The estimator as the node uses it: loaded by the settings, moved to the CPU when its device fails, described."""

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.backends import BackendError, NotFiniteError
from mono_depth_ros.camera import CameraModel
from mono_depth_ros.checkpoint import CheckpointError
from mono_depth_ros.estimator import DepthEstimator, metric_scale, network_size
from mono_depth_ros.fusion import Prior
from mono_depth_ros.prediction import Prediction
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.ros.problems import Problems

AREA = "backend"
# The network's sigmoid squeezes everything farther than it was taught into the last few percent of its range.
_SATURATED = 0.95


class NodeEstimator:
    """Runs the network. Creation raises what DepthEstimator.load raises."""

    def __init__(self, settings: Settings, problems: Problems) -> None:
        height, width = settings.input_size
        self._problems = problems
        problems.clear(AREA, "fallback")
        self._estimator = DepthEstimator.load(
            checkpoint=settings.checkpoint or None,
            backend=settings.backend,
            device=settings.device,
            precision=settings.precision,
            input_size=(height, width) if height else None,
            threads=settings.threads,
        )
        checkpoint = self._estimator.checkpoint
        has_sensor = settings.anchor_range or settings.anchor_scan or settings.anchor_points
        if not checkpoint.info.is_metric and not has_sensor:
            raise CheckpointError(
                f"{checkpoint.path}: its output is {checkpoint.info.output_kind}, without a scale; expected one whose "
                "output is metres, or a sensor that gives it some: anchor_scan, anchor_points or anchor_range"
            )

    def predict(self, rgb: NDArray[np.uint8], camera: CameraModel | None, out: Prediction) -> Prediction:
        """DepthEstimator.estimate; an accelerator that fails is left for the CPU, from this frame on."""
        backend, retried = self._estimator.backend, self._estimator.retried
        try:
            prediction = self._estimator.estimate(rgb, camera, out)
        except NotFiniteError:
            raise
        except BackendError as error:
            if backend.device == "cpu":
                raise
            self._estimator.fall_back()
            text = f"{error}; running on the CPU from here on. Clean up and configure to go back to {backend.device}"
            self._problems.stand(AREA, "fallback", text, is_error=True)
            prediction = self._estimator.estimate(rgb, camera, out)
        if self._estimator.retried > retried:
            text = f"values in {backend.precision} were not finite; this frame was computed again in fp32"
            self._problems.warn(AREA, "not finite", text)
        return prediction

    def farthest(self, shape: tuple[int, ...], camera: CameraModel | None) -> float:
        """Metres beyond which a depth in an image of this (height, width) only says that it is far."""
        info = self._estimator.checkpoint.info
        image = shape[0], shape[1]
        size = network_size(*image, self._estimator.input_size, info.multiple)
        return _SATURATED * info.max_depth * metric_scale(image, size, info, camera)

    def prior(self) -> Prior:
        """What is known of the network's errors, for `fusion`."""
        return Prior(**self._estimator.checkpoint.info.prior)

    def timings(self) -> dict[str, float]:
        """Seconds by stage of the last prediction."""
        return self._estimator.timings

    def description(self) -> dict[str, str]:
        """What runs, for the log and the diagnostics."""
        backend, checkpoint, choice = self._estimator.backend, self._estimator.checkpoint, self._estimator.choice
        height, width = self._estimator.input_size
        return {
            "backend": backend.name,
            "device": backend.device,
            "precision": backend.precision,
            "chosen because": choice.reason if choice else "it was given",
            "checkpoint": f"{checkpoint.path.name} sha256 {checkpoint.sha256[:12]}",
            "input size": f"{width}x{height}",
        }
