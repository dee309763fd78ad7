"""The whole frame in PyTorch against OpenCV, the estimator and CloudBuilder. There is no GPU here: the CPU runs it."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mono_depth_ros import CameraModel, checkpoint
from mono_depth_ros.backends import BackendError, FrameOptions
from mono_depth_ros.camera import Rectifier
from mono_depth_ros.checkpoint import Checkpoint, CheckpointInfo
from mono_depth_ros.estimator import DepthEstimator, metric_scale, network_size
from mono_depth_ros.pointcloud import CloudBuilder

torch = pytest.importorskip("torch")
from mono_depth_ros.backends import torch_backend, torch_frame  # noqa: E402
from mono_depth_ros.backends.torch_backend import TorchBackend, restore  # noqa: E402
from mono_depth_ros.backends.torch_resize import ImageResize  # noqa: E402

INFO = CheckpointInfo({}, (64, 96), 80.0, 10.0, (0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
PINCUSHION = CameraModel(160, 96, 90.0, 90.0, 80.0, 48.0, "plumb_bob", (0.3, 0.0, 0.0, 0.0, 0.0))


class Painted(torch.nn.Module):
    """A network that reads depth and error off the colours: red is 0 to 10 m, green a log error from -4 to 0."""

    def __init__(self, has_error=True):
        super().__init__()
        self.has_error = has_error

    def forward(self, image):
        depth, log_error = 10 * image[:, :1].float(), 4 * image[:, 1:2].float() - 4
        return depth, log_error if self.has_error else None


def as_gpu(network, info=INFO):
    """A stand-in for a GPU: the backend says that it is one, and runs the same program on the CPU."""
    backend = TorchBackend(network, info)
    backend.device = "cuda"
    return backend


def pair(network, info=INFO, budget=None):
    """Estimators with one network: on the CPU, and on the stand-in for a GPU."""
    checkpoint_ = Checkpoint("", info, "")
    return (DepthEstimator(checkpoint_, kind(network, info), budget) for kind in (TorchBackend, as_gpu))


def gated(prediction, options):
    """Depth and confidence by the gates' definition (REP-117)."""
    depth, confidence = prediction.depth.copy(), prediction.confidence.copy()
    depth[prediction.depth < options.nearest] = -np.inf
    depth[prediction.depth > options.farthest] = np.inf
    depth[confidence < options.min_confidence] = np.nan
    if options.rectifier:
        depth[~options.rectifier.valid_mask] = np.nan
        confidence[~options.rectifier.valid_mask] = 0
    return depth, confidence


def cloud_of(camera, depth, rgb, confidence, options):
    kept = {name: getattr(options, name) for name in ("stride", "dense", "max_slant", "confidence_field")}
    return CloudBuilder(camera, **kept).build(depth, rgb, confidence)


