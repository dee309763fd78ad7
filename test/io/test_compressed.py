"""JPEG and PNG messages to RGB: a file that is not whole is refused, however well OpenCV would paint over it."""

import array
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mono_depth_ros.io import ImageError, compressed
from mono_depth_ros.io.compressed import decode_message
from test.conftest import fuzz
from test.io.messages import CompressedImage

HEIGHT, WIDTH = 48, 64


def picture() -> NDArray[np.uint8]:
    """RGB slopes with a red top left quarter."""
    down, across = np.mgrid[:HEIGHT, :WIDTH]
    rgb = np.dstack([3 * across, 4 * down, 255 - 3 * across]).astype(np.uint8)
    rgb[: HEIGHT // 2, : WIDTH // 2] = (250, 10, 20)
    return rgb


def encoded(extension: str, pixels: NDArray, *options: int) -> bytes:
    """File of pixels in OpenCV's order (BGR)."""
    done, data = cv2.imencode(extension, pixels, options)
    assert done
    return data.tobytes()


def message(data: bytes, format: str = "jpeg") -> CompressedImage:
    return CompressedImage(format=format, data=array.array("B", data))


JPEG = encoded(".jpg", picture()[..., ::-1])
PROGRESSIVE = encoded(".jpg", picture()[..., ::-1], cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
PNG = encoded(".png", picture()[..., ::-1])
FILES = {"jpeg": JPEG, "progressive jpeg": PROGRESSIVE, "png": PNG}


def with_segment(jpeg: bytes, payload: bytes) -> bytes:
    """JPEG with an EXIF segment."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(payload)) + payload + jpeg[2:]


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE], ids=["baseline", "progressive"])
def test_a_jpeg_has_the_colours_that_went_in(data: bytes):
    difference = decode_message(message(data)).astype(int) - picture()
    assert np.abs(difference).mean() < 3
    assert np.abs(difference[4:20, 4:28]).max() <= 4  # the red quarter, away from its edges


def test_a_png_is_exactly_what_went_in():
    assert np.array_equal(decode_message(message(PNG, "png")), picture())
    transparent = np.dstack([picture()[..., ::-1], np.full((HEIGHT, WIDTH), 99, np.uint8)])
    assert np.array_equal(decode_message(message(encoded(".png", transparent), "png")), picture())


def test_a_grey_file_is_grey_in_all_channels():
    grey = picture()[..., 0]
    assert np.array_equal(decode_message(message(encoded(".png", grey))), np.dstack([grey] * 3))


def test_a_16_bit_png_is_scaled_like_a_16_bit_image():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    decoded = decode_message(message(encoded(".png", values)))
    assert np.array_equal(decoded[..., 2], (values.astype(int) + 128) // 257)


def test_out_is_written_where_it_fits():
    out = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert decode_message(message(PNG), out) is out
    assert np.array_equal(out, picture())
    assert decode_message(message(PNG), np.zeros((1, 1, 3), np.uint8)).shape == (HEIGHT, WIDTH, 3)


def test_exif_orientation_does_not_turn_the_picture():
    quarter_turn = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    turned = cv2.imdecode(np.frombuffer(with_segment(JPEG, quarter_turn), np.uint8), cv2.IMREAD_COLOR)
    assert turned is not None and turned.shape == (WIDTH, HEIGHT, 3)  # the segment is a real one
    assert np.array_equal(decode_message(message(with_segment(JPEG, quarter_turn))), decode_message(message(JPEG)))


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_every_truncation_is_refused(data: bytes):
    decode_message(message(data))
    for length in range(len(data)):
        with pytest.raises(ImageError):
            decode_message(message(data[:length]))


def test_the_end_of_a_thumbnail_does_not_pass_for_the_end_of_the_picture():
    with_thumbnail = with_segment(JPEG, b"Exif\0\0" + JPEG)
    assert np.array_equal(decode_message(message(with_thumbnail)), decode_message(message(JPEG)))
    with pytest.raises(ImageError, match="truncated JPEG"):
        decode_message(message(with_thumbnail[:-200]))


def test_bytes_after_the_end_are_ignored():
    assert np.array_equal(decode_message(message(PNG + b"\0" * 7)), picture())
    assert np.array_equal(decode_message(message(JPEG + b"\0" * 7)), decode_message(message(JPEG)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["no data", "0 bytes", "JPEG or PNG"]),
        (b"BM6\x1b", ["42 4d 36 1b", "JPEG or PNG"]),
        (b"\xff\xd8\xff", ["truncated JPEG", "3 bytes"]),
        (JPEG[:-2], ["truncated JPEG", f"{len(JPEG) - 2} bytes", "end"]),
        (JPEG[:20] + b"\0" + JPEG[21:], ["damaged JPEG", "byte 20"]),
        (PNG[:-12], ["truncated PNG", f"{len(PNG) - 12} bytes", "end"]),
        (PNG[:60] + bytes([PNG[60] ^ 1]) + PNG[61:], ["damaged", "64x48"]),
    ],
)
def test_a_bad_file_says_what_came_and_what_is_expected(data: bytes, words: list[str]):
    with pytest.raises(ImageError) as error:
        decode_message(message(data, "rgb8; jpeg compressed bgr8"))
    for word in ["'rgb8; jpeg compressed bgr8'", *words]:
        assert word in str(error.value)


def png_of_size(width: int, height: int) -> bytes:
    """PNG whose header claims any size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG[:8] + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + PNG[33:]


def jpeg_of_size(width: int, height: int) -> bytes:
    """JPEG whose frame header claims any size."""
    size = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:size] + struct.pack(">HH", height, width) + JPEG[size + 4 :]


@pytest.mark.parametrize(
    "data",
    [png_of_size(8193, 10), png_of_size(10, 2**31), png_of_size(0, 5), jpeg_of_size(60000, 9), jpeg_of_size(9, 0)],
)
def test_a_size_beyond_the_limit_is_refused_before_decoding(data: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compressed.cv2, "imdecode", None)
    with pytest.raises(ImageError, match="expected 1 to 8192 on each side"):
        decode_message(message(data))


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """Real files with bytes changed, cut out or put in, and rubbish behind a real beginning."""
    data = bytearray(draw(st.sampled_from(list(FILES.values()))))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        cut = draw(st.sampled_from([0, 1, 2, 1000]))
        data[place : place + cut] = draw(st.binary(max_size=4))
    return bytes(data) if draw(st.booleans()) else bytes(data[:20]) + draw(st.binary(max_size=300))


@fuzz(500)
@given(damaged_files() | st.binary(max_size=100))
def test_any_bytes_are_an_image_of_the_stated_size_or_an_image_error(data: bytes):
    try:
        rgb = decode_message(message(data))
    except ImageError:
        return
    assert rgb.dtype == np.uint8
    assert rgb.shape[:2] == compressed.encoded_size(data)[::-1]
    assert rgb.shape[2] == 3
