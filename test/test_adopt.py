"""Any ONNX depth network as a checkpoint: each kind of output, each backend, and what makes metres of it."""

import re

import cv2
import numpy as np
import pytest

from mono_depth_ros import Anchors, CameraModel, DepthEstimator, MonoDepthError, checkpoint, fuse
from mono_depth_ros.alignment import NotMetricError
from mono_depth_ros.cli import main

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
from mono_depth_ros.adopt import AdoptError, adopt  # noqa: E402
from test.networks import KINDS, SIZE, Colours, export, info_of, picture, sealed_of  # noqa: E402


class First(torch.nn.Module):
    """A network of `transformers` whose one output is the depth."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x).predicted_depth


def anchors_of(depth, count=12):
    rng = np.random.default_rng(0)
    v, u = (rng.integers(0, side, count) for side in depth.shape)
    return Anchors(u=u, v=v, depth=depth[v, u], sigma=np.full(count, 0.02))


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_network_of_each_kind_gives_metres(tmp_path, kind, backend):
    sealed = sealed_of(tmp_path, kind)
    estimator = DepthEstimator.load(sealed.path, backend, "cpu", "fp32")
    rgb, metres = picture(*SIZE)
    found = estimator.predict(rgb) if sealed.info.is_metric else fuse(estimator.estimate(rgb), anchors_of(metres))
    np.testing.assert_allclose(found.depth, metres, rtol=1e-2)


@pytest.mark.parametrize("kind", ["relative", "disparity"])
def test_what_knows_no_metres_is_refused_as_metric(tmp_path, kind):
    sealed = sealed_of(tmp_path, kind)
    estimator = DepthEstimator.load(sealed.path, "openvino", "cpu", "fp32")
    rgb, metres = picture(*SIZE)
    with pytest.raises(NotMetricError, match=f"output is {kind}, without a scale; expected depths that another"):
        estimator.predict(rgb)
    with pytest.raises(NotMetricError, match="found 1 depths that are known, at 1 of its values, expected two"):
        fuse(estimator.estimate(rgb), anchors_of(metres, 1))


def test_its_names_may_be_ours(tmp_path):
    file = export(tmp_path / "x.onnx", Colours("metres"), names=("image", "depth"))
    sealed = adopt(file, info_of("metres"), tmp_path / "n.safetensors")
    rgb, metres = picture(*SIZE)
    found = DepthEstimator.load(sealed.path, "openvino", "cpu", "fp32").predict(rgb)
    np.testing.assert_allclose(found.depth, metres, rtol=1e-3)
    assert found.sigma is None


def test_a_vision_transformer_gets_its_scale_from_anchors(tmp_path):
    """Depth Anything's interface, with random weights: one output (N, h, w) of inverse depth, patches of 14 pixels."""
    transformers = pytest.importorskip("transformers")
    backbone = transformers.Dinov2Config(
        hidden_size=24, num_hidden_layers=4, num_attention_heads=2, image_size=56, out_indices=[1, 2, 3, 4],
        apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=24, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        head_hidden_size=8,
    )  # fmt: skip
    torch.manual_seed(0)
    network = First(transformers.DepthAnythingForDepthEstimation(config)).eval()
    file = export(tmp_path / "x.onnx", network, is_fixed=True)
    sealed = adopt(file, info_of("disparity", multiple=0), tmp_path / "n.safetensors")
    rgb = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    with torch.inference_mode():
        inverse = network(torch.from_numpy(rgb / 100.0).float().permute(2, 0, 1)[None])[0].numpy()
    metres = 1 / (0.2 + (inverse - inverse.min()) / np.ptp(inverse))
    found = DepthEstimator.load(sealed.path, "openvino", "cpu", "fp32").estimate(rgb)
    np.testing.assert_allclose(fuse(found, anchors_of(metres)).depth, metres, rtol=2e-2)


def test_any_image_size_and_a_map_of_half_the_size(tmp_path):
    sealed = sealed_of(tmp_path, "metres", Colours("metres", halves=True))
    for backend in ("openvino", "onnxruntime"):
        estimator = DepthEstimator.load(sealed.path, backend, "cpu", "fp32")
        rgb, metres = picture(120, 160)
        np.testing.assert_allclose(estimator.predict(rgb).depth, metres, atol=0.1)


def test_a_network_of_one_size_gets_that_size(tmp_path):
    file = export(tmp_path / "x.onnx", Colours("metres"), is_fixed=True)
    with pytest.raises(
        AdoptError, match=r"fixed to \(height, width\) \[56, 84\]; .* expected that size and multiple 0"
    ):
        adopt(file, info_of("metres"), tmp_path / "n.safetensors")
    sealed = adopt(file, info_of("metres", multiple=0), tmp_path / "n.safetensors")
    estimator = DepthEstimator.load(sealed.path, "openvino", "cpu", "fp32")
    rgb, metres = picture(300, 100)
    np.testing.assert_allclose(estimator.predict(rgb).depth, metres, atol=0.1)
    with pytest.raises(ValueError, match="the network takes that alone"):
        DepthEstimator.load(sealed.path, "openvino", "cpu", "fp32", input_size=(112, 168))


