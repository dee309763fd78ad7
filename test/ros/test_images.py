"""Camera messages of ROS: pictures by the decoders of `io`, and the lens."""

import array

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest

from mono_depth_ros.camera import camera_from_info
from mono_depth_ros.ros.images import Decoder, ImageError
from mono_depth_ros.ros.problems import Problems


@pytest.fixture
def warnings() -> list[str]:
    """What was reported."""
    return []


@pytest.fixture
def decoder(warnings: list[str]) -> Decoder:
    return Decoder("/image", Problems(warn=warnings.append, error=warnings.append))


def image(encoding: str, step: int) -> Image:
    data = np.random.default_rng(1).integers(0, 256, 4 * step, np.uint8)
    return Image(height=4, width=6, encoding=encoding, step=step, data=array.array("B", data.tobytes()))


def mono16(values: NDArray) -> Image:
    height, width = values.shape
    data = array.array("B", values.astype("<u2").tobytes())
    return Image(height=height, width=width, encoding="mono16", step=2 * width, data=data)


def jpeg(format: str = "jpeg") -> CompressedImage:
    data = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1]
    return CompressedImage(format=format, data=array.array("B", data.tobytes()))


def test_images_are_decoded_one_after_the_other_into_one_array(decoder: Decoder):
    first = decoder.decode(image("bgr8", step=20))
    msg = image("bgr8", step=20)
    msg.data[0] ^= 0xFF
    second = decoder.decode(msg)
    assert np.shares_memory(first, second)
    expected = np.reshape(msg.data, (4, 20))[:, :18].reshape(4, 6, 3)[..., ::-1]
    np.testing.assert_array_equal(second, expected)


def test_an_unpadded_rgb8_image_is_a_view_of_the_message(decoder: Decoder):
    msg = image("rgb8", step=18)
    assert np.shares_memory(decoder.decode(msg), np.frombuffer(msg.data, np.uint8))


def test_what_cannot_be_decoded_is_an_image_error(decoder: Decoder):
    with pytest.raises(ImageError, match="'32FC1' is unknown"):
        decoder.decode(image("32FC1", step=24))
    with pytest.raises(ImageError, match="compressed image of format 'jpeg': no data"):
        decoder.decode(CompressedImage(format="jpeg"))


def test_a_change_in_mid_stream_is_reported(decoder: Decoder, warnings: list[str]):
    decoder.decode(image("bgr8", step=18))
    decoder.decode(image("bgr8", step=18))
    assert warnings == []
    decoder.decode(jpeg())
    assert warnings == ["/image: images were 6x4 bgr8, are 64x48 jpeg now; going on with that"]


def test_a_format_that_contradicts_the_bytes_is_reported(decoder: Decoder, warnings: list[str]):
    decoder.decode(jpeg("png"))
    assert warnings == ["/image: format 'png' with the bytes of a JPEG; they are decoded as what they are"]


def test_a_12_bit_camera_is_taken_as_dark_until_it_shows_white(decoder: Decoder, warnings: list[str]):
    values = np.tile(np.arange(0, 3000, 10), (20, 1))
    assert decoder.decode(mono16(values)).max() == round(2990 * 255 / 65535)
    assert len(warnings) == 1 and "no sample of a 16-bit image above 2990 of 65535: it is dark, or" in warnings[0]
    values[:4, :50] = 4095
    assert decoder.decode(mono16(values)).max() == 255
    assert "16-bit images whose white is 4095" in warnings[1]
    values[:4, :50] = 0
    assert decoder.decode(mono16(values)).max() == round(2990 * 255 / 4095)
    assert len(warnings) == 2


def test_bits_that_are_told_are_believed(decoder: Decoder, warnings: list[str]):
    values = np.tile(np.arange(0, 3000, 10), (20, 1))
    assert decoder.decode(mono16(values), bits=12).max() == round(2990 * 255 / 4095)
    assert warnings == []


@pytest.mark.parametrize("shift", [0, 2, 4])
def test_bits_that_the_samples_exceed_are_said(decoder: Decoder, warnings: list[str], shift: int):
    """image_bits 10 for a camera of 12, 14 or 16: a picture that would be white, and no word of why."""
    decoder.decode(mono16(np.tile(np.arange(0, 4096, 10), (20, 1)) << shift), bits=10)
    assert len(warnings) == 1 and f"a sample is {4090 << shift}" in warnings[0] and "image_bits" in warnings[0]


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
