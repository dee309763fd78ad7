"""The picture of the augmentation, from a folder of frames."""

from pathlib import Path

import cv2
import pytest

from training.data import picture


def drawn(out: Path, *options: str) -> tuple[int, int]:
    """Width and height of the picture, which must show something."""
    picture.main([str(out), *options])
    image = cv2.imread(str(out))
    assert image is not None and image.std(axis=(0, 1)).min() > 30
    return image.shape[1], image.shape[0]


def test_seven_panels_of_colour_over_depth(tmp_path, real_frames):
    """Seven 4:3 panels a row in two rows, with the same layout whatever the frame."""
    office = drawn(tmp_path / "new" / "office.png", str(real_frames / "hololens_office"), "--frame", "50")
    assert office[0] / office[1] == pytest.approx(7 * 4 / (2 * 3), rel=0.2)
    assert drawn(tmp_path / "walk.png", str(real_frames / "tum_fr1_rpy")) == office