def smooth_image(height, width, seed=0):
    """Colours that vary as in a photograph, edges included."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def frames(shared_data):
    paths = sorted((shared_data / "nyu_depth_v2_train" / "rgb").glob("*.jpg"))
    return [np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)) for path in paths[10::300]]


# --- Resizing the image


@pytest.mark.parametrize(
    ("old", "new", "rate"),
    [
        ((480, 640), (256, 320), 0),
        ((960, 1280), (480, 640), 0),
        ((720, 1280), (416, 736), 0),
        ((1080, 1920), (416, 736), 0),
        ((480, 848), (416, 736), 0),
        ((470, 660), (480, 640), 0),  # one side grows: OpenCV's INTER_AREA is another interpolation then
        ((240, 320), (480, 640), 1e-3),
        ((400, 640), (448, 704), 1e-3),
    ],
)
def test_a_frame_is_resized_as_opencv_does(frames, old, new, rate):
    interpolation = cv2.INTER_AREA if math.prod(new) < math.prod(old) else cv2.INTER_LINEAR
    resize = ImageResize(old, new, interpolation)
    for frame in frames:
        rgb = np.asarray(cv2.resize(frame, old[::-1]))
        expected = np.asarray(cv2.resize(rgb, new[::-1], interpolation=interpolation))
        found = resize(torch.from_numpy(rgb)).numpy()
        difference = np.abs(found.astype(int) - expected)
        assert difference.max() <= 1 and (difference > 0).mean() <= rate


sides = st.integers(1, 90)


@settings(max_examples=60, deadline=None)
@given(st.tuples(sides, sides), st.tuples(sides, sides), st.sampled_from([cv2.INTER_AREA, cv2.INTER_LINEAR]))
def test_any_size_is_resized_to_a_level(old, new, interpolation):
    rgb = np.random.default_rng(0).integers(0, 256, (*old, 3), dtype=np.uint8)
    expected = np.asarray(cv2.resize(rgb, new[::-1], interpolation=interpolation))
    found = ImageResize(old, new, interpolation)(torch.from_numpy(rgb)).numpy()
    assert found.shape == expected.shape and np.abs(found.astype(int) - expected).max() <= 1


# --- Depth, confidence and cloud


@pytest.mark.parametrize(
    ("size", "budget"),
    [((480, 640), (480, 640)), ((480, 640), (240, 320)), ((720, 1280), (256, 320)), ((120, 160), (192, 256))],
)
def test_a_real_frame_gives_what_the_cpu_gives(frames, size, budget):
    """To a millimetre where the image shrinks; where it grows, a rare level of colour more shifts depth by 1e-3."""
    weights = checkpoint.load()
    cpu, gpu = pair(restore(weights), weights.info, budget)
    camera = CameraModel.nyu().resized(size[1], size[0])
    for frame in frames[:2]:
        rgb = np.asarray(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA))
        expected = cpu.predict(rgb, camera)
        found = gpu.predict_frame(rgb, camera, FrameOptions(cloud=True))
        relative = np.abs(found.depth - expected.depth) / expected.depth
        assert np.abs(found.depth - expected.depth).max() < 1e-3 or (size[0] < budget[0] and relative.mean() < 1e-3)
        np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-2 if size[0] < budget[0] else 1e-4)
        cloud = CloudBuilder(camera).build(expected.depth, rgb)
        assert found.cloud.dtype == cloud.dtype and found.cloud.shape == cloud.shape
        np.testing.assert_array_equal(found.cloud["rgb"].view("<u4"), cloud["rgb"].view("<u4"))
        both = np.isfinite(found.cloud["z"]) & np.isfinite(cloud["z"])
        assert np.mean(np.isfinite(found.cloud["z"]) != np.isfinite(cloud["z"])) < 1e-3
        for axis in "xyz":
            difference = np.abs(found.cloud[axis] - cloud[axis])[both] / cloud["z"][both]
            assert difference.mean() < 1e-3


gates = st.builds(
    FrameOptions,
    nearest=st.floats(0, 4),
    farthest=st.floats(5, 12),
    min_confidence=st.floats(0, 0.9),
    rectifier=st.sampled_from([None, Rectifier(PINCUSHION)]),
    cloud=st.just(True),
    stride=st.integers(1, 5),
    dense=st.booleans(),
    max_slant=st.floats(45, 90),
    confidence_field=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(gates, st.integers(0, 99), st.floats(30, 300))
def test_at_the_networks_size_every_bit_is_the_cpus(options, seed, focal):
    """Nothing is resized, so gates, flying pixels, points and colours can be compared exactly."""
    cpu, gpu = pair(Painted(), budget=(96, 160))
    camera = CameraModel(160, 96, focal, 1.1 * focal, 70.0, 50.0)
    rgb = smooth_image(96, 160, seed)
    depth, confidence = gated(cpu.predict(rgb, camera), options)
    expected = cloud_of(camera, depth, rgb, confidence, options)
    found = gpu.predict_frame(rgb, camera, options)
    np.testing.assert_array_equal(found.depth, depth)
    np.testing.assert_allclose(found.confidence, confidence, atol=1e-6)
    assert found.cloud.dtype == expected.dtype and found.cloud.shape == expected.shape
    np.testing.assert_array_equal(found.cloud["rgb"].view("<u4"), expected["rgb"].view("<u4"))
    for axis in "xyz":
        np.testing.assert_array_equal(found.cloud[axis], expected[axis])
    if options.confidence_field:
        np.testing.assert_allclose(found.cloud["confidence"], expected["confidence"], atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 4), st.integers(0, 99))
def test_any_size_gives_the_cpus_depth_to_a_level_and_its_cloud(height, width, stride, seed):
    """A level of red is 10 / 255 m of canonical depth."""
    cpu, gpu = pair(Painted())
    camera = CameraModel(width, height, 80.0, 80.0, width / 2, height / 2)
    options = FrameOptions(cloud=True, stride=stride)
    rgb = smooth_image(height, width, seed)
    predicted = cpu.predict(rgb, camera)
    found = gpu.predict_frame(rgb, camera, options)
    level = 10 / 255 * metric_scale((height, width), network_size(height, width, INFO.input_size), INFO, camera)
    np.testing.assert_allclose(found.depth, predicted.depth, atol=1.01 * level)
    np.testing.assert_allclose(found.confidence, predicted.confidence, atol=0.01)
    expected = cloud_of(camera, found.depth, rgb, found.confidence, options)
    for field in "xyz":
        np.testing.assert_array_equal(found.cloud[field], expected[field])
    np.testing.assert_array_equal(found.cloud["rgb"].view("<u4"), expected["rgb"].view("<u4"))


def test_where_the_lens_saw_nothing_there_is_no_depth_no_confidence_and_no_point():
    _, gpu = pair(Painted())
    rectifier = Rectifier(PINCUSHION)
    found = gpu.predict_frame(smooth_image(96, 160), rectifier.camera, FrameOptions(rectifier=rectifier, cloud=True))
    assert 0.01 < np.mean(~rectifier.valid_mask) < 0.5
    np.testing.assert_array_equal(np.isnan(found.depth), ~rectifier.valid_mask)
    assert not found.confidence[~rectifier.valid_mask].any() and found.confidence[rectifier.valid_mask].all()
    assert not np.isfinite(found.cloud["z"][~rectifier.valid_mask]).any()


def test_only_what_is_wanted_comes_down():
    _, gpu = pair(Painted())
    rgb = smooth_image(64, 96)
    camera = CameraModel(96, 64, 80.0, 80.0, 48.0, 32.0)
    assert gpu.predict_frame(rgb, camera, FrameOptions(confidence=False)).confidence is None
    assert gpu.predict_frame(rgb, camera).cloud is None
    assert gpu.predict_frame(rgb, None, FrameOptions(cloud=True)).cloud is None
    field = gpu.predict_frame(rgb, camera, FrameOptions(confidence=False, confidence_field=True))
    assert field.confidence is None
    everything = gpu.predict_frame(rgb, camera, FrameOptions(cloud=True, confidence_field=True)).copy()
    assert everything.cloud.dtype.names == ("x", "y", "z", "rgb", "confidence")
    assert everything.confidence is not None and gpu.timings["network"] > 0


def test_a_network_without_an_error_head_gives_no_confidence_and_refuses_a_minimum():
    _, gpu = pair(Painted(has_error=False))
    rgb = smooth_image(64, 96)
    camera = CameraModel(96, 64, 80.0, 80.0, 48.0, 32.0)
    found = gpu.predict_frame(rgb, camera, FrameOptions(cloud=True, confidence_field=True))
    assert found.confidence is None and found.cloud.dtype.names == ("x", "y", "z", "rgb")
    with pytest.raises(ValueError, match="min_confidence is set, but this checkpoint predicts no confidence"):
        gpu.predict_frame(rgb, camera, FrameOptions(min_confidence=0.5))


def test_predicting_goes_through_the_device_and_gives_the_same():
    cpu, gpu = pair(Painted())
    rgb = smooth_image(64, 96)
    expected, found = cpu.predict(rgb).copy(), gpu.predict(rgb)
    np.testing.assert_array_equal(found.depth, expected.depth)
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-6)
    assert gpu.timings["resize"] == gpu.timings["scale"] == 0
    assert cpu.predict_frame(rgb) is None


# --- What a GPU asks for, as far as it can be seen without one


@pytest.mark.parametrize("dense", [False, True])
def test_no_step_needs_values_or_another_device(dense):
    """Tensors without values stand in for a GPU's: a graph can be captured only of steps that never look at them."""
    options = FrameOptions(
        cloud=True, dense=dense, stride=2, confidence_field=True, min_confidence=0.1, rectifier=Rectifier(PINCUSHION)
    )
    plan = plan_of(options)
    network = torch_backend.FrameNetwork(Painted(), INFO)
    frame = torch_frame.WholeFrame(network, plan).to("meta")
    sums, depth, confidence, count, points = frame(torch.empty((96, 160, 3), dtype=torch.uint8, device="meta"))
    assert {t.device.type for t in (sums, depth, confidence, count, points)} == {"meta"}
    assert {t.dtype for t in (sums, depth, confidence, count, points)} == {torch.float32}
    assert depth.shape == confidence.shape == (96, 160) and sums.shape == () and count.shape == (1,)
    assert points.shape == ((48 * 80, 5) if dense else (48, 80, 5))


