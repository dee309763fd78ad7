"""Calibration files by their URLs, as camera drivers take them."""

from pathlib import Path

import pytest

from mono_depth_ros.ros import calibration

FILE = """image_width: 640
image_height: 480
camera_name: camera
camera_matrix: {rows: 3, cols: 3, data: [517.3, 0, 318.6, 0, 516.5, 255.3, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.2624, -0.9531, -0.0054, 0.0026, 1.1633]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [525, 0, 319.5, 0, 0, 525, 239.5, 0, 0, 0, 1, 0]}
"""


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "my camera.yaml"
    path.write_text(FILE)
    return path


def test_a_path_and_a_file_url_are_the_same_camera(file):
    camera = calibration.load(str(file))
    assert (camera.fx, camera.distortion_model, camera.projection[0]) == (517.3, "plumb_bob", 525.0)
    assert calibration.load(file.as_uri()) == camera  # the space is %20 there


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("/nowhere/camera.yaml", "/nowhere/camera.yaml cannot be read"),
        ("file:///nowhere/camera.yaml", "/nowhere/camera.yaml cannot be read"),
        ("https://example.org/camera.yaml", "expected a path, file:///path or package://"),
        ("package://no_such_package/camera.yaml", "'no_such_package' is not installed"),
    ],
)
def test_what_cannot_be_read_is_named(url, found):
    with pytest.raises(ValueError, match="camera_info_url") as raised:
        calibration.load(url)
    assert found in str(raised.value)


def test_a_file_that_is_no_calibration_is_named(tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text("wheels: 4\n")
    with pytest.raises(ValueError, match=r"other.yaml: .*expected a camera_calibration file"):
        calibration.load(str(path))
