"""The estimator as the node uses it: loaded by its settings, and replaced by one on the CPU when its device fails."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.estimator import DepthEstimator, Prediction
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.ros.problems import Problems

AREA = "engine"


class Engine:
    """Predicts depth; `load` makes the estimator for a device and may raise whatever the backend raises."""

    def __init__(self, load: Callable[[str], DepthEstimator], device: str, problems: Problems) -> None:
        self._load = load
        self._problems = problems
        self.estimator = load(device)

    @classmethod
    def from_settings(cls, settings: Settings, problems: Problems) -> "Engine":
        """Load the checkpoint that the settings name on the device that they name."""

        def load(device: str) -> DepthEstimator:
            return DepthEstimator.load(
                checkpoint=settings.checkpoint or None,
                backend=settings.backend,
                device=device,
                precision=settings.precision,
                input_size=None if settings.input_size == (0, 0) else settings.input_size,
            )

        return cls(load, settings.device, problems)

    def description(self) -> dict[str, str]:
        """What runs, for the log and the diagnostics."""
        backend = self.estimator.backend
        return {"backend": backend.name, "device": backend.device, "precision": backend.precision}

    def predict(self, rgb: NDArray[np.uint8], camera: CameraModel | None) -> Prediction:
        """Depth of an image (H, W, 3) uint8; an error on an accelerator moves this and all later frames to the CPU."""
        try:
            return self.estimator.predict(rgb, camera)
        except Exception as error:
            backend = self.estimator.backend
            if backend.device == "cpu":
                raise
            failed = f"{backend.name} failed on {backend.device} ({error})"
        self.estimator = self._load("cpu")
        self._problems.stand(AREA, "fallback", f"{failed}; on the CPU from here on. Configure anew to go back", True)
        return self.estimator.predict(rgb, camera)
