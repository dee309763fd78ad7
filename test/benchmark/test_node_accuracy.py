"""Recordings with a depth sensor through the real node: the table says what the estimator itself does on them."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy")

from benchmark.document import Part
from mono_depth_ros.camera import CameraModel
from mono_depth_ros.estimator import DepthEstimator
from mono_depth_ros.io.folder import FolderSource
from test.conftest import REPOSITORY

FRAMES = 3


def test_the_table_is_written_between_the_marks_and_true(real_frames, tmp_path):
    report = tmp_path / "results.md"
    report.write_text("before\n<!-- sensors -->\nold\n<!-- /sensors -->\nafter\n")
    folder = real_frames / "hololens_office"
    command = [sys.executable, "-m", "benchmark.node_accuracy", folder, "--frames", str(FRAMES), "--report", report]
    environ = os.environ | {"ROS_DOMAIN_ID": str(1 + os.getpid() % 100)}
    done = subprocess.run(command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    text = report.read_text()
    assert text.startswith("before\n<!-- sensors -->\n") and text.endswith("\n<!-- /sensors -->\nafter\n")
    assert "old" not in text
    with_lens, without = (line.split(" | ") for line in text.splitlines() if line.startswith("| hololens_office"))
    assert (with_lens[1], with_lens[2], without[2]) == ("540x360, fx 495.6", "yes", "no")
    assert with_lens[3] == without[3] == str(FRAMES)
    camera = CameraModel.from_yaml(folder / "camera.yaml")
    assert float(with_lens[7]) == pytest.approx(abs_rel(folder, camera), abs=2e-3)
    assert float(without[7]) == pytest.approx(abs_rel(folder, None), abs=2e-3)


def abs_rel(folder, camera) -> float:
    estimator, source = DepthEstimator.load(), FolderSource(folder)
    errors = []
    for index, frame in zip(range(FRAMES), source.frames(), strict=False):
        truth = source.truth(index)
        depth = estimator.predict(frame.rgb, camera).depth[truth > 0]
        errors.append(np.mean(np.abs(depth - truth[truth > 0]) / truth[truth > 0]))
    return float(np.mean(errors))


@pytest.mark.parametrize("text", ["", "<!-- x -->", "<!-- x --><!-- x --><!-- /x -->"])
def test_a_document_without_its_marks_is_named_and_left_alone(text, tmp_path):
    path = tmp_path / "page.md"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(f"{path}: expected <!-- x --> and <!-- /x --> once each")):
        Part(path, "x")
    assert path.read_text() == text
