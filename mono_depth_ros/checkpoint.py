"""A sealed checkpoint: safetensors weights, their metadata and the ONNX forms beside them, all verified by SHA-256.

One checkpoint is up to three files with the same stem: ``name.safetensors`` (weights and metadata), ``name.onnx`` (the
same network for the backends without PyTorch) and, where it was quantised, ``name.int8.onnx``. Nothing is ever
unpickled. The seal finds damage and careless edits; it can't prove who made the file, so compare `Checkpoint.sha256`
with the published one.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from mono_depth_ros.errors import MonoDepthError

SHIPPED_FOLDER = Path(__file__).parent / "weights"
# What ships, by name: stems of files.
SHIPPED = {"fast": "mono_depth_lite2", "accurate": "mono_depth_lite2_accurate"}
FORMAT = 1
STRIDE = 32
OUTPUT_KINDS = ("metres", "log-metres", "disparity", "relative")
# Of R, G, B in 0-255.
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_HEADER = "mono_depth_ros"
_DTYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "U8": "u1", "I8": "i1", "I32": "<i4", "I64": "<i8", "BOOL": "?"}


class CheckpointError(MonoDepthError, RuntimeError):
    """A checkpoint that is missing, damaged, of another format or of a newer version; says what to do."""


@dataclass(frozen=True)
class CheckpointInfo:
    """What must travel with the weights, so that nobody guesses.

    Attributes:
        architecture: arguments of `mono_depth_ros.network.DepthNetwork`; empty for an ONNX graph alone.
        input_size: (height, width) in pixels that the network was trained and judged at; multiples of ``multiple``.
        focal_length: pixels, of the canonical camera at ``input_size``: a prediction is metric for that lens. None for
            a network whose metres do not depend on the lens, or that knows none.
        max_depth: metres at which the network saturates, in the canonical camera.
        mean, std: of R, G and B in 0-255; the network's input is ``(rgb - mean) / std``.
        output_kind: what the network gives, one of `OUTPUT_KINDS`: ``metres``, their logarithm, or up to a scale and a
            shift depth (``relative``) or its inverse (``disparity``).
        multiple: pixels of which both sides of its input are multiples; 0 where it takes ``input_size`` alone.
        metrics: held-out figures by name.
        data: every set that went into the weights.
        licence: of the weights.
        prior: of the network's errors, arguments of `mono_depth_ros.fusion.Prior`; empty means its defaults.
        onnx_sha256, int8_sha256: of the ONNX files beside the weights; empty where there is none.
    """

    architecture: dict[str, Any]
    input_size: tuple[int, int]
    focal_length: float | None
    max_depth: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    output_kind: str = "metres"
    multiple: int = STRIDE
    metrics: dict[str, float] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    licence: str = ""
    prior: dict[str, float] = field(default_factory=dict)
    onnx_sha256: str = ""
    int8_sha256: str = ""

    def __post_init__(self) -> None:
        for name in ("input_size", "mean", "std", "data"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        _expect("output_kind", self.output_kind, f"one of {', '.join(OUTPUT_KINDS)}", lambda v: v in OUTPUT_KINDS)
        _expect("multiple", self.multiple, "0 or a positive whole number", lambda v: type(v) is int and v >= 0)
        sides = f"two positive multiples of {self.multiple or 1} (height, width)"
        _expect("input_size", self.input_size, sides, self._input_size_is_valid)
        lens = "a positive number, or None for any lens or an output without metres"
        _expect("focal_length", self.focal_length, lens, lambda v: v is None or (self.is_metric and 0 < v < np.inf))
        _expect("max_depth", self.max_depth, "a positive number", lambda v: 0 < v < np.inf)
        _expect("mean", self.mean, "three numbers", lambda v: len(v) == 3 and bool(np.isfinite(v).all()))
        _expect("std", self.std, "three positive numbers", lambda v: len(v) == 3 and min(v) > 0)

    def _input_size_is_valid(self, size: tuple[int, ...]) -> bool:
        return len(size) == 2 and all(side > 0 and side % (self.multiple or 1) == 0 for side in size)

    @property
    def is_metric(self) -> bool:
        """Whether the network knows metres by itself."""
        return self.output_kind in ("metres", "log-metres")


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint on disk. ``sha256`` covers the metadata and the weights."""

    path: Path
    info: CheckpointInfo
    sha256: str

    def weights(self) -> dict[str, np.ndarray]:
        """The network's state by name; floating-point arrays as float32."""
        _, tensors = _read(self.path)
        return {k: v.astype(np.float32) if v.dtype == np.float16 else v for k, v in tensors.items()}

    def onnx(self) -> Path:
        """The verified ONNX form, for the backends that need no PyTorch. Raises `CheckpointError`."""
        advice = "make it with `mono-depth export` or install the package again"
        return _verified(self.path.with_suffix(".onnx"), self.info.onnx_sha256, advice)

    def int8(self) -> Path | None:
        """The verified int8 ONNX form, or None where the checkpoint has none. Raises `CheckpointError`."""
        if not self.info.int8_sha256:
            return None
        advice = "make it again with `mono-depth quantize`"
        return _verified(self.path.with_suffix(".int8.onnx"), self.info.int8_sha256, advice)


