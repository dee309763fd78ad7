"""Every reader on files made in exactly its format, and what it says of files that are not."""

import dataclasses
import shutil
from operator import attrgetter
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from torch.utils.data import DataLoader

from mono_depth_ros.camera import CameraModel
from test.scenes import LENSES, ROOM, cast, rays_of
from test.training.scenes import Planes, picture, plane_depth
from training.data import nyu
from training.data.densedepth_csv import DenseDepthCsv
from training.data.frame import BadFrameError, RgbdDataset, RgbdFrame, take
from training.data.nyu_mat import NyuMat
from training.data.nyu_sync import NyuSync
from training.data.rgbd_folder import RgbdFolder
from training.data.skipping import SkipBadFrames
from training.data.summary import describe

NYU = CameraModel.nyu()
CALIBRATION = """\
image_width: {width}
image_height: {height}
camera_name: test
camera_matrix: {{rows: 3, cols: 3, data: [{fx}, 0.0, {cx}, 0.0, {fy}, {cy}, 0.0, 0.0, 1.0]}}
distortion_model: plumb_bob
distortion_coefficients: {{rows: 1, cols: 5, data: {d}}}
rectification_matrix: {{rows: 3, cols: 3, data: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]}}
projection_matrix: {{rows: 3, cols: 4, data: [{fx}, 0.0, {cx}, 0.0, 0.0, {fy}, {cy}, 0.0, 0.0, 0.0, 1.0, 0.0]}}
"""
SMALL = CameraModel(width=80, height=60, fx=70, fy=72, cx=41, cy=29)


def write_color(path: Path, rgb: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])


def write_depth(path: Path, units: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), units)


def write_folder(folder: Path, frames: int, camera: CameraModel = SMALL, d: tuple[float, ...] = (0,) * 5) -> Path:
    for i in range(frames):
        write_color(folder / f"rgb/{i:05d}.jpg", picture(camera, i))
        write_depth(folder / f"depth/{i:05d}.png", (plane_depth(camera) * 1000 + i).round().astype(np.uint16))
    text = CALIBRATION.format(**{f: getattr(camera, f) for f in ("width", "height", "fx", "fy", "cx", "cy")}, d=list(d))
    (folder / "camera.yaml").write_text(text)
    return folder


