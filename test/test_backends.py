"""Every backend against PyTorch on real frames, and the choice of one on all sorts of machines."""

import ctypes
import logging
import math
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mono_depth_ros import CameraModel, DepthEstimator, Prediction, checkpoint
from mono_depth_ros.backends import BackendError, onnxruntime_backend, resize, select
from mono_depth_ros.backends.machine import Machine, detect, parse_cpuinfo
from mono_depth_ros.backends.onnxruntime_backend import OnnxRuntimeBackend, built_for, tensorrt_options
from mono_depth_ros.backends.opencv_backend import SMALLEST_SIDE, OpenCvBackend
from mono_depth_ros.backends.openvino_backend import OpenVinoBackend
from mono_depth_ros.backends.plain_onnx import plain
from mono_depth_ros.backends.select import candidates
from mono_depth_ros.checkpoint import CheckpointError
from mono_depth_ros.io import parse_source

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
from mono_depth_ros.backends.torch_backend import Resize, TorchBackend, fold_norms, restore  # noqa: E402
from mono_depth_ros.export import round_weights  # noqa: E402
from mono_depth_ros.network import DepthNetwork  # noqa: E402
from mono_depth_ros.quantize import CalibrationFrame, judge  # noqa: E402

KINDS = (OpenVinoBackend, OnnxRuntimeBackend, OpenCvBackend)
HERE = detect()
SIZE = (96, 160)


def frame_of(folder, size, index=10):
    """One real frame, RGB, at (height, width)."""
    path = sorted((folder / "nyu_depth_v2_train" / "rgb").glob("*.jpg"))[index]
    rgb = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB))
    return cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_AREA)


def infer(backend, rgb):
    """The backend's maps of a frame that has the network's size already."""
    return backend.infer(rgb, rgb.shape[:2])


def mean_difference(backend, reference, folder, size):
    """Mean relative difference of depth over real frames of different rooms."""
    differences = []
    for index in range(10, 795, 100):
        rgb = frame_of(folder, size, index)
        expected = infer(reference, rgb)[0].copy()
        differences.append(np.mean(np.abs(infer(backend, rgb)[0] - expected) / expected))
    return np.mean(differences)


@pytest.fixture(scope="module")
def weights(sealed_checkpoint):
    """The weights that ship; random ones until there are any."""
    return checkpoint.load() if list(checkpoint.SHIPPED_FOLDER.glob("*.safetensors")) else sealed_checkpoint


@pytest.fixture(scope="module")
def reference(weights):
    return TorchBackend(restore(weights), weights.info)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def backend(request, weights):
    """Each backend that runs the ONNX form on a CPU, in single precision."""
    return request.param(weights.onnx())


# --- Parity


@pytest.mark.parametrize("size", [(480, 640), (256, 320), (352, 640)])
def test_single_precision_is_pytorch_within_a_millimetre(backend, reference, real_frames, size):
    rgb = frame_of(real_frames, size)
    expected, expected_error = infer(reference, rgb)
    depth, log_error = infer(backend, rgb)
    assert depth.shape == log_error.shape == size and depth.dtype == log_error.dtype == np.float32
    np.testing.assert_allclose(depth, expected, atol=1e-3, rtol=0)
    np.testing.assert_allclose(log_error, expected_error, atol=1e-3, rtol=0)


@pytest.mark.skipif("BF16" not in HERE.openvino, reason="OpenVINO has no bfloat16 on this CPU")
def test_bfloat16_is_pytorch_within_a_hundredth(weights, reference, real_frames):
    backend = OpenVinoBackend(weights.onnx(), "bf16")
    assert 0 < mean_difference(backend, reference, real_frames, weights.info.input_size) < 0.01


