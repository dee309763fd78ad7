"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real RGB-D frames (MONO_DEPTH_DATA, or shared/data beside the checkout); skips where absent."""
    folder = Path(os.environ.get("MONO_DEPTH_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real RGB-D frames at {folder}; set MONO_DEPTH_DATA to a folder of them")
    return folder
