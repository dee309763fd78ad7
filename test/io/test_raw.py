"""Raw images to RGB: colours against hand-written formulas, every bad message an ImageError, and fuzz."""

import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mono_depth_ros.io import ImageError, raw
from test.conftest import fuzz
from test.io.messages import Image

RED, GREEN, BLUE, ALPHA = 200, 100, 50, 7
COLOR = {"r": RED, "g": GREEN, "b": BLUE}
BAYER = [name for name in raw.ENCODINGS if name.startswith("bayer")]


def image(
    encoding: str, samples: NDArray, height: int, width: int, padding: int = 0, big_endian: bool = False
) -> Image:
    """Message of samples (rows, ...), each row followed by `padding` bytes of rubbish."""
    if samples.dtype.itemsize == 2:
        samples = samples.astype(">u2" if big_endian else "<u2")
    rows = np.ascontiguousarray(samples).reshape(len(samples), -1).view(np.uint8)
    rubbish = np.full((len(rows), padding), 173, np.uint8)
    return Image(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=rows.shape[1] + padding,
        data=array.array("B", np.hstack([rows, rubbish]).tobytes()),
    )


def noise(*shape: int, lowest: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(lowest, 256, shape, np.uint8)


def test_rgb8_without_padding_is_a_view_of_the_message():
    pixels = noise(6, 8, 3)
    msg = image("rgb8", pixels, 6, 8)
    rgb = raw.decode(msg)
    assert np.array_equal(rgb, pixels)
    assert np.shares_memory(rgb, np.frombuffer(msg.data, np.uint8))


@pytest.mark.parametrize("padding", [0, 1, 16])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["rgb", "bgr", "rgba", "bgra", "mono"])
def test_channels_padding_and_byte_order(order: str, bits: int, big_endian: bool, padding: int):
    rgb = noise(5, 7, 3)
    channels = {"r": rgb[..., 0], "g": rgb[..., 1], "b": rgb[..., 2], "a": np.full((5, 7), ALPHA, np.uint8)}
    if order == "mono":
        rgb = np.repeat(rgb[..., :1], 3, axis=2)
        channels = dict.fromkeys("mono", rgb[..., 0])
    samples = np.dstack([channels[letter] for letter in (order if order != "mono" else "m")])
    if bits == 16:
        samples = samples.astype(np.uint16) * 257  # 0xabab for 0xab, so that white stays white
    decoded = raw.decode(image(f"{order}{bits}", samples, 5, 7, padding, big_endian))
    assert np.array_equal(decoded, rgb)
    assert decoded.flags.c_contiguous