@pytest.mark.skipif(not HERE.native_int8, reason="the CPU has no native int8, which is less exact")
def test_int8_costs_at_most_three_percent(weights, real_frames):
    if not weights.info.int8_sha256:
        pytest.skip("the checkpoint has no int8 form")
    source = parse_source(str(real_frames / "hololens_office"))
    frames = [
        CalibrationFrame.shrunk(frame.rgb, source.camera, source.truth(index), weights.info.input_size)
        for index, frame in islice(enumerate(source.frames()), 0, None, 8)
    ]
    judgement = judge(weights, OpenVinoBackend(weights.int8(), "int8"), frames)
    assert judgement.of == "RMSE" and judgement.frames == len(frames) > 20 and judgement.change < 0.03


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-4), ("fp16", 0.01), ("bf16", 0.02)])
def test_cuda_graphs_give_what_the_cpu_gives(weights, reference, real_frames, precision, limit):
    backend = TorchBackend(restore(weights), weights.info, "cuda", precision)
    for size in (weights.info.input_size, SIZE, weights.info.input_size):
        assert mean_difference(backend, reference, real_frames, size) < limit


def test_half_precision_runs_in_pytorch_within_a_hundredth(weights, reference, real_frames):
    """The CPU stands in for a GPU: the same network and types, without the graph."""
    rgb = frame_of(real_frames, SIZE)
    expected = infer(reference, rgb)[0]
    depth = infer(TorchBackend(restore(weights), weights.info, "cpu", "fp16"), rgb)[0]
    assert depth.dtype == np.float32 and 0 < np.mean(np.abs(depth - expected) / expected) < 0.01


@pytest.mark.parametrize(
    ("encoder", "left"),
    [("efficientnet_b2", 0), ("tf_efficientnet_lite2", 0), ("resnet18", 0), ("densenet121", 62), ("resnetv2_50", 16)],
)
def test_batch_normalisation_is_folded_away_without_a_difference(encoder, left):
    """But where it stands before its convolution, as in a DenseNet, or shares it with a shortcut."""
    torch.manual_seed(0)
    network = DepthNetwork(encoder, error=True).eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.1)
    image = torch.randn(1, 3, 64, 96)
    expected = network(image)
    for found, wanted in zip(fold_norms(network)(image), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules()) == left


def test_changing_sizes_changes_no_result(backend, reference):
    rng = np.random.default_rng(0)
    smallest = (SMALLEST_SIDE,) * 2 if backend.name == "opencv" else (32, 32)
    frames = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((64, 96), (96, 64), smallest, (64, 96))]
    for frame in frames:
        np.testing.assert_allclose(infer(backend, frame)[0], infer(reference, frame)[0], atol=1e-3)


def test_results_lie_in_the_same_arrays_each_time(backend):
    if backend.name == "opencv":
        pytest.skip("OpenCV makes new arrays each time, and cannot be given any")
    black = infer(backend, np.zeros((*SIZE, 3), np.uint8))
    kept = black[0].copy()
    white = infer(backend, np.full((*SIZE, 3), 255, np.uint8))
    assert all(np.shares_memory(a, b) for a, b in zip(black, white, strict=True))
    assert not np.array_equal(kept, white[0])


@pytest.mark.parametrize(
    ("name", "precision"),
    [("openvino", "bf16"), ("openvino", "int8"), ("onnxruntime", "int8"), ("torch", "bf16"), ("torch", "fp16")],
)
def test_no_precision_leaves_steps_in_depth(weights, name, precision):
    """Eight bits for depth itself would leave some 200 different depths in a frame, up to 62 mm apart."""
    if precision == "int8" and not weights.info.int8_sha256:
        pytest.skip("the checkpoint has no int8 form")
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    rgb = np.asarray(cv2.resize(coarse, (320, 256), interpolation=cv2.INTER_CUBIC))
    depth, _ = infer(select.create(weights, select.Choice(name, "cpu", precision, "")), rgb)
    different = np.unique(depth)
    assert different.size > 5000
    assert np.quantile(np.diff(different), 0.99) < 5e-3


sides = st.integers(1, 90)


@settings(max_examples=40, deadline=None)
@given(st.tuples(sides, sides), st.tuples(sides, sides))
def test_pytorch_resizes_as_the_others_do_to_a_level(old, new):
    rgb = np.random.default_rng(0).integers(0, 256, (*old, 3), dtype=np.uint8)
    expected = np.empty((*new, 3), np.uint8)
    resize(rgb, expected)
    found = Resize(old, new)(torch.from_numpy(rgb)).numpy()
    assert found.shape == expected.shape and np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", [(480, 640), (720, 1280), (60, 80)])
