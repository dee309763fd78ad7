"""Pictures that show nothing are told from those that do; a network's depth of them is no more than a guess."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mono_depth_ros.estimator import DepthEstimator
from mono_depth_ros.picture import flaw
from test.conftest import fuzz


def scene(height=480, width=640) -> np.ndarray:
    """Boxes on a floor, under a lamp."""
    picture = np.full((height, width, 3), 120, np.uint8)
    cv2.rectangle(picture, (width // 8, height // 4), (width // 3, height // 2), (200, 180, 160), -1)
    cv2.rectangle(picture, (width // 2, height // 3), (width // 2 + width // 6, height), (40, 60, 90), -1)
    picture[height // 2 :] = (picture[height // 2 :] * 0.7).astype(np.uint8)
    return picture


def noisy(value, spread) -> np.ndarray:
    noise = np.random.default_rng(0).normal(value, spread, (480, 640, 3))
    return np.clip(noise, 0, 255).astype(np.uint8)


def finger() -> np.ndarray:
    """Red light through a finger on the lens: bright in the middle, and nowhere an edge."""
    v, u = np.mgrid[:480, :640]
    glow = 90 * np.exp(-((u - 300) ** 2 + (v - 250) ** 2) / 2 / 220.0**2)
    return np.dstack([60 + glow, 10 + glow / 5, 10 + glow / 6]).astype(np.uint8)


def covered(share) -> np.ndarray:
    """The scene beside something black on the lens."""
    picture = scene()
    picture[:, : round(share * picture.shape[1])] = 0
    return picture


BLIND = {
    "black": (np.zeros((480, 640, 3), np.uint8), "black"),
    "a sensor's noise in the dark": (noisy(5, 5), "black"),
    "3 % of the light": ((scene() * 0.03).astype(np.uint8), "too dark"),
    "nearly all of it covered": (covered(0.85), "covered"),
    "white": (np.full((480, 640, 3), 255, np.uint8), "white"),
    "overexposed": (noisy(250, 4), "white"),
    "grey": (np.full((480, 640, 3), 128, np.uint8), "of one colour"),
    "blue, as for no signal": (np.full((480, 640, 3), (0, 0, 200), np.uint8), "of one colour"),
    "noise on grey": (noisy(128, 20), "of one colour"),
    "covered by a finger": (finger(), "covered"),
}


@pytest.mark.parametrize("name", BLIND)
def test_a_picture_that_shows_nothing_is_known_and_named(name):
    picture, named = BLIND[name]
    assert named in flaw(picture)


@pytest.mark.parametrize("light", [1.0, 0.5, 0.3])
@pytest.mark.parametrize("size", [(480, 640), (240, 320), (1080, 1920), (48, 64)])
def test_a_picture_of_something_has_no_flaw(size, light):
    assert flaw((scene(*size) * light).astype(np.uint8)) == ""
    blur = size[1] // 40
    assert flaw(cv2.blur(scene(*size), (blur, blur))) == ""  # out of focus, but a room


def test_real_frames_have_no_flaw(real_frames):
    frames = sorted(p for p in real_frames.rglob("*.jpg") if "depth" not in p.as_posix().lower())[::50][:60]
    assert frames
    for path in frames:
        assert flaw(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)) == "", path


@fuzz(100)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_any_picture_is_judged(height, width, seed):
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    assert isinstance(flaw(picture), str)


@pytest.mark.parametrize("name", ["black", "white", "grey", "3 % of the light", "covered by a finger"])
def test_the_confidence_of_a_picture_that_shows_nothing_says_so(name):
    estimator = DepthEstimator.load(device="cpu", input_size=(96, 128))
    prediction = estimator.predict(BLIND[name][0])
    assert prediction.flaw and np.isfinite(prediction.sigma).all()
    assert prediction.confidence.max() < 0.01
    assert estimator.predict(scene()).flaw == ""
