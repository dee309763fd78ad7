"""The colours of depth: the same for the same metres in every picture, and the bar tells which."""

import cv2
import numpy as np
import pytest

from mono_depth_ros.preview import DepthPreview

NEAREST, FARTHEST = 0.5, 8.5


def colors(metres: list[float]) -> np.ndarray:
    """Colours of a picture that is `metres` across."""
    depth = np.tile(np.array(metres, np.float32), (240, 20))
    return DepthPreview(NEAREST, FARTHEST).render(depth)[0, : len(metres)].astype(int)


def test_a_depth_has_one_colour_whatever_else_is_in_the_picture():
    assert np.array_equal(colors([2.0, 0.6, 0.7])[0], colors([2.0, 7.0, float("inf")])[0])


def test_near_is_red_far_is_blue_unknown_is_black():
    near, middle, far, unknown = colors([1.2, 4.5, 7.0, float("nan")])
    assert near.argmax() == 0 and middle.argmax() == 1 and far.argmax() == 2
    assert unknown.tolist() == [0, 0, 0]


def test_beyond_the_range_the_colours_stop():
    ends = colors([FARTHEST, 20.0, float("inf"), NEAREST, 0.1, float("-inf")])
    assert (ends[:3] == ends[0]).all() and (ends[3:] == ends[3]).all()
    assert (ends[0] != ends[3]).any() and ends.any(axis=1).all()


@pytest.mark.parametrize(("height", "bar_width"), [(480, 64), (240, 40), (720, 96)])
def test_the_bar_shows_the_colour_of_each_depth(height: int, bar_width: int):
    metres = np.linspace(FARTHEST, NEAREST, height, dtype=np.float32)
    picture = DepthPreview(NEAREST, FARTHEST).render(np.repeat(metres[:, None], 32, axis=1))
    assert picture.shape == (height, 32 + bar_width, 3)
    bar = picture[:, 32 + bar_width // 4].astype(int)
    top, bottom = height // 24, height - height // 24 - 1
    assert not bar[: top - 1].any() and not bar[bottom + 2 :].any()
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):  # from the far end on
        on_bar = bar[round(top + share * (bottom - top))]
        assert np.abs(on_bar - picture[round(share * (height - 1)), 0].astype(int)).max() <= 12


def test_the_metres_are_written_beside_the_bar():
    strip = DepthPreview(NEAREST, FARTHEST).render(np.full((480, 32), 3, np.float32))[:, 32 + 26 :]
    rows = np.flatnonzero(strip.any(axis=(1, 2)))
    labels = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    middles = [label.mean() for label in labels]
    expected = [np.interp(tick, (NEAREST, FARTHEST), (459, 20)) for tick in range(8, 0, -1)]
    assert middles == pytest.approx(expected, abs=3)


def test_the_picture_follows_a_change_of_size():
    preview = DepthPreview(NEAREST, FARTHEST)
    for height, width in ((480, 640), (240, 320), (1, 1), (480, 640)):
        picture = preview.render(np.full((height, width), 3, np.float32))
        assert picture.shape[0] == height and (picture[0, :width] == picture[0, 0]).all()


def test_the_colours_are_turbos():
    turbo = cv2.applyColorMap(np.array([[127]], np.uint8), cv2.COLORMAP_TURBO)[0, 0, ::-1].astype(int)
    assert np.abs(colors([(NEAREST + FARTHEST) / 2])[0] - turbo).max() <= 6


@pytest.mark.parametrize(("nearest", "farthest"), [(2.0, 2.0), (3.0, 2.0), (-1.0, 2.0), (0.0, float("nan"))])
def test_an_empty_range_is_refused(nearest: float, farthest: float):
    with pytest.raises(ValueError, match="expected 0 <= nearest < farthest"):
        DepthPreview(nearest, farthest)
