"""Metric depth from one camera: the public names, imported only when they are used."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Anchors": "mono_depth_ros.fusion",
    "BackendError": "mono_depth_ros.backends",
    "CameraModel": "mono_depth_ros.camera",
    "CheckpointError": "mono_depth_ros.checkpoint",
    "DepthEstimator": "mono_depth_ros.estimator",
    "ImageError": "mono_depth_ros.io.errors",
    "MonoDepthError": "mono_depth_ros.errors",
    "Prediction": "mono_depth_ros.prediction",
    "fuse": "mono_depth_ros.fusion",
}
__all__ = [
    "Anchors",
    "BackendError",
    "CameraModel",
    "CheckpointError",
    "DepthEstimator",
    "ImageError",
    "MonoDepthError",
    "Prediction",
    "fuse",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that the camera model alone needs no backend."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
