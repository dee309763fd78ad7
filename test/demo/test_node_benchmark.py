"""The benchmark of the node: figures by hand, and a short run of the real thing, whose times are not judged."""

import itertools
import json
import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from subprocess import Popen

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("matplotlib")
pytest.importorskip("psutil")
import cv2
import psutil

from mono_depth_ros.demo.node_benchmark import spreads
from mono_depth_ros.demo.node_figures import Figures, Spread, plot
from test.demo.runs import finish, start

STAGES = ["receive", "wait", "decode", "camera_info", "resize", "network", "scale", "pack", "publish"]
FIGURES = Figures(
    seconds=10.0, rate=30.0, image="640x480", engine={"backend": "openvino", "device": "cpu"},
    sent=600, received=600, published=590, dropped=10, failed=0,
    watched={"image": 600, "depth": 590, "points": 590},
    age=Spread(40.0, 50.0), stages={"network": Spread(20.0, 25.0)}, rest=Spread(5.0, 9.0), memory=(400.0, 402.0),
)  # fmt: skip


def test_a_run_in_which_all_goes_well_reaches_its_goals():
    assert FIGURES.lost == 0
    assert FIGURES.growth == pytest.approx(0.005)
    assert [(goal.found, goal.is_reached) for goal in FIGURES.goals()] == [
        (0, True), (1.25, True), (pytest.approx(0.005), True), (5.0, True),
    ]  # fmt: skip
    assert "600 sent, 600 received by the node, 590 published, 10 dropped for newer ones" in FIGURES.described()
    assert "NOT reached" not in FIGURES.described()


@pytest.mark.parametrize(
    ("change", "which", "found"),
    [
        ({"received": 597}, 0, 3),
        ({"watched": {"image": 599, "depth": 590, "points": 588}}, 0, 3),
        ({"age": Spread(40.0, 60.0)}, 1, 1.5),
        ({"memory": (400.0, 440.0)}, 2, 0.1),
        ({"rest": Spread(6.5, 9.0)}, 3, 6.5),
    ],
)
def test_what_is_missed_is_said(change, which, found):
    figures = replace(FIGURES, **change)
    missed = [number for number, goal in enumerate(figures.goals()) if not goal.is_reached]
    assert missed == [which]
    assert figures.goals()[which].found == pytest.approx(found)
    assert figures.described().count("NOT reached") == 1
    assert [goal["reached"] for goal in figures.content()["goals"]].count(False) == 1


def test_the_nodes_reports_are_summed_up_by_their_medians():
    reports = [
        {"decode p50 (ms)": p50, "decode p95 (ms)": p95, "topic": "/image", "all but the network p50 (ms)": "7.00",
         "all but the network p95 (ms)": "7.50"}
        for p50, p95 in (("1.00", "2.00"), ("3.00", "9.00"), ("2.00", "4.00"))
    ]  # fmt: skip
    assert spreads(reports) == {"decode": Spread(2.0, 4.0), "all but the network": Spread(7.0, 7.5)}


def test_the_bar_has_a_colour_for_each_stage(tmp_path: Path):
    plot(tmp_path / "bar.png", {"network": Spread(20.0, 0), "pack": Spread(10.0, 0), "publish": Spread(10.0, 0)}, "")
    picture = cv2.imread(str(tmp_path / "bar.png"))
    middle = picture[picture.shape[0] // 3].reshape(-1, 3)
    colours = [middle[int(share * len(middle))].tolist() for share in (0.25, 0.6, 0.8)]
    assert len({tuple(colour) for colour in colours}) == 3


def measured(*arguments: object) -> Popen:
    return start("demo.node_benchmark", *arguments)


def test_every_frame_of_a_run_is_accounted_for_and_every_stage_is_timed(tmp_path: Path):
    numbers, picture = tmp_path / "node.json", tmp_path / "node.png"
    code, out, err = finish(measured("--seconds", 2, "--rate", 10, "--output", numbers, "--plot", picture))
    assert code == 0, out + err
    found = json.loads(numbers.read_text())
    assert found["sent"] == (10 + 2) * 10
    assert found["received_by_node"] == found["published"] + found["dropped"] + found["failed"]
    assert found["failed"] == 0 and found["published"] > 0
    watched = found["received_by_watcher"]
    lost = found["sent"] - found["received_by_node"] + found["sent"] - watched["image"]
    assert found["lost"] == lost + 2 * found["published"] - watched["depth"] - watched["points"]
    assert list(found["stages_ms"]) == STAGES
    assert all(0 <= spread["p50"] <= spread["p95"] for spread in found["stages_ms"].values())
    assert 0 < found["not_network_p50_ms"] < found["age_at_publish_ms"]["p95"] + found["stages_ms"]["publish"]["p95"]
    assert found["engine"]["device"] == "cpu" and found["engine"]["chosen because"]
    assert found["memory_mb"]["end"] > 100
    assert cv2.imread(str(picture)) is not None
    assert out.startswith("640x480 at 10 Hz for 2 s")


def test_ctrl_c_while_it_measures_leaves_no_process_and_no_shared_memory(tmp_path: Path):
    run = measured("--seconds", 60, "--output", tmp_path / "n.json")
    try:
        said = iter(lambda: run.stderr.read(10), "")
        assert any("Measuring" in text for text in itertools.accumulate(said))
        processes = [psutil.Process(run.pid), *psutil.Process(run.pid).children()]
        mapped = {m.path for process in processes for m in process.memory_maps()}
        run.send_signal(signal.SIGINT)
    finally:
        code, _, err = finish(run)
    assert code == 130, err
    assert len(processes) == 3 and not [process for process in processes if process.is_running()]
    segments = [path for path in mapped if re.match("/dev/shm/fastrtps_[0-9a-f]{16}", path)]
    assert segments and not [path for path in segments if os.path.exists(path)]
    assert not (tmp_path / "n.json").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--rate", 0), 2, "expected both above 0"),
        (("--seconds", -1), 2, "expected both above 0"),
        (("--output", "no/such/folder/node.json"), 1, "no/such/folder/node.json: its folder does not exist"),
    ],
)
def test_what_could_only_fail_in_the_end_is_said_before_anything_starts(arguments, code, said):
    found, out, err = finish(measured(*arguments))
    assert found == code and said in err and "Measuring" not in err


def test_a_checkpoint_that_is_missing_ends_it_with_the_nodes_own_words(tmp_path: Path):
    code, _, err = finish(measured("--seconds", 1, "--checkpoint", tmp_path / "none.safetensors"))
    assert code == 1 and "cannot configure" in err and "none.safetensors" in err
