"""Our network on a GPU: alone, and all the way from a frame in the host's memory to its cloud there."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mono_depth_ros import checkpoint as checkpoints
from mono_depth_ros.backends import BackendError, FrameOptions
from mono_depth_ros.benchmark.contenders import Own
from mono_depth_ros.benchmark.race import Runner, Timing, race
from mono_depth_ros.camera import CameraModel
from mono_depth_ros.checkpoint import Checkpoint
from mono_depth_ros.estimator import DepthEstimator, Prediction

if TYPE_CHECKING:
    from mono_depth_ros.backends.torch_backend import TorchBackend

ALONE, TO_CLOUD = "network alone", "frame to cloud"


def measure(checkpoint: Checkpoint, size: tuple[int, int], rounds: int, precision: str = "fp16") -> list[Timing]:
    """Time both at one (height, width); a timing's ``network`` says which it is of. Raises `BackendError`."""
    engine = ("torch", "cuda", precision, *size, checkpoint.path)
    return race([NetworkAlone(ALONE, *engine), FrameToCloud(TO_CLOUD, *engine)], rounds, "on the GPU")


@dataclass(frozen=True)
class NetworkAlone(Own):
    """The network, its image on the device already and its maps left there."""

    def start(self) -> Runner:
        """See `Contender.start`."""
        from mono_depth_ros.backends.torch_backend import TorchBackend, restore

        checkpoint = checkpoints.load(self.path)
        return AloneRunner(TorchBackend(restore(checkpoint), checkpoint.info, self.device, self.precision))


@dataclass(frozen=True)
class FrameToCloud(Own):
    """A whole frame: one copy up, one copy down."""

    def start(self) -> Runner:
        """See `Contender.start`."""
        size = (self.height, self.width)
        return FrameRunner(DepthEstimator.load(self.path, self.backend, self.device, self.precision, size))


class AloneRunner:
    """Runs the network over and over on the image that it was prepared with."""

    def __init__(self, backend: "TorchBackend") -> None:
        self._backend = backend

    def prepare(self, height: int, width: int) -> None:
        """See `Backend.prepare`."""
        self._backend.prepare(height, width)

    def infer(self, rgb: np.ndarray) -> None:
        """Run it; of rgb only the size matters."""
        self._backend.repeat(*rgb.shape[:2])


class FrameRunner:
    """Runs whole frames of an estimator, as seen by NYU's camera."""

    def __init__(self, estimator: DepthEstimator) -> None:
        self._estimator = estimator

    def prepare(self, height: int, width: int) -> None:
        """Lay the frame out on the device."""
        self._camera = CameraModel.nyu().resized(width, height)
        self.infer(np.zeros((height, width, 3), np.uint8))

    def infer(self, rgb: np.ndarray) -> Prediction:
        """Run one. Raises `BackendError` where the engine does no whole frames."""
        prediction = self._estimator.predict_frame(rgb, self._camera, FrameOptions(cloud=True))
        if prediction is None:
            backend = self._estimator.backend
            raise BackendError(f"{backend.name} on {backend.device} does no whole frames")
        return prediction
