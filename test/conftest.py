"""Fixtures shared by all tests."""

import os
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

# A run started in the background inherits an ignored SIGINT, and would hand it to the processes that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]

# What `colcon test` leaves out on a robot, or pytest where there is no ROS: the files, and the module that they need.
NEEDS = {
    "benchmark": "transformers",
    "demo": "rosbags",
    "ros": "rclpy",
    "test_backends.py": "onnxruntime",
    "test_network.py": "torch",
    "training": "lightning",
}
collect_ignore = [name for name, module in NEEDS.items() if find_spec(module) is None]

# `python -m test.fuzz` uses it.
settings.register_profile("thousands", max_examples=1000, deadline=None)


def fuzz(cases: int):
    """Mark a property of what comes from outside: so many cases, ten times as many under the profile `thousands`."""
    scaled = settings(max_examples=cases * settings().max_examples // 100, deadline=None)
    return lambda test: pytest.mark.fuzz(scaled(test))


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks."""
    config.addinivalue_line("markers", "fuzz: a property of whatever comes from outside")
    config.addinivalue_line("markers", "real_frames: skips without real RGB-D frames")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need real frames, for `pytest -m real_frames`."""
    for item in items:
        if "real_frames" in getattr(item, "fixturenames", ()):
            item.add_marker("real_frames")


def pytest_report_header() -> list[str]:
    """Say what is left out, in the first lines of a run."""
    return [f"left out: test/{name}, which needs {NEEDS[name]}" for name in collect_ignore]


@pytest.fixture(scope="session")
def real_frames() -> Path:
    """The folder of real RGB-D frames that MONO_DEPTH_DATA names, laid out as docs/data.md says; skips without."""
    folder = os.environ.get("MONO_DEPTH_DATA")
    if not folder:
        pytest.skip("needs real RGB-D frames: MONO_DEPTH_DATA names no folder of them (docs/data.md)")
    return Path(folder)


@pytest.fixture(scope="session")
def sealed_checkpoint(tmp_path_factory):
    """A whole sealed checkpoint, ONNX form included, of the real network with random weights (always the same)."""
    torch = pytest.importorskip("torch")
    from mono_depth_ros.checkpoint import CheckpointInfo
    from mono_depth_ros.export import seal
    from mono_depth_ros.network import DepthNetwork

    architecture = {"encoder": "tf_efficientnet_lite2", "decoder": "sunet", "error": True}
    torch.manual_seed(0)
    network = DepthNetwork(**architecture).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # As after training: an engine folds them into convolutions.
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    info = CheckpointInfo(
        architecture, (480, 640), 519.16, 10.0, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), licence="Apache-2.0"
    )
    return seal(network, info, tmp_path_factory.mktemp("checkpoint") / "random.safetensors")
