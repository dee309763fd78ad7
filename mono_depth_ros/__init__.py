"""Metric depth from one camera: the public names, imported only when they are used."""

import sys
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Anchors": "mono_depth_ros.fusion",
    "CameraModel": "mono_depth_ros.camera",
    "DepthEstimator": "mono_depth_ros.estimator",
    "Prediction": "mono_depth_ros.prediction",
    "fuse": "mono_depth_ros.fusion",
}
__all__ = ["Anchors", "CameraModel", "DepthEstimator", "Prediction", "fuse"]

# OpenVINO reports each import to its maker over the network, unless its module for that cannot be imported.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that the camera model alone needs no inference engine."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