def test_the_focal_length_that_it_was_trained_for_counts(tmp_path):
    sealed = sealed_of(tmp_path, "metres", focal_length=50.0)
    rgb, metres = picture(*SIZE)
    estimator = DepthEstimator.load(sealed.path, "openvino", "cpu", "fp32")
    found = estimator.predict(rgb, CameraModel(84, 56, 75.0, 75.0, 42.0, 28.0))
    np.testing.assert_allclose(found.depth, 1.5 * metres, rtol=1e-3)


def test_the_command_seals_and_bgr_is_turned(tmp_path, capsys):
    file = export(tmp_path / "x.onnx", Colours("metres"))
    options = "--output-kind metres --input-size 56 84 --multiple 14 --mean 0 0 0 --std 100 100 100 --max-depth 10"
    options += " --channel-order bgr --licence MIT"
    assert main(["seal", str(file), "-o", str(tmp_path / "n.safetensors"), *options.split()]) == 0
    assert "sealed" in capsys.readouterr().out
    rgb, metres = picture(*SIZE)
    estimator = DepthEstimator.load(tmp_path / "n.safetensors", "openvino", "cpu", "fp32")
    np.testing.assert_allclose(estimator.predict(rgb[..., ::-1]).depth, metres, rtol=1e-3)
    assert checkpoint.load(tmp_path / "n.safetensors").info.licence == "MIT"


def test_a_graph_that_is_no_depth_network_is_named(tmp_path):
    with pytest.raises(MonoDepthError, match="found no output 'z', expected one of y"):
        adopt(export(tmp_path / "x.onnx", Colours("metres")), info_of("metres"), tmp_path / "n.safetensors", output="z")
    sealed = sealed_of(tmp_path, "metres")
    with pytest.raises(AdoptError, match=r"expected one input \(N, 3, H, W\), found image \[1, None, None, 3\]"):
        adopt(sealed.path.with_suffix(".onnx"), info_of("metres"), tmp_path / "again.safetensors")
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(AdoptError, match="text.onnx: Unable to parse"):
        adopt(tmp_path / "text.onnx", info_of("metres"), tmp_path / "n.safetensors")


def test_the_network_is_not_written_over(tmp_path):
    file = export(tmp_path / "x.onnx", Colours("metres"))
    content = file.read_bytes()
    with pytest.raises(AdoptError, match=r"would be written over .*x.onnx; expected another name than the network's"):
        adopt(file, info_of("metres"), tmp_path / "x.safetensors")
    assert file.read_bytes() == content and not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize("kind", ["metres", "disparity"])
def test_predict_gives_metres_and_those_without_need_anchors(tmp_path, capsys, kind):
    """The picture is as large as the network's input, so that what it says is not blurred."""
    sealed, (rgb, metres) = sealed_of(tmp_path, kind), picture(*SIZE)
    cv2.imwrite(str(tmp_path / "wall.png"), rgb[..., ::-1])
    anchors = "".join(f"{u},{v},{metres[v, u]}\n" for u, v in ((5, 5), (40, 20), (80, 50)))
    (tmp_path / "anchors.csv").write_text("u,v,metres\n" + anchors)
    command = ["predict", str(tmp_path / "wall.png"), "-o", str(tmp_path / "out"), "--checkpoint", str(sealed.path)]
    command += ["--write", "depth", "--precision", "fp32"]
    if kind == "disparity":
        assert main(command) == 1
        assert "its output is disparity, without a scale" in capsys.readouterr().err
    assert main([*command, "--anchors", str(tmp_path / "anchors.csv")]) == 0
    found = cv2.imread(str(tmp_path / "out" / "wall_depth.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(found / 1e3, metres, rtol=1e-2)


@pytest.mark.parametrize("multiple", [14, 0])
def test_info_and_benchmark_take_it(tmp_path, capsys, multiple):
    sealed = sealed_of(tmp_path, "disparity", multiple=multiple)
    assert main(["info", "--checkpoint", str(sealed.path), "--device", "cpu"]) == 0
    assert re.search(r"output +disparity\nfocal length +any", capsys.readouterr().out)
    assert main(["benchmark", "--checkpoint", str(sealed.path), "--seconds", "0"]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert re.findall(r"\d+x\d+", head)[-1] == "56x84" and ("14x28" in head) == bool(multiple)
    assert any(re.search(r"openvino cpu fp32 +\|( +[\d.]+ \|)+", row) for row in rows)
    assert any("n.onnx" not in row and "is an ONNX graph" in row for row in rows if "torch" in row)
