"""The network looks at an upright picture, however the camera is mounted; its depth comes back as the camera sees."""

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.prediction import Prediction

Predict = Callable[[NDArray[np.uint8], CameraModel, Prediction], Prediction]


def predict_upright(
    predict: Predict, rgb: NDArray[np.uint8], camera: CameraModel, out: Prediction, degrees: int
) -> Prediction:
    """What `predict` says of a picture that was turned clockwise by a multiple of 90 degrees, turned back, in `out`.

    Depth along the optical axis is the same for a camera that is turned about it.
    """
    quarters = degrees // 90 % 4
    if not quarters:
        return predict(rgb, camera, out)
    for _ in range(quarters):
        camera = turned(camera)
    size = camera.height, camera.width
    memory = Prediction(np.empty(size, np.float32), None if out.sigma is None else np.empty(size, np.float32))
    upright = predict(np.ascontiguousarray(np.rot90(rgb, -quarters)), camera, memory)
    np.copyto(out.depth, np.rot90(upright.depth, quarters))
    if out.sigma is not None and upright.sigma is not None:
        np.copyto(out.sigma, np.rot90(upright.sigma, quarters))
    return Prediction(out.depth, out.sigma if upright.sigma is not None else None, upright.flaw)


def turned(camera: CameraModel) -> CameraModel:
    """The pinhole of a picture that was turned clockwise by 90 degrees: pixel (u, v) goes to (height - 1 - v, u)."""
    return dataclasses.replace(
        camera,
        width=camera.height,
        height=camera.width,
        fx=camera.fy,
        fy=camera.fx,
        cx=camera.height - 1 - camera.cy,
        cy=camera.cx,
        rotation=(),
        projection=(),
    )
