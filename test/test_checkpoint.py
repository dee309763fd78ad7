"""The sealed checkpoint: what comes back, and what each kind of damage is called."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors import safe_open
from safetensors.numpy import save_file

from mono_depth_ros import checkpoint
from mono_depth_ros.checkpoint import CheckpointError, CheckpointInfo
from test.conftest import fuzz

INFO = CheckpointInfo(
    architecture={"encoder": "tf_efficientnet_lite2", "decoder": "sunet", "error": True},
    input_size=(480, 640),
    focal_length=518.86,
    max_depth=10.0,
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    metrics={"rmse": 0.5},
    data=("NYU Depth V2",),
    licence="Apache-2.0",
)
WEIGHTS: dict[str, np.ndarray] = {
    "conv.weight": np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 2, 2),
    "bn.running_var": np.array([1e-7, 123456.789], np.float32),
    "bn.num_batches_tracked": np.array(7, np.int64),
}


@pytest.fixture
def sealed(tmp_path):
    """A sealed checkpoint with both ONNX forms, opened."""
    path = tmp_path / "depth.safetensors"
    checkpoint.save(path, INFO, WEIGHTS, onnx=b"graph", int8=b"small graph")
    return checkpoint.load(path)


def test_metadata_and_weights_come_back(sealed):
    assert replace(sealed.info, onnx_sha256="", int8_sha256="") == INFO
    weights = sealed.weights()
    assert weights.keys() == WEIGHTS.keys()
    assert weights["conv.weight"].dtype == np.float32
    np.testing.assert_allclose(weights["conv.weight"], WEIGHTS["conv.weight"], rtol=2**-11)
    np.testing.assert_array_equal(weights["bn.running_var"], WEIGHTS["bn.running_var"])
    assert weights["bn.num_batches_tracked"] == 7


def test_the_onnx_forms_lie_beside_the_weights(sealed):
    assert sealed.onnx().read_bytes() == b"graph"
    assert sealed.int8() is not None and sealed.int8().read_bytes() == b"small graph"


def test_a_checkpoint_without_forms_says_how_to_make_them(tmp_path):
    alone = checkpoint.save(tmp_path / "a.safetensors", INFO, WEIGHTS)
    assert alone.int8() is None
    with pytest.raises(CheckpointError, match=r"a\.onnx: missing; make it with `mono-depth export`"):
        alone.onnx()


def test_the_weights_take_half_the_space(tmp_path):
    big = {"conv.weight": np.random.default_rng(0).normal(size=(512, 512)).astype(np.float32)}
    path = checkpoint.save(tmp_path / "big.safetensors", INFO, big).path
    assert path.stat().st_size < 1.02 * 512 * 512 * 2


@given(
    weight=arrays(np.float32, array_shapes(min_dims=1, max_dims=4, max_side=4), elements=st.floats(-100, 100, width=32))
)
def test_saving_again_what_was_loaded_changes_nothing(tmp_path_factory, weight):
    path = tmp_path_factory.mktemp("again") / "w.safetensors"
    first = checkpoint.save(path, INFO, {"w": weight})
    again = checkpoint.save(path, checkpoint.load(path).info, checkpoint.load(path).weights())
    assert again.sha256 == first.sha256


def test_a_strided_weight_keeps_its_values(tmp_path):
    channels_last = np.arange(24, dtype=np.float32).reshape(2, 2, 2, 3).transpose(0, 3, 1, 2)
    saved = checkpoint.save(tmp_path / "s.safetensors", INFO, {"w": channels_last})
    np.testing.assert_array_equal(saved.weights()["w"], channels_last)


@pytest.mark.parametrize("value", [1e6, np.nan, np.inf])
def test_a_weight_that_half_precision_cannot_hold_is_refused_by_name(tmp_path, value):
    with pytest.raises(ValueError, match="weight conv.weight"):
        checkpoint.save(tmp_path / "x.safetensors", INFO, {"conv.weight": np.full((2, 2), value, np.float32)})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_a_truncated_file_is_named(sealed, share):
    whole = sealed.path.read_bytes()
    sealed.path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match=r"depth\.safetensors: truncated.*fetch it again"):
        checkpoint.load(sealed.path)


def test_every_flipped_bit_is_noticed(sealed):
    whole = sealed.path.read_bytes()
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1
        sealed.path.write_bytes(changed)
        with pytest.raises(CheckpointError):
            checkpoint.load(sealed.path)


def test_an_edited_focal_length_breaks_the_seal(sealed):
    with safe_open(sealed.path, framework="numpy") as file:
        metadata, tensors = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}
    header = json.loads(metadata["mono_depth_ros"]) | {"focal_length": 300.0}
    save_file(tensors, sealed.path, {"mono_depth_ros": json.dumps(header)})
    with pytest.raises(CheckpointError, match=r"changed after it was sealed: SHA-256 is \w{64}, the seal says \w{64}"):
        checkpoint.load(sealed.path)


@pytest.mark.parametrize(("name", "command"), [("depth.onnx", "export"), ("depth.int8.onnx", "quantize")])
def test_a_tampered_or_missing_form_is_named(sealed, name, command):
    read = sealed.onnx if name == "depth.onnx" else sealed.int8
    form = sealed.path.with_name(name)
    form.write_bytes(b"another graph")
    with pytest.raises(CheckpointError, match=f"{name}: SHA-256 is .* the checkpoint says .*mono-depth {command}"):
        read()
    form.unlink()
    with pytest.raises(CheckpointError, match=f"{name}: missing.*mono-depth {command}"):
        read()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors: no such checkpoint"):
        checkpoint.load(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"PK\x03\x04 archive/data.pkl", "pickle"),
        (b"\x80\x02}q\x00.", "pickle"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"hello", "truncated, damaged or of another format"),
    ],
)
def test_a_file_of_another_format_is_recognised(tmp_path, content, name):
    path = tmp_path / "other.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"other\.safetensors: .*{name}"):
        checkpoint.load(path)


def test_a_foreign_safetensors_file_is_not_a_checkpoint(tmp_path):
    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="without this project's metadata"):
        checkpoint.load(tmp_path / "foreign.safetensors")


def test_a_newer_format_asks_for_an_update(sealed, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    newer = checkpoint.save(sealed.path, INFO, WEIGHTS)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="found format 2, expected 1; update mono_depth_ros"):
        checkpoint.load(newer.path)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("input_size", (480, 650), "multiples of 32"),
        ("input_size", (480,), "multiples of 32"),
        ("output_kind", "feet", "one of metres, log-metres, disparity, relative"),
        ("multiple", 1.5, "0 or a positive whole number"),
        ("focal_length", 0.0, "a positive number"),
        ("focal_length", "518", "a positive number"),
        ("max_depth", float("nan"), "a positive number"),
        ("mean", (1.0, 2.0), "three numbers"),
        ("std", (58.0, 0.0, 57.0), "three positive numbers"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(field, value, expected):
    with pytest.raises(ValueError, match=f"{field}: found .*{expected}"):
        replace(INFO, **{field: value})


def test_what_ships_is_found_by_its_names(tmp_path):
    unnamed, fast, accurate = (checkpoint.load(name) for name in (None, "fast", "accurate"))
    assert unnamed == fast
    assert fast.sha256 != accurate.sha256
    assert {path.stem for path in checkpoint.SHIPPED_FOLDER.glob("*.safetensors")} == set(checkpoint.SHIPPED.values())
    with pytest.raises(CheckpointError, match="acurate: no such checkpoint; expected .* fast, accurate"):
        checkpoint.load("acurate")
    with pytest.raises(CheckpointError, match="the checkpoint 'fast' is missing; install the package again"):
        checkpoint.shipped("fast", tmp_path)


def test_others_may_read_an_installed_checkpoint(sealed):
    beside = sealed.path.with_name("plain")
    beside.touch()
    assert sealed.path.stat().st_mode == sealed.onnx().stat().st_mode == beside.stat().st_mode


@st.composite
def damaged(draw, whole: bytes) -> bytes:
    """The file with bytes changed, cut out or put in, at its beginning more often than not."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, 32) | st.integers(0, len(data)))
        cut = draw(st.sampled_from([0, 1, 8, 10_000]))
        data[place : place + cut] = draw(st.binary(max_size=8))
    return bytes(data)


