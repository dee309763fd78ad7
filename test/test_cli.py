"""`mono-depth` as a user runs it, on real frames and in a process of its own where that matters."""

import configparser
import re
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from mono_depth_ros import CameraModel, DepthEstimator, benchmark, cli
from mono_depth_ros.backends.machine import Machine
from mono_depth_ros.cli import EXTRAS, main
from mono_depth_ros.io.raw import millimetres
from test.conftest import REPOSITORY


@pytest.fixture(scope="module")
def office(real_frames, tmp_path_factory):
    """Two frames of an office with their depth and their distorted camera."""
    folder = tmp_path_factory.mktemp("office")
    source = real_frames / "tum_fr1_rpy"
    shutil.copy(source / "camera.yaml", folder)
    for kind, suffix in (("rgb", "jpg"), ("depth", "png")):
        (folder / kind).mkdir()
        for index in (0, 150):
            shutil.copy(source / kind / f"{index:05d}.{suffix}", folder / kind)
    return folder


def run(*arguments):
    return main([str(a) for a in arguments])


def test_predict_writes_millimetres_a_preview_and_a_cloud(sealed_checkpoint, office, tmp_path, capsys):
    options = ("--checkpoint", sealed_checkpoint.path, "--input-size", 96, 128, "--precision", "fp32")
    assert run("predict", office, "-o", tmp_path, *options) == 0
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {f"{n}{s}" for n in ("00000", "00150") for s in ("_depth.png", "_preview.png", ".ply")}
    assert "2 frames of" in capsys.readouterr().out

    depth = cv2.imread(str(tmp_path / "00150_depth.png"), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16 and depth.shape == (480, 640)
    assert cv2.imread(str(tmp_path / "00150_preview.png")).shape == (480, 2 * 640 + 64, 3)
    assert (tmp_path / "00150.ply").read_bytes().startswith(b"ply\nformat binary_little_endian 1.0\n")


def test_predict_is_the_estimator_for_an_image_without_a_lens(sealed_checkpoint, office, tmp_path, capsys):
    picture = tmp_path / "hall.png"
    bgr = cv2.imread(str(office / "rgb" / "00000.jpg"))
    cv2.imwrite(str(picture), bgr)
    options = ("--checkpoint", sealed_checkpoint.path, "--input-size", 96, 128, "--write", "depth")
    assert run("predict", picture, "-o", tmp_path / "out", *options) == 0
    assert "a field of view of 63 degrees is assumed" in capsys.readouterr().out
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["hall_depth.png"]

    estimator = DepthEstimator.load(sealed_checkpoint.path, input_size=(96, 128))
    lens = CameraModel(640, 480, 518.8579, 518.8579, 319.5, 239.5)
    expected = 1e3 * estimator.predict(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), lens).depth
    found = cv2.imread(str(tmp_path / "out" / "hall_depth.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(found, expected, atol=0.51)


def test_a_video_is_read_to_the_frame_asked_for(sealed_checkpoint, office, tmp_path):
    video = tmp_path / "walk.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (640, 480))
    for _ in range(4):
        writer.write(cv2.imread(str(office / "rgb" / "00000.jpg")))
    writer.release()
    options = ("--checkpoint", sealed_checkpoint.path, "--input-size", 96, 128, "--write", "depth")
    assert run("predict", video, "-o", tmp_path / "some", *options, "--frames", 2) == 0
    assert sorted(p.name for p in (tmp_path / "some").iterdir()) == ["000000_depth.png", "000001_depth.png"]
    assert run("predict", video, "-o", tmp_path / "all", *options) == 0
    assert len(list((tmp_path / "all").iterdir())) == 4


def test_ctrl_c_ends_a_long_source_in_good_order_and_says_that_it_was_not_all(sealed_checkpoint, tmp_path):
    video = tmp_path / "long.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (64, 48))
    for _ in range(5000):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    command = [sys.executable, "-m", "mono_depth_ros.cli", "predict", str(video), "-o", str(tmp_path / "out")]
    command += ["--checkpoint", str(sealed_checkpoint.path), "--input-size", "96", "128", "--write", "depth"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        deadline = time.monotonic() + 60
        while not list((tmp_path).glob("out/*.png")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130 and f"frames of {video} in" in printed


def test_depth_that_is_unknown_or_too_far_for_16_bits_is_zero():
    depth = np.array([0.0014, 2.3456, 65.4994, 65.6, np.nan, np.inf], np.float32)
    assert millimetres(depth).tolist() == [1, 2346, 65499, 0, 0, 0]


def test_info_names_the_weights_the_machine_and_the_backend(sealed_checkpoint, capsys):
    assert run("info", "--checkpoint", sealed_checkpoint.path, "--device", "cpu") == 0
    printed = capsys.readouterr().out
    for part in (sealed_checkpoint.sha256, "encoder=tf_efficientnet_lite2", "480x640 (h", "519.16 px", "Apache-2.0"):
        assert part in printed
    assert re.search("JPEG +(simplejpeg|OpenCV) [0-9]", printed)
    assert "taken          openvino on cpu in " in printed and "the fastest backend on a CPU" in printed
    assert "else           onnxruntime on cpu in fp32" in printed


@pytest.mark.parametrize("format_", ["onnx", "openvino"])
def test_export_writes_what_pytorch_gives(sealed_checkpoint, tmp_path, capsys, format_):
    options = ("--checkpoint", sealed_checkpoint.path, "--format", format_, "--input-size", 96, 128)
    assert run("export", "-o", tmp_path, *options) == 0
    file = tmp_path / ("random.onnx" if format_ == "onnx" else "random.xml")
    assert file.is_file() and f"{file}: at most " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "nowhere.jpg", "-o", "out"), "mono-depth predict: source 'nowhere.jpg': found no such file"),
        (("predict", ".", "-o", "out"), "mono-depth predict: .: found no image; expected files that end in .jpg"),
        (("predict", "1", "-o", "out", "--frames", "0"), "mono-depth predict: --frames: found 0, expected 1 or more"),
        (("info", "--checkpoint", "gone.safetensors"), "mono-depth info: gone.safetensors: no such checkpoint"),
    ],
)
def test_an_error_is_one_line_and_exit_code_1(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(message) and printed.count("\n") == 1


def test_benchmark_is_one_table_of_backends_and_sizes(sealed_checkpoint, capsys):
    assert run("benchmark", "--checkpoint", sealed_checkpoint.path, "--seconds", 0) == 0
    header, _, *rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.strip().splitlines()]
    assert header == ["milliseconds a frame", "128x160", "256x320", "352x480", "480x640"]
    assert {"openvino cpu fp32", "onnxruntime cpu fp32", "torch cpu fp32"} <= {name for name, *_ in rows}
    assert all(float(number) > 0 for _, *numbers in rows for number in numbers)


