"""What a robot runs unpickles nothing, runs no text, gives no shell a string, and only reads the files it is given."""

import ast
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mono_depth_ros import checkpoint
from test.conftest import REPOSITORY

# Functions that run code out of data, by their names or the ends of them.
RUNS_DATA = {
    "eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "torch.load",
    "torch.jit.load", "load_from_checkpoint", "read_pickle", "yaml.load", "yaml.load_all", "yaml.unsafe_load",
}  # fmt: skip
BUILT_IN = {"eval", "exec"}
UNPICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def dangers(source: str) -> list[str]:
    """Lines of Python that load a pickle, run text, or start a shell."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [name for name in names if name.split(".")[0] in UNPICKLES]
        elif isinstance(node, ast.Call):
            name, keywords = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            runs = name in RUNS_DATA or any(name.endswith(f".{end}") for end in RUNS_DATA - BUILT_IN)
            numpy = name in ("np.load", "numpy.load") and keywords.get("allow_pickle", "False") != "False"
            if runs or numpy or keywords.get("shell", "False") != "False":
                found.append(ast.unparse(node))
    return found


def test_nothing_that_a_robot_runs_turns_data_into_code():
    files = [path for folder in ("mono_depth_ros", "launch") for path in (REPOSITORY / folder).rglob("*.py")]
    assert len(files) > 50
    assert {str(path): found for path in files if (found := dangers(path.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(name, shell=True)",
        "os.system(f'play {name}')",
        "yaml.load(text, Loader=yaml.Loader)",
        "eval(text)",
    ],
)
def test_a_danger_is_found(line):
    assert dangers(f"def f():\n    {line}\n")


def test_a_checkpoint_that_nobody_may_write_is_read_and_stays_as_it_is():
    """By a user who owns nothing there, as on a robot's read-only file system."""
    shipped = REPOSITORY / "mono_depth_ros" / "weights"
    folder = Path(tempfile.mkdtemp())
    try:
        for path in shipped.iterdir():
            shutil.copy(path, folder)
            (folder / path.name).chmod(0o444)
        folder.chmod(0o555)
        before = contents(folder)
        weights = folder / checkpoint.shipped().name
        code = """
import os, sys
from pathlib import Path
import numpy as np
from mono_depth_ros.estimator import DepthEstimator
DepthEstimator.load()  # Python's own files may be closed to others: all that is needed is read now
# OpenVINO looks for its libraries anew: in a home that is closed to others, root stays root.
if os.geteuid() == 0 and all(folder.stat().st_mode & 1 for folder in Path(np.__file__).parents):
    os.setuid(65534)
print(DepthEstimator.load(sys.argv[1]).predict(np.zeros((64, 64, 3), np.uint8)).depth.shape)
"""
        done = subprocess.run(
            [sys.executable, "-c", code, weights],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.stdout.strip() == "(64, 64)", done.stderr
        assert contents(folder) == before
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """Time of the last change and SHA-256 by name."""
    return {p.name: (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest()) for p in folder.iterdir()}
