"""Pictures that a camera spoils: what is told apart, what stays, and that it is the same each time."""

from pathlib import Path

import numpy as np
import pytest

from mono_depth_ros.camera import CameraModel
from training.data.corrupted import KINDS, Corrupted
from training.data.frame import RgbdDataset, RgbdFrame


class Stripes(RgbdDataset):
    source = Path("stripes")

    def __len__(self):
        return 2

    def __getitem__(self, index):
        stripes = np.where(np.arange(640) // 4 % 2, 210, 70).astype(np.uint8)
        rgb = np.broadcast_to(stripes[:, None], (480, 640, 3)).copy()
        return RgbdFrame(f"{index}", rgb, np.full((480, 640), 2.0, np.float32), CameraModel.nyu())


def spoilt(kind, index=0):
    return Corrupted(Stripes(), kind)[index]


@pytest.mark.parametrize("kind", KINDS)
def test_depth_and_camera_stay_and_the_picture_is_the_same_each_time(kind):
    clean, frame = Stripes()[1], spoilt(kind, 1)
    np.testing.assert_array_equal(frame.depth, clean.depth)
    assert frame.camera == clean.camera
    assert frame.rgb.dtype == np.uint8 and frame.rgb.shape == clean.rgb.shape
    np.testing.assert_array_equal(frame.rgb, spoilt(kind, 1).rgb)
    assert (frame.rgb != clean.rgb).mean() > 0.1


def test_each_kind_does_what_its_name_says():
    clean = Stripes()[0].rgb
    assert spoilt("dark").rgb.mean() == pytest.approx(clean.mean() / 7, rel=0.05)
    assert spoilt("blurred").rgb.std() < 0.1 * clean.std()
    assert spoilt("noisy").rgb[:, :4].std() == pytest.approx(32, rel=0.1)  # one stripe, which was of one colour
    covered = spoilt("covered").rgb
    assert (covered == 0).mean() == 0.25
    np.testing.assert_array_equal(covered[covered > 0], clean[covered > 0])


def test_a_kind_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="kind: found 'foggy', expected one of dark, blurred, noisy, covered"):
        Corrupted(Stripes(), "foggy")
