"""A picture that is turned for the network, and what comes back."""

import numpy as np
import pytest

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.prediction import Prediction
from mono_depth_ros.ros.upright import predict_upright, turned

CAMERA = CameraModel(6, 4, 5.0, 7.0, 2.0, 1.0)


def memory(with_sigma=True):
    return Prediction(np.zeros((4, 6), np.float32), np.zeros((4, 6), np.float32) if with_sigma else None)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_the_depth_of_a_pixel_comes_back_to_that_pixel(degrees):
    rgb = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    shapes = []

    def predict(picture, camera, out):
        shapes.append(picture.shape[:2])
        assert (camera.height, camera.width) == picture.shape[:2] == out.depth.shape
        return Prediction(picture[..., 0].astype(np.float32), picture[..., 1].astype(np.float32), "dark")

    out = memory()
    prediction = predict_upright(predict, rgb, CAMERA, out, degrees)
    assert np.array_equal(prediction.depth, rgb[..., 0]) and np.array_equal(prediction.sigma, rgb[..., 1])
    assert prediction.flaw == "dark"
    assert shapes == [(6, 4) if degrees % 180 else (4, 6)]


def test_the_network_sees_the_picture_upright_by_a_clockwise_turn():
    rgb = np.zeros((4, 6, 3), np.uint8)
    rgb[0, 0] = 255  # top left

    def predict(picture, camera, out):
        assert np.argwhere(picture[..., 0]).tolist() == [[0, 3]]  # top right
        return out

    predict_upright(predict, rgb, CAMERA, memory(with_sigma=False), 90)


def test_the_rays_of_the_turned_camera_are_the_cameras_own_turned():
    own = CAMERA.rays()
    rays = turned(CAMERA).rays()
    for v, u in ((0, 0), (3, 5), (1, 4)):
        x, y = own[v, u]
        assert rays[u, 3 - v] == pytest.approx((-y, x))  # right becomes down, down becomes left
    assert turned(turned(turned(turned(CAMERA)))) == CAMERA