@pytest.mark.parametrize("big_endian", [False, True])
def test_all_16_bit_values_round_to_the_nearest_of_8_bits(big_endian: bool):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    decoded = raw.decode(image("mono16", values, 256, 256, 0, big_endian))
    assert np.array_equal(decoded[..., 1], (values.astype(int) + 128) // 257)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", BAYER)
def test_a_mosaic_of_one_colour_is_that_colour_everywhere(encoding: str, big_endian: bool, padding: int):
    pattern, bits = encoding[6:10], int(encoding[10:])
    tile = np.array([[COLOR[letter] for letter in row] for row in (pattern[:2], pattern[2:])], np.uint8)
    mosaic: NDArray = np.tile(tile, (4, 5))
    if bits == 16:
        mosaic = mosaic.astype(np.uint16) * 257
    decoded = raw.decode(image(encoding, mosaic, 8, 10, padding, big_endian))
    assert np.array_equal(decoded, np.full((8, 10, 3), (RED, GREEN, BLUE)))


@pytest.mark.parametrize("encoding", ["bayer_rggb8", "bayer_grbg16"])
def test_a_mosaic_of_odd_size_is_the_picture_it_was_made_of(encoding: str):
    down, across = np.mgrid[0:31, 0:41]
    picture = np.dstack([20 + 3 * across, 40 + 2 * down, 200 - 2 * across]).astype(np.uint8)
    colors = np.array([["rgb".index(letter) for letter in row] for row in (encoding[6:8], encoding[8:10])])
    mosaic: NDArray = np.take_along_axis(picture, np.tile(colors, (16, 21))[:31, :41, None], axis=2)[..., 0]
    if encoding.endswith("16"):
        mosaic = mosaic.astype(np.uint16) * 257
    decoded = raw.decode(image(encoding, mosaic, 31, 41)).astype(int)
    assert np.abs(decoded - picture)[1:-1, 1:-1].max() <= 1  # interpolation is exact on a slope, up to rounding


def bt601(y: NDArray, u: NDArray, v: NDArray) -> NDArray[np.float64]:
    """ITU-R BT.601, studio range: luma 16 to 235, chroma 16 to 240 around 128; from its luma weights alone."""
    red_weight, blue_weight = 0.299, 0.114
    luma, cb, cr = (y - 16.0) / 219, (u - 128.0) / 224, (v - 128.0) / 224
    red, blue = luma + 2 * (1 - red_weight) * cr, luma + 2 * (1 - blue_weight) * cb
    green = (luma - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
    return np.clip(np.dstack([red, green, blue]) * 255, 0, 255)


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21"])
def test_yuv_follows_bt601(encoding: str, padding: int):
    height, width = 6, 8
    luma, tall = noise(height, width, lowest=16), 2 if encoding.startswith("nv") else 1
    u, v = noise(2, height // tall, width // 2)
    if tall == 2:
        chroma = np.dstack([u, v] if encoding == "nv12" else [v, u]).reshape(height // 2, width)
        samples = np.vstack([luma, chroma])
    else:
        first, second = luma[:, ::2], luma[:, 1::2]
        order = [u, first, v, second] if encoding in ("yuv422", "uyvy") else [first, u, second, v]
        samples = np.dstack(order).reshape(height, 2 * width)
    decoded = raw.decode(image(encoding, samples, height, width, padding))
    expected = bt601(luma, *(np.repeat(np.repeat(c, 2, axis=1), tall, axis=0) for c in (u, v)))
    assert np.abs(decoded - expected).max() <= 1.5  # OpenCV works in fixed point


def test_out_is_written_where_it_fits_and_left_alone_where_not():
    msg = image("bgr8", noise(6, 8, 3), 6, 8)
    right, small, frozen = (np.full(shape, 9, np.uint8) for shape in ((6, 8, 3), (5, 8, 3), (6, 8, 3)))
    frozen.flags.writeable = False
    assert np.shares_memory(raw.decode(msg, right), right)
    assert np.array_equal(right, raw.decode(msg))
    unfit: list[NDArray] = [small, frozen, np.zeros((6, 8, 3), np.float32), np.zeros((6, 16, 3), np.uint8)[:, ::2]]
    for out in unfit:
        before = out.copy()
        assert np.array_equal(raw.decode(msg, out), right)
        assert np.array_equal(out, before)


def test_out_is_written_for_padded_rgb8_and_16_bits():
    for msg in (image("rgb8", noise(6, 8, 3), 6, 8, padding=2), image("mono16", noise(6, 8, 2).view("<u2"), 6, 8)):
        out = np.zeros((6, 8, 3), np.uint8)
        assert raw.decode(msg, out) is out
        assert np.array_equal(out, raw.decode(msg))


def test_bytes_after_the_last_row_are_ignored():
    msg = image("mono8", noise(4, 6), 4, 6)
    longer = Image(height=4, width=6, encoding="mono8", step=6, data=msg.data + array.array("B", [1, 2, 3]))
    assert np.array_equal(raw.decode(longer), raw.decode(msg))


BAD = {
    "unknown encoding": (dict(encoding="rgb565"), ["'rgb565'", "bayer_rggb8", "nv21", "yuv422_yuy2"]),
    "no encoding": (dict(encoding=""), ["''", "mono16"]),
    "depth is no picture": (dict(encoding="32FC1"), ["'32FC1'"]),
    "zero width": (dict(width=0), ["0x4", "1 to 8192"]),
    "zero height": (dict(height=0), ["6x0", "1 to 8192"]),
    "too wide": (dict(width=8193), ["8193x4", "8192"]),
    "too high": (dict(height=8193), ["6x8193", "8192"]),
    "step too small": (dict(step=17), ["step of 17", "at least 18", "6 pixels of rgb8"]),
    "step of 0": (dict(step=0), ["step of 0", "at least 18"]),
    "data too short": (dict(data=array.array("B", bytes(71))), ["71 bytes", "expected 72", "4 rows", "step of 18"]),
    "no data": (dict(data=array.array("B")), ["0 bytes", "expected 72"]),
    "step says more than there is": (dict(step=4_000_000_000), ["72 bytes", "16000000000"]),
    "mosaic of two rows": (dict(encoding="bayer_rggb8", height=2), ["6x2", "3 to 8192"]),
    "odd width of pairs": (dict(encoding="yuv422", width=5), ["5x4", "multiple of 2"]),
    "odd height of chroma": (dict(encoding="nv12", height=3), ["6x3", "multiple of 2"]),
    "no chroma": (dict(encoding="nv21", step=18), ["72 bytes", "expected 108"]),
}


@pytest.mark.parametrize(("change", "words"), BAD.values(), ids=BAD)
def test_a_bad_image_says_what_came_and_what_is_expected(change: dict, words: list[str]):
    good = dict(height=4, width=6, encoding="rgb8", step=18, data=array.array("B", bytes(72)))
    assert raw.decode(Image(**good)).shape == (4, 6, 3)
    with pytest.raises(ImageError) as error:
        raw.decode(Image(**(good | change)))
    for word in words:
        assert word in str(error.value)


@st.composite
def any_images(draw: st.DrawFn) -> Image:
    """Right messages, and ones in which up to three fields have become any value of their type."""
    name = draw(st.sampled_from(list(raw.ENCODINGS)))
    encoding = raw.ENCODINGS[name]
    width, height = draw(st.integers(2, 24)) * 2, draw(st.integers(2, 24)) * 2
    step = encoding.row_bytes(width) + draw(st.integers(0, 9))
    noise = np.random.default_rng(draw(st.integers(0, 99)))
    data = noise.integers(0, 256, int(step * height * encoding.planes), np.uint8).tobytes()
    fields: dict[str, Any] = dict(width=width, height=height, encoding=name, step=step, data=data)
    fields["is_bigendian"] = draw(st.integers(0, 1))
    numbers = st.integers(0, 60) | st.integers(0, 2**32 - 1)
    wrong = {
        "width": numbers,
        "height": numbers,
        "step": numbers,
        "encoding": st.text(max_size=12) | st.sampled_from(list(raw.ENCODINGS)),
        "is_bigendian": st.integers(0, 255),
        "data": st.integers(0, len(data)).map(lambda length: data[:length]),
    }
    for field in draw(st.lists(st.sampled_from(list(wrong)), max_size=3)):
        fields[field] = draw(wrong[field])
    return Image(**fields | {"data": array.array("B", fields["data"])})


@fuzz(1000)
@given(any_images())
def test_any_message_is_an_image_of_the_stated_size_or_an_image_error(msg: Image):
    try:
        rgb = raw.decode(msg)
    except ImageError:
        return
    assert (rgb.shape, rgb.dtype) == ((msg.height, msg.width, 3), np.uint8)
    assert len(msg.data) >= msg.step * msg.height
    assert rgb.flags.c_contiguous
