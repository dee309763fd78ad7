"""`python -m test.rooms`: a folder of frames that every reader of ours takes."""

import numpy as np

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.io.folder import FolderSource
from test.rooms.__main__ import main, views


def test_rooms_are_written_as_frames_with_their_depth(tmp_path):
    main([str(tmp_path), "--rooms", "1", "--views", "2"])
    source = FolderSource(tmp_path)
    assert np.array_equal(source.camera.matrix, CameraModel.nyu().matrix) and source.length == 2
    rendered = views(CameraModel.nyu(), 1, 2)
    for index, (frame, (rgb, depth)) in enumerate(zip(source.frames(), rendered, strict=True)):
        assert np.abs(frame.rgb.astype(int) - rgb).mean() < 4  # JPEG
        assert np.abs(source.truth(index) - depth).max() < 5.1e-4  # millimetres