def shipped(name: str = "fast", folder: Path = SHIPPED_FOLDER) -> Path:
    """The checkpoint of this name in `SHIPPED`. Raises `CheckpointError` where it is not there."""
    file = folder / f"{SHIPPED[name]}.safetensors"
    if not file.is_file():
        raise CheckpointError(f"{file}: the checkpoint {name!r} is missing; install the package again or name a file")
    return file


def load(path: str | os.PathLike[str] | None = None) -> Checkpoint:
    """Open and verify a checkpoint: a file, or a name in `SHIPPED`; ``None`` is ``fast``. Raises `CheckpointError`."""
    name = os.fspath(path or "fast")
    file = shipped(name) if name in SHIPPED else Path(name)
    header, tensors = _read(file)
    stated = header.pop("sha256", None)
    if (version := header.get("format")) != FORMAT:
        raise CheckpointError(
            f"{file}: found format {version}, expected {FORMAT}; update mono_depth_ros or export it again"
        )
    if stated != (found := _seal(header, tensors)):
        raise CheckpointError(
            f"{file}: its weights or metadata were changed after it was sealed: SHA-256 is {found}, "
            f"the seal says {stated}; fetch it again from where you had it"
        )
    del header["format"]
    known = {f.name for f in fields(CheckpointInfo)}
    if unknown := sorted(set(header) - known):
        raise CheckpointError(f"{file}: unknown metadata {', '.join(unknown)}; expected {', '.join(sorted(known))}")
    try:
        info = CheckpointInfo(**header)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{file}: bad metadata: {error}; export the checkpoint again") from error
    return Checkpoint(file, info, found)


def save(
    path: str | os.PathLike[str],
    info: CheckpointInfo,
    weights: Mapping[str, np.ndarray],
    onnx: bytes = b"",
    int8: bytes = b"",
) -> Checkpoint:
    """Seal a checkpoint: write the weights, the metadata and the ONNX forms given, and fill in their hashes.

    Convolution and matrix weights are stored as float16, vectors (biases, batch-norm statistics) as float32.

    Raises:
        ValueError: a weight is not finite in float16, or the path does not end in ``.safetensors``.
    """
    from safetensors.numpy import save as to_safetensors  # not on a robot, which only reads

    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"checkpoint path: found {path}, expected a name that ends in .safetensors")
    tensors = {name: _stored(name, array) for name, array in weights.items()}
    info = replace(info, onnx_sha256=_digest(onnx), int8_sha256=_digest(int8))
    header = json.loads(json.dumps({"format": FORMAT, **asdict(info)}))
    seal = _seal(header, tensors)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {_HEADER: json.dumps({**header, "sha256": seal})}
    contents = {".onnx": onnx, ".int8.onnx": int8, ".safetensors": to_safetensors(tensors, metadata)}
    for suffix, content in contents.items():
        if content:
            _replace(path.with_suffix(suffix), content)
    return Checkpoint(path, info, seal)


