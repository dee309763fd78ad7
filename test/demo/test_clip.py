"""The clip that ships: a real room in time, small enough for a package, and with its licence."""

from pathlib import Path

import cv2
import numpy as np

from mono_depth_ros.demo import sources
from mono_depth_ros.demo.sources import parse_source
from mono_depth_ros.io import parse_source as opened

FOLDER = Path(sources.__file__).parent / "clip"


def test_it_has_a_hundred_frames_at_the_kinects_pace_with_depth():
    clip = parse_source("clip")
    assert clip.length == 100 and clip.remark == "" and clip.camera.is_distorted
    gaps = np.diff([frame.stamp for frame in clip.frames()]) / 1e9
    assert 0.02 < gaps.min() < gaps.mean() < gaps.max() < 0.045
    for index in (0, 40, 99):
        truth = clip.truth(index)
        known = truth[truth > 0]
        assert truth.shape == (480, 640) and known.size > 0.6 * truth.size
        assert 0.4 < known.min() and known.max() < 10


def test_it_is_small_and_names_its_makers_and_its_licence():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) < 8e6
    text = (FOLDER / "ATTRIBUTION.md").read_text()
    assert "Sturm" in text and "creativecommons.org/licenses/by/4.0" in text


def test_it_is_what_the_recording_holds(real_frames: Path):
    clip, whole = parse_source("clip"), opened(str(real_frames / "tum_fr1_rpy"))
    names = {frame.stamp: frame.name for frame in whole.frames()}
    for index, frame in enumerate(clip.frames()):
        name = names[frame.stamp]
        raw = cv2.imread(str(real_frames / "tum_fr1_rpy" / "depth" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_allclose(clip.truth(index)[::2, ::2], raw[::2, ::2] / 1000, rtol=1e-6)
        bgr = cv2.imread(str(real_frames / "tum_fr1_rpy" / "rgb" / f"{name}.jpg"))
        assert np.abs(frame.rgb.astype(int) - bgr[..., ::-1]).mean() < 6