def test_a_backend_that_fails_is_a_row_that_says_why(sealed_checkpoint):
    broken = Machine(openvino=("FP32",), onnxruntime=("CUDAExecutionProvider",), gpu="a GPU that is not here")
    table = benchmark.measure(sealed_checkpoint, broken, 0)
    assert re.search(r"^\| onnxruntime cuda fp32: .+ \| - \| - \|", table, re.MULTILINE)
    assert re.search(r"^\| openvino cpu fp32 \| \d", table, re.MULTILINE)


def test_export_leaves_the_checkpoint_that_it_exports_whole(sealed_checkpoint, capsys):
    graph = sealed_checkpoint.onnx().read_bytes()
    assert run("export", "-o", sealed_checkpoint.path.parent, "--checkpoint", sealed_checkpoint.path) == 1
    assert "found the checkpoint's own folder" in capsys.readouterr().err
    assert sealed_checkpoint.onnx().read_bytes() == graph


def test_quantize_writes_only_where_it_is_told(sealed_checkpoint, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        run("quantize", tmp_path, "--checkpoint", sealed_checkpoint.path)
    assert end.value.code == 2 and "required: -o/--output" in capsys.readouterr().err


@pytest.mark.parametrize(("module", "extra"), EXTRAS.items())
def test_a_module_that_is_missing_is_named_with_the_extra_that_brings_it(module, extra, capsys, monkeypatch):
    extras = configparser.ConfigParser()
    extras.read(REPOSITORY / "setup.cfg")
    package = {"onnx_ir": "onnx-ir", "rclpy": "ros-jazzy-rclpy"}.get(module, module)
    assert re.search(rf"^{package}\b", extras["options.extras_require"][extra], re.MULTILINE)

    def lacking(*_, **__):
        raise ModuleNotFoundError(f"No module named '{module}.x'", name=f"{module}.x")

    monkeypatch.setattr(cli, "parse_source", lacking)
    assert run("predict", "bag", "-o", "out") == 1
    assert f"pip install 'mono_depth_ros[{extra}]'" in capsys.readouterr().err


def test_the_command_starts_without_pytorch_or_ros():
    code = (
        "import sys\nfrom mono_depth_ros.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "sys.exit(any(m in sys.modules for m in ('torch', 'onnx', 'onnxruntime', 'matplotlib', 'rclpy')))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0 and "benchmark" in result.stdout
