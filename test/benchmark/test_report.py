"""The document of a run, the numbers beside it, and the command that writes them."""

import json
import subprocess
import sys
from dataclasses import replace

import cv2
import pytest

from mono_depth_ros.backends.machine import Machine
from mono_depth_ros.benchmark import report, results, tables
from mono_depth_ros.cli import main
from test.benchmark.runs import duel, node, run, timing
from test.conftest import REPOSITORY

DUELS = [duel("Depth Anything V2 Small", 1260, 630, 250, 70), duel("METER-XXS", 18, 3, 30, 12)]


@pytest.fixture
def written(tmp_path):
    report.write(run(duels=DUELS, node=node()), tmp_path / "performance.md")
    return tmp_path


def test_numbers_go_to_json_and_back(written):
    assert results.Results.load(written / "performance.json") == run(duels=DUELS, node=node())


def test_every_picture_is_there_but_the_nodes_which_its_own_run_leaves(written):
    document = (written / "performance.md").read_text()
    for name in ("cost", "peers"):
        assert f"(images/performance_{name}.png)" in document
        assert cv2.imread(str(written / "images" / f"performance_{name}.png")).shape[0] > 300
    assert "(images/performance_node.png)" in document


def test_the_document_says_what_was_measured_on_what(written):
    document = (written / "performance.md").read_text()
    assert "| CPU | a CPU, 2 cores; avx2 |" in document
    assert "`mono-depth benchmark --peers --node 300 --rounds 20 --report performance.md`" in document
    assert "| 480x640 | openvino cpu int8 | 50.0 | 75.0 | 20.0 | 100 | 4.40 |" in document
    assert "| network at 240x320 | at least 60 frames/s | 80 frames/s | reached |" in document
    assert "| bf16 | 700 | 16.0 | 12.0 | 20.0 | 60.0 | 33% |" in document
    assert "| network | 14.00 | 15.00 |" in document
    assert "No GPU was at hand" in document
    assert str(written) not in document + (written / "performance.json").read_text()
    assert max(len(line) for line in document.splitlines() if not line.startswith("|")) <= 120


def test_a_plain_run_has_no_empty_sections(tmp_path):
    report.write(run(limits=[]), tmp_path / "bare.md")
    document = (tmp_path / "bare.md").read_text()
    assert not any(title in document for title in ("## Beside", "## The node", "## How far"))
    assert [p.name for p in (tmp_path / "images").iterdir()] == ["bare_cost.png"]


def test_growth_is_that_of_the_fastest_engine():
    assert report.growth(run()) == (
        "From 256x320 to 480x640 there are 4 times the pixels; openvino cpu int8 takes 4 times as long."
    )


def test_an_engine_without_eager_beside_it_has_no_ratio():
    bare = replace(run(), timings=[timing("openvino cpu fp32", (480, 640), 100.0)])
    assert tables.engine_table(bare).splitlines()[-1].endswith("| 100 | - |")


@pytest.mark.parametrize(("number", "text"), [(1234.5, "1234"), (100.4, "100"), (99.44, "99.4"), (0.01234, "0.0123")])
def test_digits(number, text):
    assert tables.digits(number) == text


def test_the_command_writes_a_report_of_saved_numbers(written, tmp_path, capsys):
    again = tmp_path / "again" / "again.md"
    assert main(["benchmark", "--results", str(written / "performance.json"), "--report", str(again)]) == 0
    assert "| 480x640 | openvino cpu int8 | 50.0 |" in capsys.readouterr().out
    first = (written / "performance.md").read_text().replace("performance", "again")
    assert again.read_text().replace("performance", "again").split() == first.split()


@pytest.mark.parametrize("content", ["[]", "{}", "no JSON", json.dumps({"facts": {}})])
def test_a_file_of_another_kind_is_refused(content, tmp_path, capsys):
    (tmp_path / "other.json").write_text(content)
    assert main(["benchmark", "--results", str(tmp_path / "other.json")]) == 1
    assert "other.json: not what this version's `mono-depth benchmark` saves" in capsys.readouterr().err


def test_tables_need_neither_pytorch_nor_matplotlib(written):
    code = (
        "import sys\nsys.modules.update(torch=None, matplotlib=None)\nfrom mono_depth_ros.cli import main\n"
        f"sys.exit(main(['benchmark', '--results', {str(written / 'performance.json')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "| network at 240x320 |" in done.stdout


def test_a_missing_package_is_named_with_what_brings_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert main(["benchmark", "--peers"]) == 1
    assert "transformers" in (error := capsys.readouterr().err)
    assert "pip install 'mono_depth_ros[benchmark]'" in error


def test_rounds_are_one_at_least(capsys):
    assert main(["benchmark", "--rounds", "0"]) == 1
    assert capsys.readouterr().err == "mono-depth benchmark: --rounds: found 0, expected 1 or more\n"


def test_facts_name_the_cpus_instructions_and_no_path():
    facts = results.gather_facts(Machine(cpu="a CPU", cores=2, memory=2**30, versions=("openvino 1",)), "weights")
    assert (facts.cpu, facts.memory, facts.network) == ("a CPU", 1.0, "weights")
    assert facts.versions[1] == "openvino 1" and any(v.startswith("numpy ") for v in facts.versions)
    assert "/" not in json.dumps(facts.__dict__)