@fuzz(300)
@given(st.data())
def test_any_bytes_are_the_checkpoint_that_was_sealed_or_an_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "depth.safetensors"
    whole = checkpoint.save(path, INFO, WEIGHTS)
    path.write_bytes(data.draw(damaged(path.read_bytes()) | st.binary(max_size=100)))
    try:
        found = checkpoint.load(path)
    except CheckpointError as error:
        assert str(path) in str(error)
        return
    assert (found.info, found.sha256) == (whole.info, whole.sha256)
    assert all(np.array_equal(found.weights()[name], weight) for name, weight in whole.weights().items())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@fuzz(300)
@given(json_values | st.dictionaries(st.sampled_from([*vars(INFO), "format"]), json_values))
def test_any_metadata_is_sound_or_an_error_even_where_its_seal_is_right(tmp_path_factory, metadata):
    """What somebody wrote who can seal: a checkpoint whose figures make sense, or a CheckpointError."""
    header = {**json.loads(json.dumps(vars(INFO))), "format": 1, **metadata} if isinstance(metadata, dict) else metadata
    if isinstance(header, dict):
        header["sha256"] = checkpoint._seal(header, {})
    path = tmp_path_factory.mktemp("metadata") / "depth.safetensors"
    save_file({}, path, metadata={"mono_depth_ros": json.dumps(header)})
    try:
        info = checkpoint.load(path).info
    except CheckpointError as error:
        assert str(path) in str(error)
        return
    assert (info.focal_length is None or 0 < info.focal_length < np.inf) and 0 < info.max_depth < np.inf
    assert info.output_kind in checkpoint.OUTPUT_KINDS and info.multiple >= 0
    assert len(info.mean) == len(info.std) == 3 and min(info.std) > 0 and np.isfinite(info.mean).all()
    assert len(info.input_size) == 2 and all(side > 0 for side in info.input_size)
