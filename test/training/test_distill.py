"""A teacher's depth as a set of frames: what two networks, two sizes and a mirror make of a frame."""

import json

import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from mono_depth_ros import DepthEstimator, Prediction
from mono_depth_ros.network import DepthNetwork
from test.training.conftest import CAMERA
from test.training.scenes import plane_depth
from training.anchors import bag as scan_bag
from training.data.frame import RgbdFrame
from training.data.rgbd_folder import RgbdFolder
from training.distill import main
from training.files import write_image
from training.transforms import flip


@pytest.fixture
def teachers(tmp_path):
    files = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = DepthNetwork("mobilenetv3_small_050", error=True)
        state = {f"network.{name}": value for name, value in network.state_dict().items()}
        files.append(tmp_path / f"teacher_{seed}.ckpt")
        torch.save({"state_dict": state}, files[-1])
    return files


def by_hand(file, rgb, size, focal_length):
    """A teacher's mean of ln(metres) over both mirror images; the frame's camera has f = 130 at 128x160."""
    network = DepthNetwork("mobilenetv3_small_050", error=True).eval()
    network.load_state_dict({k.removeprefix("network."): v for k, v in torch.load(file)["state_dict"].items()})
    small = torch.from_numpy(cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_AREA)).permute(2, 0, 1).float() / 255
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 3, 1, 1)
    image = ((small - mean) / std)[None]
    with torch.no_grad():
        depths = network(image)[0], network(image.flip(3))[0].flip(3)
    scale = 130 * (size[0] / 128 * size[1] / 160) ** 0.5 / focal_length
    return torch.stack([interpolate(d, (128, 160), mode="bilinear").mul(scale).log() for d in depths]).mean(0)[0, 0]


def test_the_teacher_is_the_geometric_mean_over_networks_sizes_and_mirror_images(config, teachers, tmp_path):
    arguments = [f"--config={config}", "--teachers", *map(str, teachers), "--sizes", "96x128", "64x96",
                 f"--output={tmp_path / 'labels'}", "--data.transform.focal_length=100", "--most-spread=9"]  # fmt: skip
    main(arguments)
    (folder,) = (tmp_path / "labels").iterdir()
    labelled, original = RgbdFolder(folder), RgbdFolder(config.parent)
    assert len(labelled) == len(original) and labelled.camera == original.camera
    frame = labelled[3]
    np.testing.assert_array_equal(frame.rgb, original[3].rgb)
    # 128x160 in a budget of 96x128 pixels is 96x128 again, in one of 64x96 it is 64x96.
    logs = [by_hand(file, frame.rgb, size, 100) for file in teachers for size in ((96, 128), (64, 96))]
    expected = torch.stack(logs).mean(0).exp().numpy()
    np.testing.assert_allclose(frame.depth, expected, atol=6e-4, rtol=1e-3)

    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.png")}
    next(iter(folder.glob("depth/*.png"))).unlink()
    main(arguments)
    after = {file: file.stat().st_mtime_ns for file in folder.rglob("*.png")}
    assert after.keys() == before.keys()
    assert sum(before[file] != after[file] for file in before) == 2  # colour and depth of the frame that was missing

    other = arguments.copy()
    other[arguments.index("96x128")] = "128x160"
    with pytest.raises(ValueError, match=r"config.yaml: .*sizes: found .*, now .*--output"):
        main(other)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*.png")} == after


def test_a_sealed_network_labels_images_without_depth_where_its_views_agree(
    sealed_checkpoint, config, tmp_path, monkeypatch, capsys
):
    """Its members differ by a factor of two on the right."""
    monkeypatch.setattr(DepthEstimator, "predict", by_size)
    picture = np.full((64, 80, 3), 30, np.uint8)
    write_image(tmp_path / "walk/b.png", picture)
    picture[:, 40:] = 90
    write_image(tmp_path / "walk/a.png", picture)
    images = [{"class_path": "training.data.images.Images", "init_args": {"path": str(tmp_path / "walk")}}]
    (tmp_path / "images.yaml").write_text(json.dumps({"data": {"train": images}}))
    main([f"--config={config}", f"--config={tmp_path / 'images.yaml'}", "--teachers", str(sealed_checkpoint.path),
          "--sizes", "64x64", "96x96", f"--output={tmp_path / 'labels'}"])  # fmt: skip
    frames = RgbdFolder(tmp_path / "labels/0_walk")
    assert len(frames) == 2 and frames[1].rgb[0, 0, 0] == 30
    left, right = frames[0].depth[:, :40], frames[0].depth[:, 40:]
    np.testing.assert_allclose(left, 2, atol=1e-3)
    assert (right == 0).all()
    assert "2 frames in" in capsys.readouterr().out


def by_size(estimator, rgb, camera):
    """2 m; but 4 m where the picture is bright, seen at the larger size."""
    bright = (rgb[..., 0] > 60) & (estimator.input_size == (96, 96))
    return Prediction(np.where(bright, 4, 2).astype(np.float32))


def test_what_a_frame_knows_of_few_pixels_corrects_the_teacher_everywhere(
    sealed_checkpoint, config, tmp_path, monkeypatch
):
    """A teacher that sees everything 1.3 times too far, and a scan along one row of a plane."""
    said = 1.3 * plane_depth(CAMERA)
    seen = {CAMERA: said, flip(RgbdFrame("", said, said, CAMERA)).camera: said[:, ::-1]}
    monkeypatch.setattr(DepthEstimator, "predict", lambda self, rgb, camera: Prediction(seen[camera]))
    scan_bag.main([str(config.parent), str(tmp_path / "bag"), "--rows", "0", "1"])
    topics = {"color": "/image", "depth": "/scan", "camera_info": "/camera_info"}
    bag = {"class_path": "training.data.sparse_bag.SparseBag", "init_args": {"bag": str(tmp_path / "bag"), **topics}}
    (tmp_path / "bag.yaml").write_text(json.dumps({"data": {"train": [bag]}}))
    main([f"--config={config}", f"--config={tmp_path / 'bag.yaml'}", "--teachers", str(sealed_checkpoint.path),
          "--sizes", "64x64", "--fuse", f"--output={tmp_path / 'labels'}"])  # fmt: skip
    found, truth = RgbdFolder(tmp_path / "labels/0_bag")[0], RgbdFolder(config.parent)[0].depth
    error = np.abs(found.depth / truth - 1)
    assert (found.depth > 0).all() and error.mean() < 0.1 and np.median(error[60:70]) < 0.04
