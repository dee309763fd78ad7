"""Camera messages of ROS: pictures by the decoders of `io`, and the lens."""

import array

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest

from mono_depth_ros.ros.images import ImageError, camera_from_info, decode_compressed, decode_image


def image(encoding: str, step: int) -> Image:
    data = np.random.default_rng(1).integers(0, 256, 6 * step, np.uint8)
    return Image(height=4, width=6, encoding=encoding, step=step, data=array.array("B", data.tobytes()))


def test_an_image_is_decoded_into_the_array_at_hand():
    msg, out = image("bgr8", step=20), np.zeros((4, 6, 3), np.uint8)
    assert decode_image(msg, out) is out
    np.testing.assert_array_equal(out, np.reshape(msg.data[: 4 * 20], (4, 20))[:, :18].reshape(4, 6, 3)[..., ::-1])


def test_an_unpadded_rgb8_image_is_a_view_of_the_message():
    msg = image("rgb8", step=18)
    assert np.shares_memory(decode_image(msg), np.frombuffer(msg.data, np.uint8))


def test_what_cannot_be_decoded_is_an_image_error():
    with pytest.raises(ImageError, match="'32FC1' is unknown"):
        decode_image(image("32FC1", step=24))
    with pytest.raises(ImageError, match="compressed image of format 'jpeg': no data"):
        decode_compressed(CompressedImage(format="jpeg"))


def test_camera_of_a_binned_window():
    camera = camera_from_info(
        CameraInfo(
            width=640,
            height=480,
            distortion_model="plumb_bob",
            d=[0.1, -0.2, 0.0, 0.0, 0.0],
            k=[500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0],
            binning_x=2,
            binning_y=2,
            roi=RegionOfInterest(x_offset=100, y_offset=40, width=400, height=300),
        )
    )
    assert (camera.width, camera.height) == (200, 150)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (250, 255, 110, 100)
    assert camera.is_distorted


def test_an_uncalibrated_camera_info_is_refused_by_name():
    with pytest.raises(ValueError, match=r"K\[0\]"):
        camera_from_info(CameraInfo(width=640, height=480))
