"""Where frames are looked for: `data/` of the checkout, or the folder that MONO_DEPTH_DATA names."""

from pathlib import Path

import pytest
import yaml

from test.conftest import REPOSITORY
from training.data.place import locate


def test_data_lies_in_the_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MONO_DEPTH_DATA", raising=False)
    (tmp_path / "data/walk").mkdir(parents=True)
    assert locate("data/walk") == Path("data/walk")


def test_another_place_stands_for_data_and_for_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("MONO_DEPTH_DATA", str(tmp_path))
    (tmp_path / "walk/data").mkdir(parents=True)
    assert locate("data/walk/data") == tmp_path / "walk/data"
    assert locate("data") == tmp_path
    assert locate(tmp_path / "walk") == tmp_path / "walk"


def test_a_missing_set_says_where_it_was_looked_for_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("MONO_DEPTH_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path}/walk: no such .*docs/data.md.*MONO_DEPTH_DATA"):
        locate("data/walk")


@pytest.mark.parametrize("file", sorted((REPOSITORY / "training/configs").glob("*.yaml")), ids=lambda file: file.stem)
def test_configurations_name_frames_in_data_alone(file):
    def values(content):
        if isinstance(content, dict):
            content = [content["bag"]] if "bag" in content else list(content.values())  # Of a bag, the rest are topics.
        return [v for item in content for v in values(item)] if isinstance(content, list) else [content]

    paths = [value for value in values(yaml.safe_load(file.read_text())) if isinstance(value, str) and "/" in value]
    assert {value.split("/")[0] for value in paths} <= {"data", "runs", "mono_depth_ros"}
