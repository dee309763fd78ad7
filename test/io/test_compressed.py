"""JPEG and PNG messages to RGB: what the format says is read, and what is not whole is refused."""

import array
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mono_depth_ros.io import ImageError, compressed, jpeg, png
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
    decoded = decode_message(message(encoded(".png", values), "mono16; png compressed "))
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


@pytest.fixture(params=["simplejpeg", "OpenCV"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The decoder of JPEG, as on a robot with pip and on one without."""
    if request.param == "OpenCV":
        monkeypatch.setattr(jpeg, "simplejpeg", None)
    elif jpeg.simplejpeg is None:
        pytest.skip("simplejpeg is not installed here")
    return request.param


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_every_truncation_is_refused(data: bytes):
    decode_message(message(data))
    for length in range(len(data)):
        with pytest.raises(ImageError):
            decode_message(message(data[:length]))


def scan(jpeg: bytes) -> int:
    """Where the code of the picture begins."""
    return jpeg.index(b"\xff\xda") + 14


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.6])
def test_half_a_jpeg_with_an_end_marker_is_refused(share: float):
    cut = scan(JPEG) + int(share * (len(JPEG) - scan(JPEG)))
    with pytest.raises(ImageError, match="damaged JPEG"):
        decode_message(message(JPEG[:cut] + JPEG[-2:]))


@pytest.mark.skipif(jpeg.simplejpeg is None, reason="simplejpeg is not installed here")
@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE], ids=["baseline", "progressive"])
def test_a_jpeg_that_lacks_any_of_its_code_is_refused_by_the_strict_decoder(data: bytes):
    """A progressive one that ends between two scans is a whole picture for a decoder, only coarser."""
    for cut in range(scan(data), len(data) - 3):
        with pytest.raises(ImageError, match="damaged JPEG|truncated JPEG"):
            decode_message(message(data[:cut] + data[-2:]))


@pytest.mark.usefixtures("decoder")
def test_both_decoders_of_jpeg_give_the_same(monkeypatch: pytest.MonkeyPatch):
    grey = encoded(".jpg", picture()[..., 1])
    found = [decode_message(message(data)) for data in (JPEG, PROGRESSIVE, grey)]
    monkeypatch.setattr(jpeg, "simplejpeg", None)
    for rgb, data in zip(found, (JPEG, PROGRESSIVE, grey), strict=True):
        assert np.abs(rgb.astype(int) - decode_message(message(data))).max() <= 1


def test_stray_bytes_of_a_webcam_between_whole_codes_are_passed_over():
    stray = JPEG[:-2] + bytes(40) + JPEG[-2:]
    assert np.array_equal(decode_message(message(stray)), decode_message(message(JPEG)))


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_of(bits: int, color: int, rows: list[bytes], *more: bytes) -> bytes:
    """A PNG of 8 columns by hand; `color` is the specification's colour type."""
    header = struct.pack(">IIBBBBB", 8, len(rows), bits, color, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return png.START + b"".join([chunk(b"IHDR", header), *more, chunk(b"IDAT", data), chunk(b"IEND", b"")])


_BLACK_WHITE = chunk(b"PLTE", bytes(3) + b"\xff" * 3)
_CLEAR = chunk(b"tRNS", b"\0\0")


@pytest.mark.parametrize(
    "data",
    [
        png_of(1, 0, [b"\x55", b"\xaa"]),
        png_of(2, 0, [b"\x33\x33", b"\xcc\xcc"]),
        png_of(4, 0, [b"\x0f" * 4, b"\xf0" * 4]),
        png_of(8, 0, [b"\x00\xff" * 4, b"\xff\x00" * 4]),
        png_of(1, 3, [b"\x55", b"\xaa"], _BLACK_WHITE),
        png_of(2, 3, [b"\x11\x11", b"\x44\x44"], _BLACK_WHITE),
        png_of(4, 3, [b"\x01" * 4, b"\x10" * 4], _BLACK_WHITE),
        png_of(8, 3, [b"\x00\x01" * 4, b"\x01\x00" * 4], _BLACK_WHITE, _CLEAR),
        png_of(8, 2, [b"\x00\x00\x00\xff\xff\xff" * 4, b"\xff\xff\xff\x00\x00\x00" * 4]),
        png_of(8, 4, [b"\x00\x00\xff\x00" * 4, b"\xff\x00\x00\x00" * 4]),  # alpha says: all clear
        png_of(8, 6, [b"\x00\x00\x00\x00\xff\xff\xff\x00" * 4, b"\xff\xff\xff\x00\x00\x00\x00\x00" * 4]),
        png_of(16, 2, [(bytes(6) + b"\xff" * 6) * 4, (b"\xff" * 6 + bytes(6)) * 4]),
        png_of(16, 6, [(bytes(8) + b"\xff" * 6 + bytes(2)) * 4, (b"\xff" * 6 + bytes(10)) * 4]),
    ],
)
def test_a_png_of_any_depth_and_colour_type_is_what_it_shows_without_its_alpha(data: bytes):
    checker = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (1, 4))
    np.testing.assert_array_equal(decode_message(message(data, "png")), np.repeat(checker[..., None], 3, axis=2))


@pytest.mark.parametrize("place", range(8, len(PNG), 7))
def test_every_flipped_bit_of_a_png_is_seen(place: int):
    data = bytearray(PNG)
    data[place] ^= 1 << place % 8
    with pytest.raises(ImageError):
        decode_message(message(bytes(data), "png"))


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
        (PNG[:60] + bytes([PNG[60] ^ 1]) + PNG[61:], ["damaged PNG", "checksum", "IDAT"]),
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
    monkeypatch.setattr(compressed.jpeg, "decode", None)
    monkeypatch.setattr(compressed.png, "decode", None)
    with pytest.raises(ImageError, match="expected 1 to 8192 on each side"):
        decode_message(message(data))


DEPTH = (picture()[..., 0].astype(np.uint16) + 500) * 10
DEPTH_PNG, DEPTH_JPEG = encoded(".png", DEPTH), encoded(".jpg", (DEPTH / 40).astype(np.uint8))


@pytest.mark.parametrize(
    ("format", "data"),
    [
        ("16UC1; compressedDepth png", bytes(12) + DEPTH_PNG),
        ("32FC1; compressedDepth png", bytes(12) + DEPTH_PNG),
        ("16UC1; compressedDepth rvl", bytes(90)),
        ("32FC1; compressedDepth", bytes(12) + DEPTH_PNG),
        ("mono16; compressedDepth png", bytes(12) + DEPTH_PNG),
        ("16UC1; jpeg compressed mono8", DEPTH_JPEG),
        ("16UC1; jpeg compressed ", DEPTH_JPEG),
        ("16UC1; png compressed ", DEPTH_PNG),
        ("32FC1; tiff compressed ", b"II*\0" + bytes(99)),
        ("16UC1", DEPTH_PNG),
        ("8UC2; png compressed ", PNG),
    ],
)
def test_depth_is_no_picture_whatever_its_bytes_are(format: str, data: bytes):
    with pytest.raises(ImageError, match="a depth image is no picture") as error:
        decode_message(message(data, format))
    assert repr(format) in str(error.value)


@pytest.mark.parametrize(
    "format",
    [
        "png",
        "",
        "PNG",
        "rgb8; png compressed bgr8",
        "mono8; png compressed mono8",
        "bgr8; png",
        "8UC1; png",
        "yuv422; png",
    ],
)
def test_a_16_bit_grey_png_that_may_be_depth_is_refused_unless_its_format_says(format: str):
    with pytest.raises(ImageError, match="may be depth; expected a format that says, as 'mono16; png'"):
        decode_message(message(DEPTH_PNG, format))
    assert decode_message(message(DEPTH_PNG, "mono16; png compressed ")).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ("format", "data"),
    [
        ("zstd", b"\x28\xb5\x2f\xfd" + bytes(99)),
        ("h264", b"\0\0\0\1\x67" + bytes(99)),
        ("theora", b"OggS" + bytes(99)),
        ("rgb8; tiff compressed ", b"II*\0" + bytes(99)),
        ("webp", b"RIFF" + bytes(99)),
        ("ffmpeg; hevc", bytes(99)),
    ],
)
def test_other_codecs_are_refused_by_name(format: str, data: bytes):
    with pytest.raises(ImageError, match="expected a JPEG or PNG") as error:
        decode_message(message(data, format))
    assert repr(format) in str(error.value)


@pytest.mark.parametrize(
    ("format", "data"),
    [
        ("jpeg", JPEG), ("jpg", JPEG), ("JPEG", JPEG), (".jpg", JPEG), ("image/jpeg", JPEG), ("", JPEG),
        ("mjpeg", JPEG),
        ("rgb8; jpeg compressed bgr8", JPEG), ("bgr8; jpeg compressed bgr8", JPEG), ("bgr8; jpeg", JPEG),
        ("rgba8; jpeg compressed bgr8", JPEG), ("yuv422; jpeg compressed bgr8", JPEG), ("8UC3; jpeg compressed ", JPEG),
        ("bgr8", JPEG), ("png", PNG), ("rgb8; png compressed bgr8", PNG), ("", PNG), ("jpeg compressed bgr8", JPEG),
    ],
)  # fmt: skip
def test_every_way_to_say_that_it_is_a_picture_is_read_without_a_complaint(format: str, data: bytes):
    msg = message(data, format)
    assert np.abs(decode_message(msg).astype(int) - picture()).mean() < 3
    assert compressed.contradiction(msg) == ""


@pytest.mark.parametrize(("format", "data", "is_a"), [("png", JPEG, "JPEG"), ("jpeg", PNG, "PNG"), ("h264", PNG, "PNG"),
                                                      ("rgb8; png compressed bgr8", JPEG, "JPEG")])  # fmt: skip
def test_a_format_that_contradicts_the_bytes_is_said_and_the_bytes_are_believed(format: str, data: bytes, is_a: str):
    msg = message(data, format)
    assert np.abs(decode_message(msg).astype(int) - picture()).mean() < 3
    assert (
        compressed.contradiction(msg)
        == f"format {format!r} with the bytes of a {is_a}; they are decoded as what they are"
    )


@pytest.mark.parametrize("encoding", ["bayer_rggb8", "bayer_grbg8", "bayer_bggr16"])
@pytest.mark.parametrize("codec", ["jpeg", "png"])
def test_a_mosaic_that_was_compressed_as_such_is_a_colour_picture(encoding: str, codec: str):
    """Older plugins store the mosaic as it is and say nothing behind `compressed`."""
    colors = {"r": 200, "g": 100, "b": 50}
    tile = np.array([[colors[letter] for letter in row] for row in (encoding[6:8], encoding[8:10])], np.uint8)
    mosaic = np.tile(tile, (24, 32))
    if codec == "png" and encoding.endswith("16"):
        mosaic = mosaic.astype(np.uint16) * 257
    options = (cv2.IMWRITE_JPEG_QUALITY, 100) if codec == "jpeg" else ()
    decoded = decode_message(message(encoded(f".{codec}", mosaic, *options), f"{encoding}; {codec} compressed "))
    assert np.abs(decoded[4:-4, 4:-4].astype(int) - (200, 100, 50)).max() <= (6 if codec == "jpeg" else 0)


def test_grey_that_was_made_of_a_mosaic_stays_grey():
    """Newer plugins do so, and name mono8 behind `compressed`."""
    grey = picture()[..., 0]
    decoded = decode_message(message(encoded(".png", grey), "bayer_rggb8; png compressed mono8"))
    assert np.array_equal(decoded, np.dstack([grey] * 3))


def test_a_mosaic_that_nobody_knows_is_refused():
    with pytest.raises(ImageError, match="encoding 'bayer_wwww8' is unknown; expected one of"):
        decode_message(message(encoded(".png", picture()[..., 0]), "bayer_wwww8; png compressed "))


def test_compressed_depth_of_16uc1_is_millimetres():
    for format in ("16UC1; compressedDepth png", "16UC1; compressedDepth"):
        depth = compressed.decode_depth_message(message(bytes(12) + DEPTH_PNG, format))
        np.testing.assert_allclose(depth, DEPTH / 1000, rtol=1e-6)


def test_compressed_depth_of_32fc1_is_what_was_quantised():
    """depth_quantization 100 and depth_max 10 m, the plugin's defaults: stored = a / depth + b, rounded down."""
    depth = np.linspace(0.5, 9.9, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    a = 100.0 * 101.0
    b = 1 - a / 10
    stored = (a / depth + b).astype(np.uint16)
    stored[0, 0] = 0  # NaN or too far
    header = struct.pack("<iff", 0, a, b)
    found = compressed.decode_depth_message(message(header + encoded(".png", stored), "32FC1; compressedDepth png"))
    assert found[0, 0] == 0
    steps = depth**2 / a  # a step of the stored number
    assert (np.abs(found - depth)[stored > 0] <= 1.1 * steps[stored > 0]).all()


@pytest.mark.parametrize(
    ("format", "data", "words"),
    [
        ("16UC1; compressedDepth rvl", bytes(99), "compressedDepth png"),
        ("rgb8; jpeg compressed bgr8", JPEG, "expected one of 16UC1"),
        ("16UC1; compressedDepth png", bytes(5), "5 bytes"),
        ("16UC1; compressedDepth png", bytes(12) + JPEG, "found a JPEG"),
        ("16UC1; compressedDepth png", bytes(12) + PNG, r"3 channel\(s\) of uint8"),
    ],
)
def test_other_compressed_depth_is_refused_by_name(format: str, data: bytes, words: str):
    with pytest.raises(ImageError, match=words) as error:
        compressed.decode_depth_message(message(data, format))
    assert repr(format) in str(error.value)


@fuzz(300)
@given(st.text(max_size=30) | st.sampled_from(["; ", ";;", "16UC1;", "bayer_;png", "; jpeg compressed", "\0"]))
def test_any_format_is_a_picture_or_an_image_error(format: str):
    msg = message(PNG, format)
    try:
        assert np.array_equal(decode_message(msg), picture())
    except ImageError as error:
        assert repr(format) in str(error)
    compressed.contradiction(msg)


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
    assert rgb.shape[:2] == compressed.read_header(data)[1::-1]
    assert rgb.shape[2] == 3
