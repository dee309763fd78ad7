"""Who may import whom: each file's imports are read from its source and held against the rules of the house."""

import ast
import os
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from test.conftest import REPOSITORY

FOLDERS = ("mono_depth_ros", "demo", "training", "benchmark")

ROS = (
    "rclpy", "bond", "cv_bridge", "ament_index_python", "launch", "launch_ros", "tf2_ros", "rosidl_*",
    "*_msgs", "*_srvs", "*_interfaces", "message_filters", "diagnostic_updater",
)  # fmt: skip

# (files the rule is for, files exempt from it, modules never imported there; "mono_depth_ros" stands for all within it)
FORBIDDEN = [
    ("*", ("mono_depth_ros/ros/*", "mono_depth_ros/demo/*", "demo/*", "benchmark/node*"), ROS),
    ("mono_depth_ros/*", (), ("demo", "training", "benchmark", "test")),
    ("training/*", (), ("demo", "benchmark", "test")),
    ("benchmark/*", (), ("training.[!b]*", "test")),  # of training only its baselines
    ("mono_depth_ros/backends/openvino_backend.py", (), ("torch", "torchvision", "timm", "mono_depth_ros.network")),
    ("mono_depth_ros/backends/onnxruntime_backend.py", (), ("torch", "torchvision", "timm", "mono_depth_ros.network")),
    ("mono_depth_ros/backends/opencv_backend.py", (), ("torch", "timm", "onnx", "mono_depth_ros.network")),
    ("mono_depth_ros/checkpoint.py", (), ("torch", "mono_depth_ros.network", "mono_depth_ros.backends")),
    # The one way through the house: ros -> estimator -> backends -> network. Nothing flows back.
    ("mono_depth_ros/network/*", (), ("mono_depth_ros.backends", "mono_depth_ros.estimator")),
    ("mono_depth_ros/backends/*", (), ("mono_depth_ros.estimator",)),
    (
        "*",
        ("mono_depth_ros/ros/*", "mono_depth_ros/demo/*", "mono_depth_ros/cli.py", "demo/*", "benchmark/node*"),
        ("mono_depth_ros.ros",),
    ),
    ("mono_depth_ros/*", ("mono_depth_ros/demo/*",), ("mono_depth_ros.demo",)),
]

# (files, the only modules beside the standard library that they import)
ALLOWED = [
    (
        "mono_depth_ros/io/*",
        (
            "numpy",
            "cv2",
            "simplejpeg",
            "rosbags",
            "mono_depth_ros.camera",
            "mono_depth_ros.errors",
            "mono_depth_ros.io",
        ),
    ),
    ("mono_depth_ros/camera.py", ("numpy", "cv2", "yaml", "mono_depth_ros.errors")),
    ("mono_depth_ros/fusion.py", ("numpy", "cv2", "mono_depth_ros.alignment", "mono_depth_ros.prediction")),
    ("mono_depth_ros/alignment.py", ("numpy", "mono_depth_ros.errors", "mono_depth_ros.prediction")),
    ("mono_depth_ros/landmarks.py", ("numpy", "cv2", "mono_depth_ros.camera", "mono_depth_ros.fusion")),
    ("mono_depth_ros/pointcloud.py", ("numpy", "cv2", "mono_depth_ros.camera")),
    ("mono_depth_ros/scan.py", ("numpy", "cv2", "mono_depth_ros.camera", "mono_depth_ros.pointcloud")),
]


def imported_modules(path: Path, root: Path) -> set[str]:
    """Every module that the file imports, at its top or inside a function, relative imports resolved."""
    package = path.relative_to(root).parent.parts
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = (*above, node.module) if node.module else above
            modules.update(".".join((*base, alias.name)) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            modules.update(a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str))
    return modules


def belongs(module: str, names: tuple[str, ...]) -> bool:
    """Whether the module is one of the names (shell patterns) or lies within one of them."""
    return any(fnmatch(module, name) or fnmatch(module, f"{name}.*") for name in names)


def import_circle(root: Path) -> list[str]:
    """Modules under root of which each imports the next and the last is the first; empty where there are none such."""
    files = [path for folder in FOLDERS for path in (root / folder).rglob("*.py")]
    names = {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in files}
    graph = {}
    for name, path in names.items():
        # What is no module is a name in the module before the last dot.
        found = (module if module in names else module.rpartition(".")[0] for module in imported_modules(path, root))
        graph[name] = {module for module in found if module in names and module != name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1][::-1]
    return []