def plan_of(options):
    """The plan that an estimator makes of options, for an image of 160 x 96 that the network sees at 128 x 64."""
    plans = []
    _, gpu = pair(Painted())
    gpu.backend.frame = lambda rgb, plan: plans.append(plan) or (rgb, None, None)
    gpu.predict_frame(smooth_image(96, 160), CameraModel(160, 96, 90.0, 90.0, 80.0, 48.0), options)
    return plans[0]


def test_a_steady_stream_is_laid_out_once_and_a_change_once_more(monkeypatch):
    """On a GPU each time is a graph to capture, which takes as long as many frames."""
    made = []
    original = torch_frame.WholeFrame.__init__
    monkeypatch.setattr(torch_frame.WholeFrame, "__init__", lambda *a: made.append(a) or original(*a))
    _, gpu = pair(Painted())
    rectifier = Rectifier(PINCUSHION)
    for stride in (1, 1, 2, 2, 1):
        camera = CameraModel(160, 96, 90.0, 90.0, 80.0, 48.0)
        options = FrameOptions(cloud=True, stride=stride, rectifier=rectifier)
        gpu.predict_frame(smooth_image(96, 160), camera, options)
    assert len(made) == 2
    gpu.predict_frame(smooth_image(64, 96), None)
    assert len(made) == 3


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_an_error_of_the_engine(value):
    class Broken(Painted):
        def forward(self, image):
            depth, log_error = super().forward(image)
            return depth, log_error + value

    _, gpu = pair(Broken())
    with pytest.raises(BackendError, match="torch on cuda in fp32 failed: it gave values that are not finite"):
        gpu.predict(smooth_image(64, 96))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, torch.AcceleratorError, RuntimeError])