def test_an_image_of_any_size_is_resized_and_gives_what_pytorch_gives(backend, reference, real_frames, size):
    """Of the same resized image: a network makes more than a per cent of a level's difference in some colours."""
    rgb = frame_of(real_frames, size)
    resized = np.empty((*SIZE, 3), np.uint8)
    resize(rgb, resized)
    np.testing.assert_allclose(backend.infer(rgb, SIZE)[0], infer(reference, resized)[0], atol=1e-3)


@pytest.mark.parametrize("size", [(480, 640), (720, 1280), (60, 80)])
def test_pytorch_resizes_an_image_of_any_size_by_itself(reference, real_frames, size):
    rgb = frame_of(real_frames, size)
    resized = Resize(size, SIZE)(torch.from_numpy(rgb)).numpy()
    expected = infer(reference, resized)[0].copy()
    np.testing.assert_array_equal(reference.infer(rgb, SIZE)[0], expected)


def test_what_pytorch_lays_out_depends_on_the_sizes_alone(weights):
    """On a GPU each layout is a graph to capture, which takes as long as many frames; the CPU stands in for it."""
    backend = TorchBackend(restore(weights), weights.info)
    estimator = DepthEstimator(weights, backend, (64, 96))
    rgb = np.zeros((96, 160, 3), np.uint8)
    for focal in (80.0, 90.0, 100.0):
        for out in (None, Prediction(np.empty((96, 160), np.float32))):
            estimator.predict(rgb, CameraModel(160, 96, focal, focal, 80.0, 48.0), out)
    assert backend.layouts() == 1
    estimator.predict(rgb[:64])
    assert backend.layouts() == 2


def test_threads_change_no_result(weights, reference):
    rgb = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    for kind in KINDS:
        depth = infer(kind(weights.onnx(), threads=1), rgb)[0]
        np.testing.assert_allclose(depth, infer(reference, rgb)[0], atol=1e-3)


@pytest.mark.parametrize("encoder", ["tf_efficientnet_lite0", "densenet121"])
def test_a_network_without_an_error_head_has_no_second_output(tmp_path, encoder):
    from mono_depth_ros.export import seal

    torch.manual_seed(0)
    architecture: dict[str, Any] = {"encoder": encoder, "decoder": "unet", "width": 8}
    info = checkpoint.CheckpointInfo(architecture, (64, 96), 78.0, 10.0, (127.0,) * 3, (128.0,) * 3)
    sealed = seal(DepthNetwork(**architecture), info, tmp_path / "plain.safetensors")
    rgb = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    expected, nothing = infer(TorchBackend(restore(sealed), info), rgb)
    assert nothing is None
    for kind in KINDS:
        depth, nothing = infer(kind(sealed.onnx()), rgb)
        assert nothing is None
        np.testing.assert_allclose(depth, expected, atol=1e-3)


@pytest.mark.parametrize("change", [1e-3, 1e-2])
def test_sealing_keeps_what_fine_tuning_changed(sealed_checkpoint, tmp_path, change):
    """Changes of a thousandth are less than half a step of bfloat16, which would send them back."""
    torch.manual_seed(0)
    before = restore(sealed_checkpoint).state_dict()
    tuned = restore(sealed_checkpoint)
    for module in tuned.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data *= 1 + change * torch.randn_like(module.weight)
    path = checkpoint.save(tmp_path / "tuned.safetensors", sealed_checkpoint.info, numpy_state(tuned)).path
    after = restore(checkpoint.load(path)).state_dict()
    for name, wanted in tuned.state_dict().items():
        if wanted.ndim == 4:
            asked, got = wanted - before[name], after[name] - before[name]
            assert ((asked * got).sum() / (asked * asked).sum()).item() == pytest.approx(1, abs=0.1)


def numpy_state(network):
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def test_weights_that_were_measured_rounded_are_the_sealed_ones(sealed_checkpoint):
    network = restore(sealed_checkpoint)
    for name, tensor in numpy_state(round_weights(network)).items():
        np.testing.assert_array_equal(tensor, sealed_checkpoint.weights()[name])


# --- Errors


def test_a_frame_the_backend_refuses_is_an_error_that_names_it(backend):
    with pytest.raises(BackendError, match=f"{backend.name} on cpu in fp32 failed"):
        infer(backend, np.zeros((64, 64, 4), np.uint8))
    assert infer(backend, np.zeros((*SIZE, 3), np.uint8))[0].shape == SIZE


