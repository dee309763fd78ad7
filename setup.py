"""Build with setuptools: setup.cfg says what the package is, this file what ROS finds under share/."""

from pathlib import Path

from setuptools import setup

PACKAGE = "mono_depth_ros"


def shared_files() -> list[tuple[str, list[str]]]:
    """The ament index marker, package.xml, and every file of launch/ and config/, as setuptools' data_files."""
    files = [
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/hook", ["resource/executables.dsv"]),  # colcon.pkg: setup.bash finds mono-depth by it
    ]
    for folder in ("launch", "config"):
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                files.append((f"share/{PACKAGE}/{path.parent.as_posix()}", [path.as_posix()]))
    return files


# python_requires is a string only from here: colcon cannot read the object that setup.cfg makes of it.
setup(python_requires=">=3.10", data_files=shared_files())
