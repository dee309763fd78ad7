"""White of 16-bit streams: found where a saturated sensor shows it, and never assumed because a picture is dark."""

import array

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mono_depth_ros.io import raw
from mono_depth_ros.io.white import FULL, WhiteLevel
from test.io.messages import Image


def scene(bits: int = 8, white: int = 200) -> np.ndarray:
    """(60, 80) a slope from black to grey, with `white` samples that saturate a sensor of so many bits."""
    values = np.linspace(0, 0.8, 60 * 80)
    values[:white] = 1
    return (values * (2**bits - 1)).round().astype(np.uint16).reshape(60, 80)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_sensor_of_fewer_bits_is_found_by_its_white(bits: int):
    assert WhiteLevel().of(scene(bits)) == 2**bits - 1


@pytest.mark.parametrize(("kept", "shift"), [(8, 2), (8, 4), (10, 4), (12, 2)])
def test_empty_low_bits_do_not_hide_the_white(kept: int, shift: int):
    """A sensor of 8 bits whose samples were multiplied by 16 has its white at 4080."""
    assert WhiteLevel().of(scene(kept) << shift) == (2**kept - 1) << shift


@pytest.mark.parametrize("samples", [scene(16), scene(12) << 4, scene(8) * 257])
def test_full_16_bits_stay_so(samples: np.ndarray):
    white = WhiteLevel()
    assert 255 * 65520 / FULL > 254.9 and white.of(samples) == FULL  # 12 bits shifted up end at 65520
    assert white.of(scene(12)) == FULL  # for ever: this camera has shown that it uses more


@pytest.mark.parametrize("brightness", [0.0, 0.001, 0.01, 0.03, 0.06, 0.0625, 0.1, 0.2, 0.25])
def test_a_dark_picture_of_16_bits_stays_dark(brightness: float):
    noise = np.random.default_rng(0).normal(0, 40, (60, 80))
    samples = np.clip(scene(16, white=0) / 0.8 * brightness + noise, 0, FULL).astype(np.uint16)
    assert WhiteLevel().of(samples) == FULL


def test_a_few_samples_are_no_white():
    assert WhiteLevel().of(scene(12, white=15)) == FULL
    large = np.zeros((600, 800), np.uint16)
    large.ravel()[:47] = 4095  # of 480 000: below 1 in 10 000
    assert WhiteLevel().of(large) == FULL


def test_what_is_known_of_a_stream_lasts_and_is_corrected():
    white = WhiteLevel()
    assert white.of(scene(12, white=0)) == FULL  # nothing to go by yet
    assert white.of(scene(12)) == 4095
    assert white.of(scene(12, white=0)) == white.of(np.zeros((4, 4), np.uint16)) == 4095
    assert white.of(scene(14)) == 16383  # so it was no 12-bit camera
    assert white.of(scene(16)) == FULL


def test_known_bits_are_not_looked_for():
    assert WhiteLevel(bits=12).of(scene(16)) == 4095
    assert WhiteLevel(bits=16).of(scene(12)) == FULL


@pytest.mark.parametrize("encoding", ["mono16", "bayer_rggb16", "rgb16", "bgra16"])
def test_a_12_bit_camera_gives_the_picture_that_an_8_bit_one_gives(encoding: str):
    channels = raw.ENCODINGS[encoding].channels
    eight = np.dstack([scene(8)] * channels) if channels > 1 else scene(8)
    expected = raw.decode(image(encoding, eight * 257))
    assert np.abs(raw.decode(image(encoding, eight << 4), white=WhiteLevel()).astype(int) - expected).max() <= 1
    assert raw.decode(image(encoding, eight << 4)).max() <= 16  # nobody watched the stream


def image(encoding: str, samples: np.ndarray) -> Image:
    samples = np.ascontiguousarray(samples)
    return Image(60, 80, encoding, 0, samples[0].nbytes, array.array("B", samples.tobytes()))


def test_real_streams_show_their_white_within_a_few_frames(real_frames):
    for name in ("tum_fr1_rpy", "hololens_office", "redkitchen_video"):
        white = WhiteLevel()
        for file in sorted((real_frames / name / "rgb").iterdir())[:60]:
            grey = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE).astype(int)
            white.of((grey * 4095 // 255).astype(np.uint16))
        assert white.value == 4095, name


@given(st.lists(st.integers(0, FULL), min_size=1, max_size=40), st.integers(1, 30))
def test_no_picture_is_clipped_by_the_white_found_in_it(values: list[int], times: int):
    samples = np.repeat(np.array(values, np.uint16), times)[None]
    assert WhiteLevel().of(samples) >= samples.max()