def test_weights_of_another_architecture_are_named(tmp_path, sealed_checkpoint):
    other = checkpoint.save(tmp_path / "other.safetensors", sealed_checkpoint.info, {"w": np.zeros(3, np.float32)})
    with pytest.raises(CheckpointError, match=r"other\.safetensors: its weights don't fit its architecture"):
        restore(other)


def test_a_damaged_onnx_form_is_not_hidden_by_another_backend(tmp_path, sealed_checkpoint):
    info, weights, onnx = sealed_checkpoint.info, sealed_checkpoint.weights(), sealed_checkpoint.onnx().read_bytes()
    damaged = checkpoint.save(tmp_path / "damaged.safetensors", info, weights, onnx)
    (tmp_path / "damaged.onnx").write_bytes(onnx[:-1])
    with pytest.raises(CheckpointError, match=r"damaged\.onnx: SHA-256"):
        select.start(damaged, SIZE)


# --- The choice

OLD = Machine(openvino=("FP32", "INT8", "BF16"))
LAPTOP = Machine(openvino=("FP32", "INT8", "BF16"), native_int8=True)
EPYC = Machine(openvino=("FP32", "INT8", "BF16"), native_bf16=True, native_int8=True)
WORKSTATION = Machine(
    gpu="NVIDIA H100", gpu_capability=(9, 0), torch=True, openvino=("FP32",), onnxruntime=("CPUExecutionProvider",)
)
TURING = replace(WORKSTATION, gpu="Tesla T4", gpu_capability=(7, 5))
JETSON = Machine(gpu="Orin", onnxruntime=("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"))


@pytest.mark.parametrize(
    ("machine", "has_int8", "request_", "expected"),
    [
        (EPYC, False, {}, "openvino cpu bf16"),
        (EPYC, True, {}, "openvino cpu bf16"),
        (LAPTOP, True, {}, "openvino cpu int8"),
        (LAPTOP, False, {}, "openvino cpu fp32"),
        (OLD, True, {}, "openvino cpu fp32"),
        (OLD, True, {"precision": "int8"}, "openvino cpu int8"),
        (LAPTOP, False, {"precision": "bf16"}, "openvino cpu bf16"),
        (WORKSTATION, True, {}, "torch cuda fp16"),
        (WORKSTATION, True, {"precision": "bf16"}, "torch cuda bf16"),
        (TURING, True, {}, "torch cuda fp16"),
        (WORKSTATION, False, {"device": "cpu"}, "openvino cpu fp32"),
        (WORKSTATION, False, {"device": "cpu", "backend": "torch"}, "torch cpu fp32"),
        (WORKSTATION, True, {"precision": "int8"}, "openvino cpu int8"),
        (JETSON, False, {}, "onnxruntime cuda fp32"),
        (JETSON, False, {"device": "tensorrt"}, "onnxruntime tensorrt fp16"),
        (JETSON, True, {"device": "cpu"}, "onnxruntime cpu fp32"),
        (Machine(torch=True), False, {}, "torch cpu fp32"),
        (Machine(), True, {}, "opencv cpu fp32"),
        (JETSON, True, {"backend": "opencv"}, "opencv cpu fp32"),
    ],
)
def test_the_best_backend_for_a_machine(machine, has_int8, request_, expected):
    best = candidates(machine, has_int8, **request_)[0]
    assert f"{best.backend} {best.device} {best.precision}" == expected


@pytest.mark.parametrize(
    ("machine", "request_"),
    [
        (EPYC, {"device": "cuda"}),
        (EPYC, {"precision": "int8"}),
        (EPYC, {"backend": "torch"}),
        (WORKSTATION, {"device": "tensorrt"}),
        (TURING, {"precision": "bf16"}),
        (Machine(), {"backend": "onnxruntime"}),
        (Machine(), {"precision": "bf16"}),
    ],
)
def test_what_is_not_here_is_no_candidate(machine, request_):
    assert candidates(machine, False, **request_) == []


def test_the_reason_is_told():
    assert str(candidates(EPYC, False)[0]) == (
        "openvino on cpu in bf16 (the fastest backend on a CPU; the CPU has native bf16)"
    )
    slow = str(candidates(OLD, True, precision="int8")[0])
    assert slow.endswith("the CPU has no native int8: slower and less exact than fp32)")


