"""`mono-depth predict` on what users have: each picture is right or refused by name, and the exit code tells."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mono_depth_ros import DepthEstimator, cli
from mono_depth_ros.io.folder import FolderSource
from test.conftest import REPOSITORY

CALIBRATION = """
image_width: 64
image_height: 48
camera_matrix: {rows: 3, cols: 3, data: [50.0, 0, 31.5, 0, 51.0, 23.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0, 0, 0, 0, 0]}
"""


def picture(height: int = 48, width: int = 64) -> np.ndarray:
    """BGR slopes."""
    down, across = np.mgrid[:height, :width]
    return np.dstack([255 * across / width, 255 * down / height, 128 + 0 * across]).astype(np.uint8)


def write(path: Path, height: int = 48, width: int = 64) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture(height, width))
    return path


@pytest.fixture(scope="module")
def estimator(sealed_checkpoint):
    """One for all: starting one takes longer than a test."""
    return DepthEstimator.load(sealed_checkpoint.path, input_size=(96, 128))


@pytest.fixture
def predict(estimator, tmp_path, monkeypatch):
    """Run the command on a source; returns the exit code."""
    monkeypatch.setattr(cli, "load_estimator", lambda options: estimator)

    def run(source: Path, *more: object, output: Path = tmp_path / "out", wanted: tuple[str, ...] = ("depth",)) -> int:
        return cli.main([str(a) for a in ("predict", source, "-o", output, "--write", *wanted, *more)])

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def depth_of(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("cut", [b"", b"\xff\xd9"], ids=["cut", "cut with an end marker"])
def test_a_damaged_picture_costs_only_itself_and_is_told(predict, tmp_path, capsys, cut: bytes):
    for name in ("a", "c"):
        write(tmp_path / "in" / f"{name}.jpg")
    bad = write(tmp_path / "in" / "b.jpg", 480, 640)
    data = bad.read_bytes()
    bad.write_bytes(data[: len(data) // 2] + cut)
    assert predict(tmp_path / "in") == 1
    printed = capsys.readouterr()
    assert f"not done: {bad}: " in printed.err and "1 not done, named above" in printed.err
    assert "2 frames of" in printed.out and names(tmp_path / "out") == ["a_depth.png", "c_depth.png"]


def test_pictures_that_differ_in_nothing_but_their_suffix_have_a_file_each(predict, tmp_path):
    pictures = ["a.jpg", "a.jpg.png", "a.png"]  # the second without its suffix is the first
    for name in pictures:
        write(tmp_path / "in" / name)
    assert predict(tmp_path / "in") == 0
    assert names(tmp_path / "out") == sorted(f"{name}_depth.png" for name in pictures)


@pytest.mark.parametrize("first", ["a", "z"])
def test_pictures_of_several_sizes_are_each_done_with_their_own_lens(predict, tmp_path, capsys, first: str):
    write(tmp_path / "in" / "m.png", 48, 64)
    write(tmp_path / "in" / f"{first}.png", 64, 48)
    assert predict(tmp_path / "in", wanted=("depth", "preview", "ply")) == 0
    assert "a field of view of 63 degrees is assumed" in capsys.readouterr().out
    assert depth_of(tmp_path / "out" / "m_depth.png").shape == (48, 64)
    assert depth_of(tmp_path / "out" / f"{first}_depth.png").shape == (64, 48)


@pytest.mark.parametrize("odd", ["a", "z"])
def test_a_picture_that_is_not_of_the_calibrated_camera_is_refused(predict, tmp_path, capsys, odd: str):
    write(tmp_path / "in" / "m.png", 48, 64)
    write(tmp_path / "in" / f"{odd}.png", 96, 128)
    (tmp_path / "in" / "camera.yaml").write_text(CALIBRATION)
    assert predict(tmp_path / "in") == 1
    assert f"{odd}: found 128x96 pixels, expected the calibration's 64x48" in capsys.readouterr().err
    assert names(tmp_path / "out") == ["m_depth.png"]


def test_what_predict_wrote_is_no_input_and_is_written_anew(predict, tmp_path, capsys):
    folder = write(tmp_path / "in" / "a.jpg").parent
    everything = ("depth", "preview", "ply")
    assert predict(folder, output=folder, wanted=everything) == 0
    assert predict(folder, output=folder, wanted=everything) == 0
    assert names(folder) == ["a.jpg", "a.ply", "a_depth.png", "a_preview.png"]
    assert capsys.readouterr().out.count("1 frames of") == 2
    (folder / "a.jpg").unlink()
    assert predict(folder) == 1
    assert "found no image" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "name"), [("depth", "a_depth.png"), ("preview", "a_preview.png"), ("ply", "a.ply")])
def test_no_file_of_another_origin_is_overwritten(predict, tmp_path, capsys, kind: str, name: str):
    source = write(tmp_path / "a.jpg")
    other = tmp_path / name
    other.write_bytes(b"somebody's")
    assert predict(source, output=tmp_path, wanted=(kind,)) == 1
    assert f"{other} is there already" in capsys.readouterr().err and other.read_bytes() == b"somebody's"


@pytest.mark.parametrize("brand", [b"heic", b"mif1", b"hevc"])
@pytest.mark.parametrize("name", ["a.heic", "a.mp4", "a"])
def test_a_picture_of_a_kind_that_is_not_read_is_no_video_of_its_tiles(predict, tmp_path, capsys, brand, name: str):
    path = tmp_path / name
    path.write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0" + bytes(500))
    assert predict(path) == 1
    assert f"{path}: pictures of this kind are not read; convert it to JPEG or PNG" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not cv2.haveImageWriter(".avif"), reason="this OpenCV has no AVIF")
def test_an_avif_is_one_picture(predict, tmp_path):
    assert predict(write(tmp_path / "a.avif")) == 0
    assert depth_of(tmp_path / "out" / "a_depth.png").shape == (48, 64)


def test_pictures_of_other_kinds_in_a_folder_are_told_and_the_rest_is_done(predict, tmp_path, capsys):
    write(tmp_path / "in" / "a.jpg")
    (tmp_path / "in" / "b.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(500))
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    assert predict(tmp_path / "in") == 1
    assert "b.HEIC: pictures of this kind are not read; convert it to JPEG or PNG" in capsys.readouterr().err
    assert names(tmp_path / "out") == ["a_depth.png"]


def test_a_file_of_several_pictures_is_refused(predict, tmp_path, capsys):
    pages = tmp_path / "in" / "pages.tif"
    pages.parent.mkdir()
    cv2.imwritemulti(str(pages), [picture()] * 3)
    assert predict(pages) == 1
    assert f"{pages}: found 3 pictures in it, expected one" in capsys.readouterr().err


def test_a_picture_is_known_by_its_content_where_its_name_says_nothing(predict, tmp_path):
    path = write(tmp_path / "a.png").rename(tmp_path / "upload")
    assert predict(path) == 0
    assert depth_of(tmp_path / "out" / "upload_depth.png").shape == (48, 64)


def test_a_turned_jpeg_gives_depth_as_it_is_seen(predict, tmp_path):
    path = write(tmp_path / "a.jpg")
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + (2 + len(exif)).to_bytes(2, "big") + exif + data[2:])
    assert predict(path) == 0
    assert depth_of(tmp_path / "out" / "a_depth.png").shape == (64, 48)


def test_a_cut_video_is_told_and_what_it_has_is_done(predict, tmp_path, capsys):
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (64, 48))
    for _ in range(40):
        writer.write(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    assert predict(path) == 0 and len(names(tmp_path / "out")) == 40
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert predict(path, output=tmp_path / "half") == 1
    found = len(names(tmp_path / "half"))
    assert 10 <= found <= 22
    assert f"video {path}: ends after {found} of 40 frames: it is cut short or damaged" in capsys.readouterr().err


def test_a_video_without_a_frame_is_an_error(predict, tmp_path, capsys):
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (64, 48))
    writer.release()
    assert predict(path) == 1
    assert f"video {path}: found no" in capsys.readouterr().err


def test_a_bad_message_of_a_bag_costs_only_itself_and_is_told(predict, tmp_path, capsys):
    pytest.importorskip("rosbags")
    from test.io.test_sources import bag_messages, write_bag

    images, infos = bag_messages(3, "bgr8")
    images[1].encoding = "rgb565"
    bag = write_bag(tmp_path / "bag", images, infos, "/cam/image_raw")
    assert predict(bag) == 1
    assert "/cam/image_raw at 1700000001.000000005: encoding 'rgb565' is unknown" in capsys.readouterr().err
    assert names(tmp_path / "out") == ["000000_depth.png", "000002_depth.png"]


def test_12_megapixels_take_less_than_a_gigabyte_and_give_depth_of_every_pixel(sealed_checkpoint, tmp_path):
    path = write(tmp_path / "large.jpg", 3000, 4000)
    command = [sys.executable, "-m", "mono_depth_ros.cli", "predict", path, "-o", tmp_path / "out"]
    command += ["--checkpoint", sealed_checkpoint.path, "--input-size", "96", "128"]
    # A child's peak begins with that of who starts it, which is large here: a small process stands between.
    watcher = "import resource, subprocess, sys\nassert subprocess.run(sys.argv[1:], stdout=2).returncode == 0\n"
    watcher += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    arguments = [sys.executable, "-c", watcher, *map(str, command)]
    done = subprocess.run(arguments, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    assert int(done.stdout) < 2**20  # KiB
    assert depth_of(tmp_path / "out" / "large_depth.png").shape == (3000, 4000)
    assert cv2.imread(str(tmp_path / "out" / "large_preview.png")).shape[0] == 3000 // 4


def test_anchors_of_a_file_bring_the_depth_to_what_they_say(predict, tmp_path, capsys):
    source = write(tmp_path / "a.png")
    assert predict(source, output=tmp_path / "plain") == 0
    plain = depth_of(tmp_path / "plain" / "a_depth.png").astype(float)
    rows = [f"{u},{v},{1.2e-3 * plain[v, u]:.4f}" for u in range(4, 64, 8) for v in range(4, 48, 8)]
    (tmp_path / "anchors.csv").write_text("\n".join(["u,v,metres", *rows]))
    assert predict(source, "--anchors", tmp_path / "anchors.csv") == 0
    assert "a: 48 of 48 anchors used" in capsys.readouterr().err
    ratio = depth_of(tmp_path / "out" / "a_depth.png") / plain
    assert abs(np.median(ratio) - 1.2) < 0.03 and np.percentile(np.abs(ratio - 1.2), 95) < 0.1


def test_anchors_belong_to_the_frame_that_their_file_names(predict, tmp_path, capsys):
    for name in ("a", "b"):
        write(tmp_path / "in" / f"{name}.png")
    anchors = tmp_path / "anchors.csv"
    anchors.write_text("frame,u,v,metres,sigma\nb,32,24,2.5,0.01\nc,1,1,1,0.01\n")
    assert predict(tmp_path / "in", "--anchors", anchors) == 1
    printed = capsys.readouterr().err
    assert "b: 1 of 1 anchors used" in printed and "anchors of c: no such frame came" in printed
    a, b = (depth_of(tmp_path / "out" / f"{name}_depth.png")[24, 32] for name in "ab")
    assert abs(b / 2500 - 1) < 0.1 and abs(b - 2500.0) < abs(a - 2500.0)
    anchors.write_text("u,v,metres\n32,24,2.5\n")
    assert predict(tmp_path / "in", "--anchors", anchors, output=tmp_path / "other") == 1
    assert "anchors without a column frame are those of one picture" in capsys.readouterr().err


def test_a_picture_none_of_whose_anchors_can_be_used_is_not_done(predict, tmp_path, capsys):
    (tmp_path / "anchors.csv").write_text("u,v,metres\n900,24,2.5\n10,10,-1\n")
    assert predict(write(tmp_path / "a.png"), "--anchors", tmp_path / "anchors.csv") == 1
    printed = capsys.readouterr().err
    assert "a: 0 of 2 anchors used" in printed and "1 outside" in printed and "1 invalid" in printed
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "found the columns none; expected u, v, metres"),
        ("x,y,z\n1,2,3\n", "found the columns x, y, z; expected u, v, metres"),
        ("u,v,metres\n", "found no anchor"),
        ("u,v,metres\n1,2,far\n", "line 2: could not convert string to float: 'far'"),
        ("u,v,metres\n1,2\n", "line 2: "),
    ],
)
def test_a_file_of_anchors_that_is_none_is_named(predict, tmp_path, capsys, content: str, complaint: str):
    (tmp_path / "anchors.csv").write_text(content)
    assert predict(write(tmp_path / "a.png"), "--anchors", tmp_path / "anchors.csv") == 1
    assert f"{tmp_path / 'anchors.csv'}" in (printed := capsys.readouterr().err) and complaint in printed


@pytest.mark.parametrize("value", [0, 6, 128, 255])
def test_depth_of_a_picture_that_shows_nothing_is_said_to_be_a_guess(predict, tmp_path, capsys, value: int):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((48, 64, 3), value, np.uint8))
    predict(tmp_path / "a.png")
    assert "a: the picture is" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".tif", ".png", ".pgm"])
def test_a_picture_of_16_bits_is_as_bright_whatever_file_it_is_in(tmp_path, suffix: str):
    """12 bits that have white, as `mono16`: not the darker sixteenth that its upper byte is."""
    grey = np.tile(np.linspace(0, 255, 64).round().astype(int), (48, 1))
    grey[:8] = 255
    cv2.imwrite(str(tmp_path / f"a{suffix}"), (grey * 4095 // 255).astype(np.uint16))
    rgb = next(FolderSource(tmp_path).frames()).rgb
    np.testing.assert_allclose(rgb[..., 0], grey, atol=1)


def test_a_map_of_floats_is_no_picture(predict, tmp_path, capsys):
    for name in ("depth.tif", "depth.pfm"):
        cv2.imwrite(str(tmp_path / name), np.full((48, 64), 2.5, np.float32))
        assert predict(tmp_path / name) == 1
        assert name in capsys.readouterr().err


def test_a_link_to_nowhere_is_told(predict, tmp_path, capsys):
    write(tmp_path / "in/a.png")
    (tmp_path / "in/b.png").symlink_to("gone.png")
    assert predict(tmp_path / "in") == 1 and names(tmp_path / "out") == ["a_depth.png"]
    assert "b.png: found a link to gone.png, which is not there" in capsys.readouterr().err
