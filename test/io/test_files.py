"""Image files to arrays: the EXIF rule, the kinds of files, and what is said of one that is none."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from mono_depth_ros.io import ImageError, compressed, files


def picture() -> np.ndarray:
    """RGB (48, 64, 3) with a red top left corner."""
    rgb = np.full((48, 64, 3), 128, np.uint8)
    rgb[:16, :16] = (250, 10, 20)
    return rgb


def turned_jpeg(orientation: int) -> bytes:
    """The picture as a JPEG whose EXIF says how to turn it."""
    jpeg = cv2.imencode(".jpg", picture()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    exif = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif + jpeg[2:]


# EXIF 2.32, 4.6.4: where row 0 and column 0 of the stored picture are; each as NumPy turns it.
@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, picture()),
        (2, picture()[:, ::-1]),
        (3, np.rot90(picture(), 2)),
        (6, np.rot90(picture(), -1)),
        (8, np.rot90(picture())),
    ],
)
def test_a_jpeg_file_is_turned_as_its_exif_says_and_the_same_bytes_of_a_message_are_not(
    tmp_path: Path, orientation: int, expected: np.ndarray
):
    data = turned_jpeg(orientation)
    (tmp_path / "a.jpg").write_bytes(data)
    found = files.read_color(tmp_path / "a.jpg")
    assert found.shape == expected.shape and np.abs(found.astype(int) - expected).mean() < 2
    assert np.abs(compressed.decode(data).astype(int) - picture()).mean() < 2


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp"])
def test_other_files_are_read_too(tmp_path: Path, suffix: str):
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), picture()[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101] if suffix == ".webp" else [])
    np.testing.assert_array_equal(files.read_color(path), picture())


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"Once upon a time", turned_jpeg(1)[:-300]])
def test_a_file_that_holds_no_whole_picture_is_named(tmp_path: Path, content: bytes):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.jpg: "):
        files.read_color(path)
    with pytest.raises(ImageError, match=r"b\.jpg: no such file"):
        files.read_color(tmp_path / "b.jpg")