@pytest.mark.parametrize("option", ["backend", "device", "precision"])
def test_an_option_that_does_not_exist_lists_those_that_do(option):
    with pytest.raises(ValueError, match=f"{option}: found 'tpu', expected one of auto, "):
        candidates(EPYC, False, **{option: "tpu"})


@pytest.mark.skipif(bool(HERE.gpu), reason="needs a machine whose GPU is missing")
def test_a_backend_that_fails_to_start_is_left_with_a_warning(sealed_checkpoint, caplog):
    claimed = Machine(gpu="a card whose driver is broken", torch=True, openvino=("FP32",))
    caplog.set_level(logging.INFO)
    backend, choice = select.start(sealed_checkpoint, SIZE, machine=claimed)
    assert (backend.name, backend.device, choice.precision) == ("openvino", "cpu", "fp32")
    assert choice.reason.startswith("the fastest backend on a CPU; exact; torch on cuda in fp16 failed")
    warning, taken = caplog.records[-2:]
    assert warning.levelname == "WARNING" and "torch on cuda in fp16 failed" in warning.message
    assert "running on openvino on cpu in fp32" in taken.message
    with pytest.raises(BackendError, match="device=cuda.*each backend failed to start: torch on cuda in fp16 failed"):
        select.start(sealed_checkpoint, SIZE, device="cuda", machine=claimed)


def test_a_request_nothing_meets_says_what_is_here(sealed_checkpoint):
    with pytest.raises(
        BackendError, match="precision=int8: nothing .* here is openvino .*`mono-depth quantize` makes it"
    ):
        select.start(sealed_checkpoint, SIZE, precision="int8", machine=EPYC)