def _stored(name: str, array: np.ndarray) -> np.ndarray:
    """The array as it is stored; contiguous, since safetensors writes the memory as it lies."""
    if not np.issubdtype(array.dtype, np.floating):
        return np.ascontiguousarray(array)
    with np.errstate(over="ignore"):
        stored = array.astype(np.float16 if array.ndim > 1 else np.float32, order="C")
    if not np.isfinite(stored).all():
        raise ValueError(
            f"weight {name}: found a value that {stored.dtype} can't hold, or not finite; it can't be stored"
        )
    return stored


def _seal(header: dict[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the metadata and every tensor's name, type, shape and bytes, in the order of the names."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Metadata and tensors of a safetensors file, as stored. Raises `CheckpointError`."""
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such checkpoint; expected a .safetensors file, or one that ships: {', '.join(SHIPPED)}"
        )
    try:
        tensors, metadata = _unpack(bytearray(path.read_bytes()))
        if _HEADER not in metadata:
            raise CheckpointError(
                f"{path}: a safetensors file without this project's metadata; expected one that "
                "`python -m training seal` or `mono_depth_ros.checkpoint.save` wrote"
            )
        header = json.loads(metadata[_HEADER])
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, OSError) as error:
        raise CheckpointError(f"{path}: {_what_it_is(path)}, expected a whole safetensors file ({error})") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: bad metadata: found {header!r}, expected names and values; export it again")
    return header, tensors


def _unpack(content: bytearray) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata of a safetensors file, by the format's own description; apt has no package that reads it.

    Eight bytes say how long a JSON header is, which names each tensor's type, shape and place among the bytes behind.
    Raises whatever Python raises where the content is not that.
    """
    begin = 8 + int.from_bytes(content[:8], "little")
    entries = json.loads(content[8:begin])
    metadata = entries.pop("__metadata__", {})
    tensors = {}
    for name, entry in entries.items():
        first, last = entry["data_offsets"]
        data = content[begin + first : begin + last]
        tensors[name] = np.frombuffer(data, _DTYPES[entry["dtype"]]).reshape(entry["shape"])
    if begin + max((entry["data_offsets"][1] for entry in entries.values()), default=0) != len(content):
        raise ValueError(f"{len(content)} bytes are not as many as its header says")
    return tensors, metadata


def _what_it_is(path: Path) -> str:
    """What an unreadable file seems to be, and what to do about it."""
    start = path.open("rb").read(64)
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself: run `git lfs pull`"
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return "a pickle of PyTorch, which can run code and is never loaded: export it with the training that made it"
    return f"truncated, damaged or of another format ({path.stat().st_size} bytes): fetch it again"


def _verified(path: Path, expected: str, advice: str) -> Path:
    if not expected or not path.is_file():
        raise CheckpointError(f"{path}: missing; {advice}")
    if (found := _digest(path.read_bytes())) != expected:
        raise CheckpointError(f"{path}: SHA-256 is {found}, the checkpoint says {expected}; {advice}")
    return path


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest() if content else ""


def _replace(path: Path, content: bytes) -> None:
    """Write beside the path, then move into place, so that nobody reads half a file."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def _expect(name: str, value: Any, expected: str, is_valid: Callable[[Any], bool]) -> None:
    """Raise ValueError unless ``is_valid(value)``; a value of another type is not valid."""
    try:
        valid = bool(is_valid(value))
    except TypeError:
        valid = False
    if not valid:
        raise ValueError(f"{name}: found {value!r}, expected {expected}")