def broken_rules(root: Path) -> list[str]:
    """One line for each import under root's folders of code that the rules forbid."""
    found = []
    for path in sorted(p for folder in FOLDERS for p in (root / folder).rglob("*.py")):
        file, modules = path.relative_to(root).as_posix(), sorted(imported_modules(path, root))
        for files, exempt, names in FORBIDDEN:
            if fnmatch(file, files) and not any(fnmatch(file, pattern) for pattern in exempt):
                found += [f"{file} imports {module}" for module in modules if belongs(module, names)]
        for only, names in ALLOWED:
            if fnmatch(file, only):
                others = (m for m in modules if m.split(".")[0] not in sys.stdlib_module_names)
                found += [f"{file} imports {module}" for module in others if not belongs(module, names)]
    return found


def test_every_file_keeps_the_import_rules():
    assert broken_rules(REPOSITORY) == []


def test_no_modules_import_each_other_in_a_circle():
    assert import_circle(REPOSITORY) == []


def test_an_import_circle_is_found(tmp_path: Path):
    package = tmp_path / "mono_depth_ros"
    package.mkdir()
    (package / "__init__.py").write_text("from mono_depth_ros.a import A")
    (package / "a.py").write_text("import numpy\nfrom mono_depth_ros import b")
    (package / "b.py").write_text("def f():\n    from mono_depth_ros.c import C")
    (package / "c.py").write_text("")
    assert import_circle(tmp_path) == []
    (package / "c.py").write_text("from .a import A")
    circle = import_circle(tmp_path)
    assert circle[0] == circle[-1] and set(circle) == {f"mono_depth_ros.{name}" for name in "abc"}
    (package / "c.py").write_text("from mono_depth_ros import A")
    assert set(import_circle(tmp_path)) == {"mono_depth_ros", *circle}


@pytest.mark.parametrize(
    ("file", "line", "module"),
    [
        ("mono_depth_ros/io/raw.py", "from sensor_msgs.msg import Image", "sensor_msgs.msg.Image"),
        ("mono_depth_ros/io/bag.py", "from mono_depth_ros.estimator import x", "mono_depth_ros.estimator.x"),
        ("mono_depth_ros/camera.py", "import rclpy", "rclpy"),
        ("mono_depth_ros/estimator.py", "from sensor_msgs.msg import Image", "sensor_msgs.msg.Image"),
        ("mono_depth_ros/cli.py", "import importlib; importlib.import_module('rclpy')", "rclpy"),
        ("training/losses.py", "from std_srvs.srv import Trigger", "std_srvs.srv.Trigger"),
        ("mono_depth_ros/ros/node.py", "from training.losses import silog", "training.losses.silog"),
        ("mono_depth_ros/cli.py", "from benchmark import race", "benchmark.race"),
        ("mono_depth_ros/demo/player.py", "from demo import recording", "demo.recording"),
        ("training/module.py", "import benchmark.cost", "benchmark.cost"),
        ("benchmark/race.py", "from training import losses", "training.losses"),
        ("benchmark/report.py", "import rclpy", "rclpy"),
        ("mono_depth_ros/backends/openvino_backend.py", "import torch.nn", "torch.nn"),
        ("mono_depth_ros/backends/onnxruntime_backend.py", "def f():\n    from torch import nn", "torch.nn"),
        ("mono_depth_ros/backends/onnxruntime_backend.py", "from .. import network", "mono_depth_ros.network"),
        ("mono_depth_ros/network/model.py", "from ..estimator import x", "mono_depth_ros.estimator.x"),
        ("mono_depth_ros/backends/select.py", "from mono_depth_ros import estimator", "mono_depth_ros.estimator"),
        ("mono_depth_ros/pointcloud.py", "import scipy", "scipy"),
        ("mono_depth_ros/scan.py", "from . import checkpoint", "mono_depth_ros.checkpoint"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, line: str, module: str):
    for folder in FOLDERS:
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("weights", "__pycache__"))
    with (tmp_path / file).open("a", encoding="utf-8") as source:
        source.write(f"\n{line}\n")
    assert set(broken_rules(tmp_path)) == {f"{file} imports {module}"}


@pytest.mark.parametrize(
    ("module", "engine"),
    [
        ("estimator", "openvino"),
        ("backends.openvino_backend", "openvino"),
        ("backends.onnxruntime_backend", "onnxruntime"),
        ("cli", "openvino"),
    ],
)
def test_the_lean_runtime_imports_neither_torch_nor_ros(module: str, engine: str):
    pytest.importorskip(engine)
    heavy = "{'torch', 'timm', 'rclpy', 'training'}"
    assert python(f"import sys, mono_depth_ros.{module}; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_the_runtime_reports_to_nobody(tmp_path: Path):
    pytest.importorskip("openvino")
    code = "import sys, mono_depth_ros.backends.openvino_backend; print('openvino_telemetry' in sys.modules)"
    assert python(code, HOME=str(tmp_path), CI="") == "False"  # what others import is as it was
    assert list(tmp_path.rglob("*")) == []  # OpenVINO's reports begin with an identity in the home folder


def python(code: str, **environ: str) -> str:
    """What a new Python prints that runs the code in the checkout."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