def test_a_cpu_robot_never_imports_pytorch(sealed_checkpoint):
    code = (
        "import sys, numpy; from mono_depth_ros import DepthEstimator;"
        f"e = DepthEstimator.load({str(sealed_checkpoint.path)!r}, device='cpu', input_size=(64, 96));"
        "e.predict(numpy.zeros((64, 96, 3), numpy.uint8));"
        "sys.exit(e.backend.name != 'openvino' or any(m in sys.modules for m in ('torch', 'timm', 'onnx', 'rclpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_a_robot_whose_packages_come_from_apt_alone_has_depth():
    """apt has NumPy, OpenCV and PyYAML; neither a backend nor safetensors nor simplejpeg for each distribution."""
    code = (
        "import sys, numpy\n"
        "for name in ('openvino', 'onnxruntime', 'torch', 'onnx', 'google.protobuf', 'safetensors', 'simplejpeg'):\n"
        "    sys.modules[name] = None\n"
        "from mono_depth_ros import DepthEstimator\n"
        "estimator = DepthEstimator.load(input_size=(64, 96))\n"
        "depth = estimator.predict(numpy.full((64, 96, 3), 90, numpy.uint8)).depth\n"
        "print(estimator.choice, depth.min() > 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=120, capture_output=True, text=True)
    assert done.stdout.startswith("opencv on cpu in fp32 (") and done.stdout.endswith("True\n"), done.stderr


def test_the_plain_graph_is_one_that_onnx_reads(weights):
    onnx = pytest.importorskip("onnx")
    graph = onnx.load_from_string(plain(weights.onnx().read_bytes(), SIZE)).graph
    (image,) = graph.input
    assert [dim.dim_value for dim in image.type.tensor_type.shape.dim] == [1, *SIZE, 3]
    assert {t.data_type for t in graph.initializer} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    assert [v.name for v in graph.output] == ["depth", "log_error"]
    assert all(len(node.input) == 1 for node in graph.node if node.op_type in ("Clip", "GlobalAveragePool"))


@pytest.mark.parametrize("size", [(32, 32), (32, 96), (96, 32)])
def test_opencv_refuses_the_sizes_at_which_it_is_wrong(weights, size):
    with pytest.raises(BackendError, match=f"found {size[0]}x{size[1]} pixels, expected sides of at least 64"):
        OpenCvBackend(weights.onnx()).infer(np.zeros((96, 96, 3), np.uint8), size)


@pytest.mark.parametrize("content", [b"hello", b"\x3a\x7f", b"\x3a\x03\x0a\x7f\x00", b"\xff"])
def test_what_is_no_whole_graph_is_refused(content):
    with pytest.raises(ValueError, match="no (whole )?ONNX graph"):
        plain(content, SIZE)


# --- The machine


def test_features_are_those_of_the_first_processor():
    text = "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu avx512_bf16\n\nprocessor\t: 1\nmodel name\t: other\n"
    assert parse_cpuinfo(text) == ("Xeon", {"fpu", "avx512_bf16"})
    assert parse_cpuinfo("processor : 0\nFeatures : fp asimd bf16\n") == ("", {"fp", "asimd", "bf16"})
    assert parse_cpuinfo("") == ("", set())


def test_this_machine_is_described():
    assert HERE.cores >= 1 and HERE.memory > 2**28 and HERE.cpu
    assert HERE.openvino and HERE.onnxruntime
    assert {"openvino", "opencv"} <= {version.split()[0] for version in HERE.versions}


def test_a_device_gets_each_new_frame_and_not_the_one_that_was_bound_first():
    """ONNX Runtime copies an image to its device when it is bound, not when it runs; a stand-in for that, without one.

    The session's one map is as bright as the image that its device has.
    """

    class Session:
        def io_binding(self):
            return self

        def synchronize_inputs(self):
            """Copied at once here."""

        def get_outputs(self):
            return [SimpleNamespace(name="depth")]

        def run(self, names, images):
            """One map, as large as the image."""
            return [images["image"].max(axis=3).astype(np.float32)]

        def bind_input(self, name, device, index, dtype, shape, address):
            self.on_device = array_at(address, shape, np.uint8).copy()

        def bind_output(self, name, device, index, dtype, shape, address):
            self.map = array_at(address, shape, dtype)

        def run_with_iobinding(self, binding):
            self.map[:] = self.on_device.max()

    request = onnxruntime_backend.Request(Session(), True, 32, 64)
    for level in (7, 8, 9):
        depth, _ = request(np.full((32, 64, 3), level, np.uint8))
        assert depth.shape == (32, 64) and (depth == level).all()


def array_at(address, shape, dtype):
    """The array that lies at an address."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_uint8 * size).from_address(address), dtype).reshape(shape)


def test_another_checkpoint_never_runs_an_engine_of_the_first(tmp_path):
    """The graph and its name may be the same; ONNX Runtime tells engines apart by these alone (its issue 6455)."""
    (tmp_path / "a.onnx").write_bytes(b"one graph, these weights")
    assert built_for(tmp_path / "a.onnx") == built_for(b"one graph, these weights")
    assert built_for(tmp_path / "a.onnx") != built_for(b"one graph, other weights")


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_the_folder_of_a_tensorrt_engine_is_made_with_those_above_it(tmp_path, monkeypatch, sealed_checkpoint):
    """There is no TensorRT here, so it fails behind that."""
    monkeypatch.setattr(onnxruntime_backend, "CACHE", tmp_path / "not" / "there" / "yet")
    with pytest.raises(BackendError, match="onnxruntime on tensorrt in fp16 failed"):
        OnnxRuntimeBackend(sealed_checkpoint.onnx(), "tensorrt", "fp16").infer(
            np.zeros((64, 96, 3), np.uint8), (64, 96)
        )
    assert len(list((tmp_path / "not" / "there" / "yet").glob("*-fp16-64x96"))) == 1


def test_tensorrt_engines_are_kept_apart(tmp_path):
    options = [
        tensorrt_options(tmp_path, built_for, precision, size)
        for built_for in ("NVIDIA H100-TensorRT 101300", "Orin (nvgpu)/x-TensorRT 100300")
        for precision in ("fp32", "fp16")
        for size in ((480, 640), (256, 320))
    ]
    folders = {o["trt_engine_cache_path"] for o in options}
    assert len(folders) == len(options)
    assert all(folder.startswith(str(tmp_path)) and "/" not in folder[len(str(tmp_path)) + 1 :] for folder in folders)
    assert [o["trt_fp16_enable"] for o in options[:4]] == [False, False, True, True]
    assert options[1]["trt_profile_opt_shapes"] == "image:1x256x320x3"
