"""`python -m training rooms`: a folder that the reader takes, the same every time, and resumed where it was stopped."""

import numpy as np

from mono_depth_ros.camera import CameraModel
from training.cli import main
from training.data.rgbd_folder import RgbdFolder


def test_rooms_are_frames_to_train_on(tmp_path):
    main(["rooms", str(tmp_path), "--rooms", "1", "--views", "2"])
    frames = RgbdFolder(tmp_path)
    assert len(frames) == 2
    first, second = frames
    assert first.camera == CameraModel.nyu()
    assert not np.array_equal(first.rgb, second.rgb)
    for frame in (first, second):
        assert 0.02 < frame.depth.min() and frame.depth.max() < 20
        assert np.median(frame.depth) > 0.9


def test_a_stopped_run_goes_on_and_ends_the_same(tmp_path):
    main(["rooms", str(tmp_path), "--rooms", "2", "--views", "1"])
    written = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    kept, lost = sorted((tmp_path / "depth").iterdir())
    before = kept.stat().st_mtime_ns
    lost.unlink()
    main(["rooms", str(tmp_path), "--rooms", "2", "--views", "1"])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == written
    assert kept.stat().st_mtime_ns == before
