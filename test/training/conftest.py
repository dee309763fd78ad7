"""Fixtures of the training's tests: a small training on a few frames."""

import json

import cv2
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from mono_depth_ros.camera import CameraModel
from test.training.scenes import picture, plane_depth

CAMERA = CameraModel(width=160, height=128, fx=130, fy=130, cx=80, cy=64)
EPOCHS = 3


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """On networks this small, PyTorch's threads wait for each other longer than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    """Twelve frames of a plane and a small network on them."""
    folder = tmp_path_factory.mktemp("planes")
    for part in ("rgb", "depth"):
        (folder / part).mkdir()
    for i in range(12):
        cv2.imwrite(str(folder / f"rgb/{i:05d}.png"), picture(CAMERA, i))
        cv2.imwrite(str(folder / f"depth/{i:05d}.png"), np.uint16(plane_depth(CAMERA) * (1 + 0.05 * i) * 1000))
    k = [CAMERA.fx, 0, CAMERA.cx, 0, CAMERA.fy, CAMERA.cy, 0, 0, 1]
    (folder / "camera.yaml").write_text(
        json.dumps(
            {
                "image_width": CAMERA.width,
                "image_height": CAMERA.height,
                "camera_matrix": {"rows": 3, "cols": 3, "data": k},
                "distortion_model": "plumb_bob",
                "distortion_coefficients": {"rows": 1, "cols": 5, "data": [0, 0, 0, 0, 0]},
            }
        )
    )
    encoder = folder / "encoder.safetensors"
    frames = [
        {"class_path": "training.data.rgbd_folder.RgbdFolder", "init_args": {"folder": str(folder), "metre": 1000}}
    ]
    settings = {
        "trainer": {"max_epochs": EPOCHS, "accelerator": "cpu", "log_every_n_steps": 1, "enable_progress_bar": False},
        "model": {
            "encoder": "mobilenetv3_small_050",
            "encoder_weights": str(encoder),
            "error": True,
            "freeze_norm": True,
            "max_lr": 1e-3,
            "loss": {"weights": {"silog": 1.0, "perceptual": 0.0, "gradient": 1.0, "error": 0.1}},
        },
        "data": {
            "batch_size": 4,
            "workers": 0,
            "transform": {"input_size": [96, 128], "crop_size": [64, 96], "zoom": [1.0, 1.3]},
            "train": frames,
            "val": frames,
            "test": frames,
        },
    }
    save_encoder(encoder)
    file = folder / "config.yaml"
    file.write_text(json.dumps(settings))
    return file


def save_encoder(path):
    torch.manual_seed(0)
    save_file(timm.create_model("mobilenetv3_small_050").state_dict(), path)
