"""One scene through a short and a long lens: the shipped weights give the same metres, as far as they can tell."""

import numpy as np
import pytest

from mono_depth_ros import CameraModel, DepthEstimator
from test.rooms.flight import Flight
from test.rooms.renderer import Renderer
from test.rooms.room import Room

SHORT, LONG = (CameraModel(640, 480, f, f, 319.5, 239.5) for f in (300.0, 600.0))
# What the long lens sees is the middle quarter of the short one's image, at twice its resolution.
SHARED = np.s_[120:360, 160:480]
ROOMS, VIEWS, SECONDS = (3, 7), 8, 0.8


@pytest.fixture(scope="module")
def estimator():
    return DepthEstimator.load()


@pytest.fixture(scope="module")
def pairs():
    """Images of the same views through both lenses."""
    renderers = Renderer(SHORT.rays()), Renderer(LONG.rays())
    flights = [(room, Flight(room, 0)) for room in map(Room, ROOMS)]
    views = [(room, flight.pose(SECONDS * number)) for room, flight in flights for number in range(VIEWS)]
    return [tuple(renderer.render(room, pose)[0] for renderer in renderers) for room, pose in views]


def difference(estimator, pairs, short, long) -> float:
    """Mean of |ratio - 1| of the two depths of the same rays."""
    ratios = []
    for image_short, image_long in pairs:
        near = estimator.predict(image_short, short).depth[SHARED]
        far = estimator.predict(image_long, long).depth.reshape(240, 2, 320, 2).mean((1, 3))
        ratios.append(near / far)
    return float(np.abs(np.array(ratios) - 1).mean())


def test_the_same_scene_has_the_same_depth_through_300_and_600_pixels_of_focal_length(estimator, pairs):
    """Up to the model's error: each of the two is off by the sealed AbsRel on average, so they differ by twice that."""
    limit = 2 * estimator.checkpoint.info.metrics["AbsRel"]
    assert difference(estimator, pairs, SHORT, LONG) < limit
    # Without the lenses, what the short one sees seems to be about twice as far.
    assert difference(estimator, pairs, None, None) > 1.5 * limit
