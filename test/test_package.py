"""The package as colcon, pip and rosdep see it, built for real in a folder of its own and without network."""

import ast
import configparser
import importlib.util
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import pytest

import mono_depth_ros
from test.conftest import REPOSITORY
from test.test_imports import FOLDERS, ROS, belongs, imported_modules

EXECUTABLES = ("depth_node", "demo_camera", "mono-depth")
SOURCES = (
    "colcon.pkg", "package.xml", "setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.rst",
    "mono_depth_ros", "demo", "training", "benchmark", "launch", "config", "resource", "test",
)  # fmt: skip

# Import name -> name on PyPI, where the two differ.
DISTRIBUTIONS = {"cv2": "opencv-python-headless", "yaml": "pyyaml", "rerun": "rerun-sdk", "skimage": "scikit-image"}


def run(command: list[str | Path], cwd: Path, timeout: float = 300) -> str:
    """What the command printed; fails with all of it where the exit code is not 0."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def metadata() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    return parser


def imports_of(folder: str) -> set[str]:
    """Top-level modules that the files of a folder import and that are neither ours nor the standard library's."""
    ours = {*FOLDERS, "test", *sys.stdlib_module_names}
    files = (REPOSITORY / folder).rglob("*.py")
    return {module.split(".")[0] for path in files for module in imported_modules(path, REPOSITORY)} - ours


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A colcon workspace with the package in src/."""
    source = tmp_path / "src" / "mono_depth_ros"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SOURCES:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=ignore)
        else:
            source.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, source)
    return tmp_path


def colcon(*arguments: str, cwd: Path) -> str:
    """Run colcon without its log folder, desktop notifications and user-wide defaults."""
    if importlib.util.find_spec("colcon_ros") is None:
        pytest.skip("colcon is missing; pip install 'mono_depth_ros[test]'")
    code = "import sys; from colcon_core.command import main; sys.exit(main(argv=sys.argv[1:]))"
    return run([sys.executable, "-c", code, "--log-base", os.devnull, *arguments], cwd)


def test_package_xml_keeps_the_rules_of_format_3():
    package = pytest.importorskip("catkin_pkg.package")
    warnings: list[str] = []
    parsed = package.parse_package(REPOSITORY / "package.xml", warnings=warnings)
    assert warnings == []
    assert (parsed.package_format, parsed.get_build_type()) == (3, "ament_python")
    assert [license.file for license in parsed.licenses] == ["LICENSE"]


def test_name_and_version_agree_everywhere():
    root = ElementTree.parse(REPOSITORY / "package.xml").getroot()
    version = mono_depth_ros.__version__
    assert (root.findtext("name"), root.findtext("version")) == ("mono_depth_ros", version)
    assert metadata()["metadata"]["name"] == "mono_depth_ros"
    changes = (REPOSITORY / "CHANGELOG.rst").read_text(encoding="utf-8")
    assert f"\n{version} (" in changes


def test_package_xml_declares_every_ros_package_that_is_imported():
    names = {"tf2_ros": "tf2_ros_py"}  # the modules that are not called as their package
    modules = imports_of("mono_depth_ros") | imports_of("launch")
    imported = {names.get(module, module) for module in modules if belongs(module, ROS)}
    declared = {element.text for element in ElementTree.parse(REPOSITORY / "package.xml").iter("exec_depend")}
    assert imported - declared == {"px4_msgs"}  # in no distribution; who flies PX4 has it in the workspace


def test_setup_cfg_declares_every_pypi_package_that_is_imported():
    sections = metadata()
    requirements = [sections["options"]["install_requires"], *sections["options.extras_require"].values()]
    lines = [line for text in requirements for line in text.split("\n")]
    declared = {line.split("[")[0].split(">")[0].strip().lower() for line in lines}
    imported = set().union(*(imports_of(folder) for folder in (*FOLDERS, "test")))
    pypi = {DISTRIBUTIONS.get(name, name).lower() for name in imported if not belongs(name, ROS)}
    assert {name.replace("_", "-") for name in pypi} - declared == set()


def test_colcon_takes_the_package_for_a_ros_package(workspace: Path):
    assert colcon("list", cwd=workspace).split() == ["mono_depth_ros", "src/mono_depth_ros", "(ros.ament_python)"]


@pytest.mark.parametrize("options", [(), ("--symlink-install",)], ids=["copied", "symlinked"])
def test_colcon_build_installs_what_ros2_run_and_launch_look_for(workspace: Path, options: tuple[str, ...]):
    colcon("build", *options, cwd=workspace)
    prefix = workspace / "install" / "mono_depth_ros"
    for name in EXECUTABLES:
        assert os.access(prefix / "lib" / "mono_depth_ros" / name, os.X_OK)
    assert (prefix / "share" / "ament_index" / "resource_index" / "packages" / "mono_depth_ros").is_file()
    share = prefix / "share" / "mono_depth_ros"
    assert (share / "package.xml").is_file()
    for path in (p for folder in ("launch", "config") for p in (REPOSITORY / folder).rglob("*.*")):
        if path.suffix != ".pyc":
            assert (share / path.relative_to(REPOSITORY)).read_bytes() == path.read_bytes()

    code = "import mono_depth_ros; print(mono_depth_ros.__path__[0]); import mono_depth_ros.checkpoint"
    shell = f". install/setup.sh && command -v mono-depth && {sys.executable!r} -c {code!r}"
    # colcon's scripts cannot call a Python in a folder with a space, where this checkout's .venv may be.
    python = f"COLCON_PYTHON_EXECUTABLE={os.path.realpath(sys.executable)}"
    command, package = run(["env", "-u", "PYTHONPATH", python, "sh", "-c", shell], workspace).strip().splitlines()[-2:]
    assert Path(command).samefile(prefix / "lib" / "mono_depth_ros" / "mono-depth")
    package = Path(package)
    assert package.is_relative_to(workspace)
    shipped = {path.name for path in (REPOSITORY / "mono_depth_ros" / "weights").iterdir()}
    assert shipped <= {path.name for path in (package / "weights").iterdir()}


def test_colcon_test_runs_the_tests(workspace: Path):
    colcon("build", cwd=workspace)
    colcon("test", "--pytest-args", "test/test_scan.py", "-q", cwd=workspace)
    summary = colcon("test-result", "--verbose", cwd=workspace)
    assert "0 errors, 0 failures" in summary
    assert not summary.startswith("Summary: 0 tests")


def test_the_wheel_holds_the_runtime_and_nothing_else(workspace: Path):
    source = workspace / "src" / "mono_depth_ros"
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir"]
    run([*pip, workspace, source], workspace)
    (wheel,) = workspace.glob("mono_depth_ros-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    folders = {name.split("/")[0] for name in names}
    stem = f"mono_depth_ros-{mono_depth_ros.__version__}"
    assert folders == {"mono_depth_ros", f"{stem}.dist-info", f"{stem}.data"}
    for path in (REPOSITORY / "mono_depth_ros").rglob("*.*"):
        if path.suffix != ".pyc":
            assert path.relative_to(REPOSITORY).as_posix() in names
    assert f"{stem}.data/data/share/mono_depth_ros/config/fastdds.xml" in names


def test_every_executable_names_a_function_that_exists():
    for line in metadata()["options.entry_points"]["console_scripts"].strip().splitlines():
        module, function = line.split("=")[1].strip().split(":")
        tree = ast.parse((REPOSITORY / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
