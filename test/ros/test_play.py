"""`mono-depth play`: the bag as it was, and beside every image what the node makes of it."""

from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from mono_depth_ros.cli import main
from test.io.test_sources import bag_messages, write_bag

IMAGE, INFO = "/cam/image_raw", "/cam/camera_info"
STORE = get_typestore(Stores.ROS2_JAZZY)


def pictures(count: int) -> tuple[list, list]:
    """Images of noise, 64x48, each with its camera_info."""
    images, infos = bag_messages(count, "rgb8", width=64, height=48)
    for number, (image, info) in enumerate(zip(images, infos, strict=True)):
        image.data = np.random.default_rng(number).integers(0, 256, image.data.size, np.uint8)
        info.k = np.array([50.0, 0, 31.5, 0, 50.0, 23.5, 0, 0, 1])
    return images, infos


@pytest.fixture
def play(sealed_checkpoint, tmp_path):
    """Run the command; returns the exit code."""

    def run(bag: Path, *more: object, target: Path = tmp_path / "out") -> int:
        options = ["--checkpoint", sealed_checkpoint.path, "--input-size", 96, 128]
        return main([str(a) for a in ("play", bag, target, *options, *more)])

    return run


def content(bag: Path) -> dict[str, list[tuple[int, bytes]]]:
    """Time and bytes of the messages by topic."""
    found: dict[str, list[tuple[int, bytes]]] = {}
    with AnyReader([bag], default_typestore=STORE) as reader:
        for connection, time, data in reader.messages():
            found.setdefault(connection.topic, []).append((time, bytes(data)))
    return found


@pytest.mark.parametrize("storage", ["MCAP", "SQLITE3"])
def test_every_image_gets_depth_cloud_and_scan_and_nothing_else_changes(play, tmp_path, capsys, storage):
    bag = write_bag(tmp_path / "in", *pictures(5), IMAGE, storage)
    assert play(bag) == 0
    before, after = content(bag), content(tmp_path / "out")
    assert {topic: after[topic] for topic in before} == before
    assert after.keys() - before.keys() == {"/depth", "/depth/camera_info", "/depth/points", "/scan"}
    for topic in after.keys() - before.keys():
        assert [time for time, _ in after[topic]] == [time for time, _ in before[IMAGE]]
    stamps = [STORE.deserialize_cdr(data, "sensor_msgs/msg/Image").header for _, data in before[IMAGE]]
    depths = [STORE.deserialize_cdr(data, "sensor_msgs/msg/Image") for _, data in after["/depth"]]
    assert [depth.header for depth in depths] == stamps
    for depth in depths:
        metres = depth.data.view(np.float32)
        assert (depth.encoding, metres.size) == ("32FC1", 64 * 48) and np.isfinite(metres).any()
    assert len({depth.data.tobytes() for depth in depths}) == 5
    assert "5 images of /cam/image_raw" in capsys.readouterr().out


def test_the_outputs_their_namespace_and_the_nodes_parameters_are_chosen(play, tmp_path):
    bag = write_bag(tmp_path / "in", *pictures(2), IMAGE)
    options = ("--outputs", "depth", "--namespace", "mono", "-p", "depth_format:=16UC1", "-p", "max_depth:=5")
    assert play(bag, *options) == 0
    after = content(tmp_path / "out")
    assert set(after) == {IMAGE, INFO, "/mono/depth"}
    assert STORE.deserialize_cdr(after["/mono/depth"][0][1], "sensor_msgs/msg/Image").encoding == "16UC1"


def test_an_image_of_which_nothing_comes_is_told(play, tmp_path, capsys):
    images, infos = pictures(3)
    images[1].encoding = "rgb565"
    assert play(write_bag(tmp_path / "in", images, infos, IMAGE), "--outputs", "depth") == 1
    printed = capsys.readouterr()
    assert "depth: 2" in printed.out and "1 images gave nothing: encoding 'rgb565' is unknown" in printed.err
    assert len(content(tmp_path / "out")["/depth"]) == 2


def test_without_a_camera_there_is_no_metric_depth(play, tmp_path, capsys):
    bag = write_bag(tmp_path / "in", pictures(2)[0], [], IMAGE)
    assert play(bag) == 1
    assert "its camera is not known" in capsys.readouterr().err
    assert play(bag, "--outputs", "depth", "-p", "assume_lens:=70", target=tmp_path / "assumed") == 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--outputs", "deepness"), "--outputs: found deepness, expected some of depth"),
        (("-p", "max_deepness:=1"), "--param: found 'max_deepness:=1', expected NAME:=VALUE"),
        (("-p", "max_depth:=far"), "--param max_depth: found 'far', expected float"),
        (("-p", "landmarks:=true"), "landmarks: found true, expected false: a bag is played without other sensors"),
        (("-p", "min_depth:=20.0"), "min_depth: found 20.0, expected less than max_depth"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_by_name(play, tmp_path, capsys, options, complaint):
    assert play(write_bag(tmp_path / "in", *pictures(1), IMAGE), *options) == 1
    assert complaint in capsys.readouterr().err


def test_no_bag_and_no_topic_is_overwritten(play, tmp_path, capsys):
    bag = write_bag(tmp_path / "in", *pictures(1), IMAGE)
    assert play(bag, target=bag) == 1
    assert f"{bag}: is there already" in capsys.readouterr().err
    assert play(bag, "--outputs", "depth") == 0
    assert play(tmp_path / "out", "--outputs", "depth", target=tmp_path / "again") == 1
    assert "the bag has /depth already; name another --namespace" in capsys.readouterr().err
    assert play(tmp_path / "out", "--outputs", "depth", "--namespace", "b", target=tmp_path / "again") == 0
