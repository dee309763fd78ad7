"""The virtual camera as a source."""

from itertools import islice

import numpy as np

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.demo.sources import VirtualSource


def test_the_virtual_camera_goes_on_through_several_rooms_and_knows_their_depth():
    source = VirtualSource(CameraModel(80, 60, 65.0, 65.0, 39.5, 29.5))
    depths = [source.truth(index) for index in (0, 1, 100, 200, 300)]
    assert all(depth.shape == (60, 80) and 0.3 < depth.min() < depth.max() < 10 for depth in depths)
    changes = [np.abs(a - b).mean() for a, b in zip(depths, depths[1:], strict=False)]
    assert changes[0] < 0.1 < min(changes[1:])  # metres: a step of the flight; then another room each time
    frames = list(islice(source.frames(), 2))
    assert [frame.stamp for frame in frames] == [None, None]
    assert 0 < np.abs(frames[0].rgb.astype(int) - frames[1].rgb).mean() < 20
