"""The document of a run, the numbers beside it, and the command that writes them."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import cv2
import pytest

from benchmark import report, results, tables
from mono_depth_ros.backends.machine import Machine
from test.benchmark.runs import NODE, duel, run, timing
from test.conftest import REPOSITORY

DUELS = [duel("Depth Anything V2 Small", 1260, 630, 250, 70), duel("METER-XXS", 18, 3, 30, 12)]


def benchmark(*arguments: object) -> subprocess.CompletedProcess:
    """The command, in a process of its own."""
    command = [sys.executable, "-m", "benchmark", *map(str, arguments)]
    return subprocess.run(command, cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, timeout=120)


@pytest.fixture
def written(tmp_path):
    report.write(run(duels=DUELS, node=NODE), tmp_path / "performance.md")
    return tmp_path


def test_numbers_go_to_json_and_back(written):
    assert results.Results.load(written / "performance.json") == run(duels=DUELS, node=NODE)


def test_every_picture_is_there(written):
    document = (written / "performance.md").read_text()
    for name in ("cost", "peers", "node"):
        assert f"(images/performance_{name}.png)" in document
        assert cv2.imread(str(written / "images" / f"performance_{name}.png")).shape[0] > 300


def test_the_document_says_what_was_measured_on_what(written):
    document = (written / "performance.md").read_text()
    assert "| CPU | a CPU, 2 cores; below fp32 it computes int8 itself |" in document
    command = "`python -m benchmark backends peers node --rounds 20 --seconds 300 --report performance.md`"
    assert command in " ".join(document.split())
    assert "| 480x640 | openvino cpu int8 | 50.0 | 75.0 | 20.0 | 100 | 4.40 |" in document
    assert "| 518x686 | 24.80 | 83.70 | 1260.0 | 630.0 | 512x672 | 250.0 | 70.0 | 9.00 | 18.00 |" in document
    assert "| network | 14.00 | 15.00 |" in document
    assert str(written) not in document + (written / "performance.json").read_text()
    assert max(len(line) for line in document.splitlines() if not line.startswith("|")) <= 120


def test_a_plain_run_has_no_empty_sections(tmp_path):
    report.write(run(), tmp_path / "bare.md")
    document = (tmp_path / "bare.md").read_text()
    assert "## Beside" not in document and "## The node" not in document
    assert [p.name for p in (tmp_path / "images").iterdir()] == ["bare_cost.png"]


def test_a_backend_without_eager_beside_it_has_no_ratio():
    bare = replace(run(), timings=[timing("openvino cpu fp32", (480, 640), 100.0)])
    assert tables.backend_table(bare).splitlines()[-1].endswith("| 100 | - |")


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        ({}, 0),
        ({"received": 9297}, 3),
        ({"watched": {"image": 9299, "depth": 9290, "points": 9288}}, 3),
    ],
)
def test_every_message_that_was_published_and_did_not_come_is_lost(change, lost):
    found = replace(NODE, **change)
    assert found.lost == lost and found.growth == pytest.approx(0.005)
    assert f"{lost} messages were lost" in tables.node_sentence(found)


def test_the_command_writes_a_report_of_saved_numbers(written, tmp_path):
    again = tmp_path / "again" / "again.md"
    done = benchmark("--results", written / "performance.json", "--report", again)
    assert done.returncode == 0, done.stderr
    assert "| 480x640 | openvino cpu int8 | 50.0 |" in done.stdout
    first = (written / "performance.md").read_text().replace("performance", "again")
    assert again.read_text().replace("performance", "again").split() == first.split()


@pytest.mark.parametrize("content", ["[]", "{}", "no JSON", json.dumps({"facts": {}})])
def test_a_file_of_another_kind_is_refused(content, tmp_path):
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(ValueError, match=r"other.json: not what this version's `python -m benchmark` saves"):
        results.Results.load(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rounds", 0), "found --rounds 0 and --seconds 300, expected both above 0"),
        (("node", "--seconds", -1), "--seconds -1, expected both above 0"),
        (("engines",), "part: found engines, expected of backends, peers, node"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_code_1(arguments, message):
    done = benchmark(*arguments)
    assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1


def test_facts_name_the_machine_and_no_path():
    machine = Machine(cpu="a CPU", cores=2, memory=2**30, versions=("openvino 1",), native_bf16=True)
    facts = results.gather_facts(machine, "weights")
    assert (facts.cpu, facts.memory, facts.native, facts.network) == ("a CPU", 1.0, ["bf16"], "weights")
    assert facts.versions[1] == "openvino 1" and any(v.startswith("numpy ") for v in facts.versions)
    assert "/" not in json.dumps(facts.__dict__)
