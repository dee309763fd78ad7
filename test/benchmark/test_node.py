"""The node's part: its reports summed up by hand, and short runs of the real thing, whose times are not judged."""

import itertools
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import cv2
import pytest

pytest.importorskip("rclpy")
psutil = pytest.importorskip("psutil")

from benchmark.node import spreads  # noqa: E402
from benchmark.results import Spread  # noqa: E402
from test import runs  # noqa: E402

STAGES = {"receive", "wait", "decode", "camera_info", "network", "fuse", "pack", "publish"}


def start(*arguments: object) -> subprocess.Popen:
    return runs.start("benchmark", "node", *arguments)


def test_the_nodes_reports_are_summed_up_by_their_medians():
    reports = [
        {"decode p50 (ms)": p50, "decode p95 (ms)": p95, "topic": "/image", "all but the network p50 (ms)": "7.00",
         "all but the network p95 (ms)": "7.50"}
        for p50, p95 in (("1.00", "2.00"), ("3.00", "9.00"), ("2.00", "4.00"))
    ]  # fmt: skip
    assert spreads(reports) == {"decode": Spread(2.0, 4.0), "all but the network": Spread(7.0, 7.5)}


def test_every_frame_of_a_run_is_accounted_for_and_every_stage_is_timed(tmp_path: Path):
    code, out, err = runs.finish(start("--seconds", 2, "--report", tmp_path / "node.md"))
    assert code == 0, out + err
    found = json.loads((tmp_path / "node.json").read_text())["node"]
    assert found["sent"] == (10 + 2) * 30
    assert found["received"] == found["published"] + found["dropped"] + found["failed"]
    assert found["failed"] == 0 and found["published"] > 0
    assert 0 < found["watched"]["depth"] <= found["published"]
    assert found["stages"].keys() >= STAGES
    assert all(0 <= spread["p50"] <= spread["p95"] for spread in [*found["stages"].values(), found["age"]])
    assert 0 < found["rest"]["p50"] < found["age"]["p95"] + found["stages"]["publish"]["p95"]
    assert found["backend"]["device"] == "cpu" and found["backend"]["chosen because"]
    assert found["memory"][1] > 100
    assert cv2.imread(str(tmp_path / "images" / "node_node.png")) is not None
    assert "a camera that sends 640x480 at 30 Hz" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_measures_leaves_no_process_and_no_shared_memory(number, tmp_path: Path):
    run = start("--seconds", 60, "--report", tmp_path / "n.md")
    try:
        said = iter(lambda: run.stderr.read(10), "")
        assert any("the node" in text for text in itertools.accumulate(said))
        processes = [psutil.Process(run.pid), *psutil.Process(run.pid).children()]
        mapped = {m.path for process in processes for m in process.memory_maps()}
        run.send_signal(number)
    finally:
        code, _, err = runs.finish(run)
    assert code == 130, err
    assert len(processes) == 3 and not [process for process in processes if process.is_running()]
    segments = [path for path in mapped if re.match("/dev/shm/fastrtps_[0-9a-f]{16}", path)]
    assert segments and not [path for path in segments if os.path.exists(path)]
    assert not (tmp_path / "n.md").exists()


def test_a_node_that_cannot_work_ends_it_with_its_own_words(tmp_path: Path):
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"nothing of the kind")
    code, _, err = runs.finish(start("--seconds", 1, "--checkpoint", bad))
    assert code == 1 and "bad.safetensors" in err and err.startswith("benchmark: ")
