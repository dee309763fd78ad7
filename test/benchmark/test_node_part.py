"""The node's part: a command that succeeds, one that fails, and one that does not end."""

import os
from pathlib import Path

import pytest

from mono_depth_ros.benchmark import node

SUCCEEDS = "open(options[options.index('--output') + 1], 'w').write('{\"seconds\": 2.0}')"
FAILS = "sys.exit(3)"
HANGS = "open('pid', 'w').write(str(os.getpid())); time.sleep(60)"


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Puts a module of this body in the place of the demo's."""

    def put(body: str) -> None:
        (tmp_path / "stand_in.py").write_text(f"import os, sys, time\noptions = sys.argv\n{body}\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(node, "MODULE", "stand_in")

    return put


def test_what_it_wrote_is_returned(command):
    command(SUCCEEDS)
    assert node.measure(Path("a.safetensors"), 2, None) == {"seconds": 2.0}


def test_checkpoint_seconds_and_picture_are_handed_on(command, tmp_path):
    command(f"open('options', 'w').write(' '.join(options[1:])); {SUCCEEDS}")
    node.measure(Path("a.safetensors"), 2, tmp_path / "node.png")
    options = (tmp_path / "options").read_text()
    assert options.startswith("--checkpoint a.safetensors --seconds 2 ")
    assert options.endswith(f" --plot {tmp_path / 'node.png'}")


def test_a_failure_is_told(command):
    command(FAILS)
    with pytest.raises(ChildProcessError, match="exit code 3"):
        node.measure(Path("a.safetensors"), 2, None)


def test_one_that_does_not_end_is_ended(command, tmp_path, monkeypatch):
    command(HANGS)
    monkeypatch.setattr(node, "MARGIN", 5.0)
    with pytest.raises(ChildProcessError, match="has not ended in 5 s"):
        node.measure(Path("a.safetensors"), 0, None)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