def assert_same_picture(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == np.uint8 and found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 2


class TestRgbdFolder:
    def test_colour_depth_and_camera(self, tmp_path):
        frames = RgbdFolder(write_folder(tmp_path / "walk", frames=3))
        frame = frames[2]
        assert len(frames) == 3 and frame.name == "walk/00002" and frame.camera == SMALL
        assert_same_picture(frame.rgb, picture(SMALL, 2))
        assert frame.depth.dtype == np.float32
        np.testing.assert_allclose(frame.depth, plane_depth(SMALL) + 0.002, atol=0.00051)

    def test_a_millimetre_is_a_thousandth_and_zero_is_unknown(self, tmp_path):
        folder = write_folder(tmp_path, frames=1)
        units = np.full((60, 80), 1234, np.uint16)
        units[5, 7] = 0
        write_depth(folder / "depth/00000.png", units)
        depth = RgbdFolder(folder)[0].depth
        assert depth[0, 0] == pytest.approx(1.234) and depth[5, 7] == 0

    def test_depth_near_the_border_is_not_trusted(self, tmp_path):
        depth = RgbdFolder(write_folder(tmp_path, frames=1), border=8)[0].depth
        assert (depth[8:52, 8:72] > 0).all() and np.count_nonzero(depth) == 44 * 64

    def test_rows_and_every_choose_frames_by_position(self, tmp_path):
        folder = write_folder(tmp_path, frames=12)
        chosen = RgbdFolder(folder, rows=[(0, 5), (8, 12)], every=2)
        assert [chosen[i].name[-2:] for i in range(len(chosen))] == ["00", "02", "04", "09", "11"]

    def test_a_distorted_image_is_rectified(self, tmp_path):
        lens = LENSES["plumb_bob"]
        folder = write_folder(tmp_path, frames=1, camera=dataclasses.replace(lens, distortion=()), d=lens.distortion)
        write_depth(folder / "depth/00000.png", (cast(rays_of(lens), ROOM)[0] * 1000).round().astype(np.uint16))
        frame = RgbdFolder(folder)[0]
        known = frame.depth > 0
        assert not frame.camera.is_distorted and known.mean() > 0.9
        error = np.abs(frame.depth / cast(frame.camera.rays(), ROOM)[0] - 1)[known]
        assert np.quantile(error, 0.99) < 0.005

    def test_the_real_sets(self, real_frames):
        for name in ("nyu_depth_v2_train", "tum_fr1_rpy", "hololens_office", "replica_office_0"):
            frames = RgbdFolder(real_frames / name, every=50)
            frame = frames[len(frames) - 1]
            assert frame.rgb.shape == (*frame.depth.shape, 3) and not frame.camera.is_distorted
            assert 0.5 < np.median(frame.depth[frame.depth > 0]) < 6 and frame.depth.max() < 10.5


class TestNyuMat:
    @pytest.fixture
    def mat(self, tmp_path) -> Path:
        """The true shapes, with only rows 0 (test), 2 (training) and 9 (training) written."""
        path = tmp_path / "nyu_depth_v2_labeled.mat"
        options = {"compression": "gzip", "fillvalue": 0}
        with h5py.File(path, "w", userblock_size=512) as file:
            images = file.create_dataset("images", (1449, 3, 640, 480), "u1", chunks=(1, 3, 640, 480), **options)
            for name in ("depths", "rawDepths"):
                file.create_dataset(name, (1449, 640, 480), "f4", chunks=(1, 640, 480), **options)
            for row in (0, 2, 9):
                images[row] = picture(NYU, row).transpose(2, 1, 0)
                file["depths"][row] = plane_depth(NYU).T + row
                file["rawDepths"][row, :, 100:] = plane_depth(NYU).T[:, 100:] + row
        with path.open("r+b") as raw:
            raw.write(
                b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Tue Nov  8 15:13:37 2011 HDF5 schema 1.00 ."
            )
        return path

    @pytest.mark.parametrize(("split", "size", "position", "row"), [("train", 795, 6, 9), ("test", 654, 0, 0)])
    def test_training_and_test_frames(self, mat, split, size, position, row):
        frames = NyuMat(mat, split)
        frame = frames[position]
        assert len(frames) == size and frame.name == f"{row:05d}" and frame.camera == NYU
        np.testing.assert_array_equal(frame.rgb, picture(NYU, row))
        inside = np.s_[8:472, 8:632]
        np.testing.assert_allclose(frame.depth[inside], plane_depth(NYU)[inside] + row, rtol=1e-6)
        assert np.count_nonzero(frame.depth) == 464 * 624

    def test_raw_depth_has_the_holes(self, mat):
        depth = NyuMat(mat, "train", depth="raw")[0].depth
        assert (depth[:100] == 0).all() and (depth[100:472, 8:632] > 0).all()

    def test_rows_hold_out_blocks_of_the_split(self, mat):
        assert [NyuMat(mat, "train", rows=[(5, 8)]).rows[i] for i in range(3)] == [7, 9, 10]

    def test_the_official_split(self, real_frames):
        train, test = nyu.official_rows("train"), nyu.official_rows("test")
        assert sorted(train + test) == list(range(1449)) and len(train) == 795
        assert train == sorted(int(file.stem) for file in (real_frames / "nyu_depth_v2_train/rgb").iterdir())

    def test_another_file_is_refused(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"gone.mat: no such file.*docs/data.md"):
            NyuMat(tmp_path / "gone.mat", "train")
        (tmp_path / "text.mat").write_text("MATLAB 5.0 MAT-file")
        with pytest.raises(ValueError, match=r"text.mat: not a MATLAB v7.3"):
            NyuMat(tmp_path / "text.mat", "train")
        with h5py.File(tmp_path / "other.mat", "w") as file:
            file["images"] = np.zeros((4, 3, 8, 6), np.uint8)
        with pytest.raises(ValueError, match=r"other.mat: found .*\(4, 3, 8, 6\).*'depths': None"):
            NyuMat(tmp_path / "other.mat", "train")

    def test_a_file_cut_short_names_the_frame(self, mat):
        with mat.open("r+b") as file:
            file.truncate(mat.stat().st_size // 2)
        with pytest.raises(ValueError, match="nyu_depth_v2_labeled.mat"):
            NyuMat(mat, "train")


class TestNyuSync:
    @pytest.mark.parametrize("ending", [" 518.8579\n", "\r\n"], ids=["BTS", "GLPDepth"])
    def test_lists_of_both_projects(self, tmp_path, ending):
        names = ["kitchen_0028b/{}00045", "living_room_0019/{}00111", "kitchen_0028b/{}00002"]
        for i, name in enumerate(names):
            write_color(tmp_path / f"sync/{name.format('rgb_')}.jpg", picture(NYU, i))
            depth = (plane_depth(NYU) * 1000).astype(np.uint16) + 100 * i
            write_depth(tmp_path / f"sync/{name.format('sync_depth_')}.png", depth)
        lines = (f"/{n.format('rgb_')}.jpg /{n.format('sync_depth_')}.png{ending}" for n in names)
        (tmp_path / "list.txt").write_bytes("".join(lines).encode())
        frames = NyuSync(tmp_path / "sync", tmp_path / "list.txt")
        assert [frames[i].name for i in range(3)] == [names[i].format("rgb_") for i in (2, 0, 1)]
        frame = frames[2]
        assert frame.camera == NYU and np.count_nonzero(frame.depth) == 464 * 624
        assert_same_picture(frame.rgb, picture(NYU, 1))
        np.testing.assert_allclose(frame.depth[8:472, 8:632], plane_depth(NYU)[8:472, 8:632] + 0.1, atol=0.0011)

    def test_no_scene_is_cut(self, tmp_path):
        """Parts a and b of a kitchen are one scene, which is in one share or in the other."""
        names = ["bath_0001", "kitchen_0028a", "kitchen_0028b", "office_0003"]
        pairs = [(f"{name}/rgb_{i}.jpg", f"{name}/sync_depth_{i}.png") for name in names for i in range(3)]
        (tmp_path / "list.txt").write_text("".join(f"{color} {depth}\n" for color, depth in pairs))
        shares = [NyuSync(tmp_path, tmp_path / "list.txt", scenes=part).pairs for part in ((0.0, 0.5), (0.5, 1.0))]
        assert shares[0] + shares[1] == pairs
        assert {color.split("/")[0] for color, _ in shares[1]} == {"office_0003"}

    def test_a_broken_list_names_its_line(self, tmp_path):
        (tmp_path / "list.txt").write_text("a/rgb_0.jpg a/sync_depth_0.png 518.8579\na/rgb_1.jpg\n")
        with pytest.raises(ValueError, match=r"list.txt, line 2: found 'a/rgb_1.jpg'"):
            NyuSync(tmp_path, tmp_path / "list.txt")


class TestDenseDepthCsv:
    def test_training_depth_is_eight_bits_for_ten_metres(self, tmp_path):
        write_color(tmp_path / "data/nyu2_train/den_0001_out/7.jpg", picture(NYU))
        units = np.full((480, 640), 51, np.uint8)
        units[100, 100:103] = 0, 1, 255
        write_depth(tmp_path / "data/nyu2_train/den_0001_out/7.png", units)
        line = "data/nyu2_train/den_0001_out/7.jpg,data/nyu2_train/den_0001_out/7.png\r\n"
        (tmp_path / "data/nyu2_train.csv").write_bytes(line.encode())
        frames = DenseDepthCsv(tmp_path, "train")
        frame = frames[0]
        assert len(frames) == 1 and frame.name == "data/nyu2_train/den_0001_out/7" and frame.camera == NYU
        assert_same_picture(frame.rgb, picture(NYU))
        np.testing.assert_allclose(frame.depth[100, 99:103], [2, 0, 10 / 255, 10], rtol=1e-6)

    def test_test_depth_is_millimetres(self, tmp_path):
        write_color(tmp_path / "data/nyu2_test/00000_colors.png", picture(NYU))
        write_depth(tmp_path / "data/nyu2_test/00000_depth.png", np.full((480, 640), 2345, np.uint16))
        (tmp_path / "data/nyu2_test.csv").write_text("data/nyu2_test/00000_colors.png,data/nyu2_test/00000_depth.png\n")
        frame = DenseDepthCsv(tmp_path, "test")[0]
        np.testing.assert_array_equal(frame.rgb, picture(NYU))
        assert frame.depth[240, 320] == pytest.approx(2.345)

    def test_a_broken_csv_names_its_line(self, tmp_path):
        (tmp_path / "data").mkdir()
        (tmp_path / "data/nyu2_train.csv").write_text("a.jpg,a.png\nb.jpg\n")
        with pytest.raises(ValueError, match=r"nyu2_train.csv, line 2"):
            DenseDepthCsv(tmp_path, "train")


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def zero_out(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


class TestBadFrames:
    @pytest.mark.parametrize(
        ("file", "damage", "message"),
        [
            ("rgb/00001.jpg", Path.unlink, "no such file"),
            ("depth/00001.png", Path.unlink, "no such file"),
            ("rgb/00001.jpg", cut_short, "truncated"),
            ("depth/00001.png", cut_short, "truncated"),
            ("rgb/00001.jpg", zero_out, "found no picture in it"),
            ("depth/00001.png", zero_out, "expected a JPEG or PNG"),
            ("depth/00001.png", flip_a_bit, "damaged"),
            ("rgb/00001.jpg", lambda p: write_color(p, picture(SMALL)[:, :70]), "found 70x60 .* expected .* 80x60"),
            ("depth/00001.png", lambda p: write_depth(p, np.full((30, 40), 2000, np.uint16)), "found 40x30"),
            ("depth/00001.png", lambda p: write_depth(p, np.full((60, 80), 2, np.uint16)), "median depth of 0.002 m"),
            ("depth/00001.png", lambda p: write_depth(p, np.full((60, 80), 25000, np.uint16)), "median depth of 25 m"),
            ("depth/00001.png", lambda p: write_depth(p, np.full((60, 80), 50, np.uint8)), "1 channel.* of uint8"),
            ("depth/00001.png", lambda p: write_color(p, picture(SMALL)), "3 channel"),
        ],
    )
    def test_the_error_names_the_file(self, tmp_path, file, damage, message):
        frames = RgbdFolder(write_folder(tmp_path, frames=2))
        damage(tmp_path / file)
        with pytest.raises(BadFrameError, match=f"{file}: .*{message}"):
            frames[1]
        assert frames[0].name.endswith("00000")

    def test_a_frame_without_valid_depth_is_not_bad(self, tmp_path):
        write_depth(write_folder(tmp_path, frames=1) / "depth/00000.png", np.zeros((60, 80), np.uint16))
        assert not RgbdFolder(tmp_path)[0].depth.any()

    def test_a_set_without_frames(self, tmp_path):
        with pytest.raises(ValueError, match="found no frames"):
            RgbdFolder(tmp_path)
        shutil.rmtree(write_folder(tmp_path, frames=1) / "rgb")
        with pytest.raises(BadFrameError, match=r"rgb/00000.jpg: no such file"):
            RgbdFolder(tmp_path)[0]

    @pytest.mark.parametrize("rows", [(3, 3), (0, 6), (-1, 2)])
    def test_rows_outside_the_set(self, rows):
        with pytest.raises(ValueError, match=r"walk: rows: found .* inside \[0, 5\)"):
            take(range(5), [rows], 1, "walk")


class Flawed(RgbdDataset):
    """Planes of which some cannot be read."""

    def __init__(self, frames: int, bad: set[int]) -> None:
        self.planes, self.bad = Planes(frames, SMALL), bad

    def __len__(self) -> int:
        return len(self.planes)

    def __getitem__(self, index: int) -> RgbdFrame:
        if index in self.bad:
            raise BadFrameError(f"walk/{index}.png: cut short")
        return self.planes[index]


class TestSkipping:
    def test_the_next_good_frame_stands_in(self, caplog):
        frames = SkipBadFrames(Flawed(200, {7, 8}))
        names = [frames[i].name for i in (6, 7, 8, 9, 7)]
        assert names == ["6", "9", "9", "9", "9"]
        assert frames.skipped == 2
        assert [record.getMessage() for record in caplog.records] == [
            f"skipped: walk/{i}.png: cut short" for i in (7, 8)
        ]

    def test_the_last_frame_is_followed_by_the_first(self):
        assert SkipBadFrames(Flawed(100, {99}))[99].name == "0"

    def test_more_than_one_in_a_hundred_stops(self):
        frames = SkipBadFrames(Flawed(200, {7, 70, 170}))
        assert (frames[7].name, frames[70].name) == ("8", "71")
        with pytest.raises(BadFrameError, match=r"3 of 200 frames are bad, more than 1%; the last: walk/170.png"):
            frames[170]

    def test_one_of_a_small_set_stops(self):
        with pytest.raises(BadFrameError, match=r"1 of 50 frames .* walk/7.png"):
            SkipBadFrames(Flawed(50, {7}))[7]

    def test_workers_count_together(self):
        frames = SkipBadFrames(Flawed(300, {10, 11, 150}))
        loader = DataLoader(frames, batch_size=None, num_workers=2, collate_fn=attrgetter("name"))
        assert list(loader) == [str({10: 12, 11: 12, 150: 151}.get(i, i)) for i in range(300)]
        assert frames.skipped == 3

    def test_in_evaluation_nothing_stands_in(self):
        """A bad frame has no known pixel, so that no other one counts twice."""
        frames = SkipBadFrames(Flawed(200, {7}), training=False)
        assert frames[6].name == "6" and frames[8].name == "8"
        assert not frames[7].depth.any() and frames.skipped == 1


class TestUnits:
    """Depth in another code than millimetres is refused by name, and read right where the reader is told."""

    @pytest.mark.parametrize(
        ("code", "name"),
        [(lambda mm: 5 * mm, "TUM's, 5000 to the metre"), (lambda mm: mm << 3 | mm >> 13, "SUN RGB-D's")],
    )
    def test_by_the_values(self, tmp_path, code, name):
        folder = write_folder(tmp_path, frames=1)
        millimetres = np.rint(1000 * plane_depth(SMALL)).astype(np.uint16)
        write_depth(folder / "depth/00000.png", code(millimetres).astype(np.uint16))
        with pytest.raises(BadFrameError, match=rf"depth/00000.png: .*{name}.*`metre`"):
            RgbdFolder(folder)[0]

    def test_by_the_shape_of_a_sparse_frame(self, tmp_path):
        wide = CameraModel(width=248, height=75, fx=144, fy=144, cx=122, cy=34)
        folder = write_folder(tmp_path, frames=1, camera=wide)
        units = np.zeros((75, 248), np.uint16)
        units[::5] = 256 * 12
        write_depth(folder / "depth/00000.png", units)
        with pytest.raises(BadFrameError, match="KITTI's, 256 to the metre"):
            RgbdFolder(folder)[0]
        assert RgbdFolder(folder, metre=256)[0].depth.max() == pytest.approx(12)

    def test_a_given_metre_is_believed(self, tmp_path):
        folder = write_folder(tmp_path, frames=1)
        write_depth(folder / "depth/00000.png", np.rint(5000 * plane_depth(SMALL)).astype(np.uint16))
        np.testing.assert_allclose(RgbdFolder(folder, metre=5000)[0].depth, plane_depth(SMALL), atol=1.1e-4)

    @pytest.mark.parametrize(
        ("name", "metre"),
        [(name, 256) for name in ("nyu_depth_v2_train", "hololens_office", "realsense_desk")]
        + [("realsense_desk", metre) for metre in (100, 4000, 6553.5)],  # centimetres, Matterport3D's, Replica's
    )
    def test_real_rooms_in_another_unit_contradict_the_shipped_network(self, real_frames, tmp_path, name, metre):
        said = describe(RgbdFolder(real_frames / name, every=40))
        assert "median depth" in said and "DOUBTFUL" not in said
        in_another_unit(real_frames / name, tmp_path, metre)
        with pytest.raises(ValueError, match=r"[\d.]+ times what the shipped network sees.*`metre`"):
            describe(RgbdFolder(tmp_path, every=40))

    @pytest.mark.parametrize("metre", [500, 2000])
    def test_a_unit_whose_depths_rooms_have_too_is_doubted(self, real_frames, tmp_path, metre):
        in_another_unit(real_frames / "nyu_depth_v2_train", tmp_path, metre)
        assert "DOUBTFUL: its depth is " in describe(RgbdFolder(tmp_path, every=40))
        assert "DOUBTFUL" not in describe(RgbdFolder(tmp_path, every=40, metre=metre))

    def test_disparity_is_doubted(self, real_frames, tmp_path):
        in_another_unit(real_frames / "nyu_depth_v2_train", tmp_path, 6500, power=-1)
        assert "DOUBTFUL: its depth has a correlation of -0." in describe(RgbdFolder(tmp_path, every=40))


def in_another_unit(source: Path, target: Path, metre: float, power: int = 1) -> None:
    """A folder of frames whose depth images have so many units to the metre, or to 1 / metre."""
    (target / "rgb").symlink_to(source / "rgb")
    shutil.copy(source / "camera.yaml", target)
    for color in sorted((target / "rgb").iterdir())[::40]:
        units = cv2.imread(str(source / f"depth/{color.stem}.png"), cv2.IMREAD_UNCHANGED)
        metres = np.where(units > 0, units / 1000.0, np.inf if power < 0 else 0)
        other = np.rint(metres**power * metre).clip(0, 65535).astype(np.uint16)
        write_depth(target / f"depth/{color.stem}.png", other)
