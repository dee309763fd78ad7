"""16-bit images of cameras that use fewer bits, to the real node: right, and what is not known is said."""

import array

import numpy as np
from sensor_msgs.msg import Image

from test.ros.harness import WARN, accepted, depth_of, make_image, make_info


def with_samples(image: Image, encoding: str, samples: np.ndarray) -> Image:
    image.encoding, image.step = encoding, samples[0].nbytes
    image.data = array.array("B", samples.tobytes())
    return image


def rgb_of(image: Image) -> np.ndarray:
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)


def test_a_12_bit_camera_gives_the_depth_that_an_8_bit_one_gives(camera):
    rgb = rgb_of(make_image(camera.stamp())).copy()
    rgb[:10] = 255
    depths = []
    for encoding, samples in (("rgb8", rgb), ("rgb16", rgb.astype("<u2") * 16)):
        accepted(camera, with_samples(make_image(camera.stamp()), encoding, samples), make_info())
        depths.append(depth_of(camera.depths[-1]))
    both = np.isfinite(depths[0]) & np.isfinite(depths[1])
    assert both.mean() > 0.5
    np.testing.assert_allclose(depths[1][both], depths[0][both], rtol=1e-3)


def test_a_16_bit_image_without_white_is_said_to_be_dark(camera):
    image = make_image(camera.stamp())
    camera.send(with_samples(image, "bgr16", rgb_of(image).astype("<u2") * 8), make_info())
    camera.expect_status("image", WARN, "no sample of a 16-bit image above", "image_bits")