def test_a_device_that_fails_is_an_error_that_names_it(error, monkeypatch):
    def fail(*_):
        raise error("CUDA error: unspecified launch failure")

    _, gpu = pair(Painted())
    monkeypatch.setattr(torch_frame.WholeFrame, "forward", fail)
    with pytest.raises(BackendError, match="torch on cuda in fp32 failed: CUDA error: unspecified launch failure"):
        gpu.predict(smooth_image(64, 96))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-4), ("fp16", 0.01)])
@pytest.mark.parametrize("size", [(480, 640), (720, 1280)])
def test_a_graph_gives_what_the_cpu_gives(frames, precision, limit, size):
    weights = checkpoint.load()
    cpu = DepthEstimator(weights, TorchBackend(restore(weights), weights.info))
    gpu = DepthEstimator(weights, TorchBackend(restore(weights), weights.info, "cuda", precision))
    camera = CameraModel.nyu().resized(size[1], size[0])
    for frame in frames:
        rgb = np.asarray(cv2.resize(frame, size[::-1]))
        expected = cpu.predict(rgb, camera)
        for dense in (False, True):
            found = gpu.predict_frame(rgb, camera, FrameOptions(cloud=True, dense=dense))
            assert np.mean(np.abs(found.depth - expected.depth) / expected.depth) < limit
            cloud = CloudBuilder(camera, dense=dense).build(found.depth, rgb)
            assert abs(np.isfinite(found.cloud["z"]).sum() - np.isfinite(cloud["z"]).sum()) < 1e-3 * found.depth.size
