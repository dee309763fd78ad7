"""Adopt any depth network: its ONNX graph, between what the backends give and take, sealed with what must be known."""

from os import PathLike
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, compose, parser

from mono_depth_ros import checkpoint
from mono_depth_ros.backends.openvino_backend import OpenVinoBackend
from mono_depth_ros.checkpoint import Checkpoint, CheckpointInfo
from mono_depth_ros.errors import MonoDepthError

CHANNEL_ORDERS = {"rgb": "0, 1, 2", "bgr": "2, 1, 0"}

# Image to the network's input, and its output to depth: by operators that every version of the set since 7 has.
_HEAD = """<ir_version: {ir}, opset_import: ["": {opset}]>
head (uint8[1, {height}, {width}, 3] image) => ({type}[1, 3, {height}, {width}] planes)
<float[3] mean = {{{mean}}}, float[3] std = {{{std}}}, int64[3] order = {{{order}}}> {{
    numbers = Cast<to = 1>(image)
    centred = Sub(numbers, mean)
    normal = Div(centred, std)
    ordered = Gather<axis = 3>(normal, order)
    turned = Transpose<perm = [0, 3, 1, 2]>(ordered)
    planes = Cast<to = {number}>(turned)
}}"""
_TAIL = """<ir_version: {ir}, opset_import: ["": {opset}]>
tail ({type}[{shape}] found) => (float[1, h, w] depth) <int64 first = {{0}}> {{
    {step}
    depth = Cast<to = 1>(map)
}}"""
_STEPS = {3: "map = Identity(found)", 4: "map = Gather<axis = {axis}>(found, first)"}


class AdoptError(MonoDepthError, ValueError):
    """A graph that is no depth network as far as can be seen, or whose size is not as it was said."""


def adopt(
    network: str | PathLike[str],
    info: CheckpointInfo,
    path: str | PathLike[str],
    channel_order: str = "rgb",
    output: str | None = None,
) -> Checkpoint:
    """Run an ONNX graph once, and write a sealed checkpoint of it.

    Args:
        network: its file: one input (N, 3, H, W), normalised by ``info``'s mean and deviation, and an output
            (N, 1, h, w), (N, h, w, 1) or (N, h, w), of any size, as ``info.output_kind`` says.
        info: its hashes are filled in; the architecture is empty.
        path: the ``.safetensors`` file to write; the wrapped graph goes beside it, by the same name.
        channel_order: of the input, ``rgb`` or ``bgr``.
        output: its name; None is the first.

    Raises:
        AdoptError: no ONNX, another kind of graph, or one of another size; or it would be written over.
        BackendError: OpenVINO cannot run it.
    """
    if (beside := Path(path).with_suffix(".onnx")).resolve() == Path(network).resolve():
        raise AdoptError(f"{path}: its graph would be written over {beside}; expected another name than the network's")
    try:
        onnx.checker.check_model(network)
        content = wrapped(onnx.load(network), info, channel_order, output).SerializeToString()
    except (AdoptError, onnx.checker.ValidationError) as error:
        raise AdoptError(f"{network}: {error}") from error
    depth, _ = OpenVinoBackend(content).infer(np.zeros((*info.input_size, 3), np.uint8), info.input_size)
    if depth.ndim != 2:
        raise AdoptError(f"{network}: its output has shape {depth.shape} for one image, expected (height, width)")
    return checkpoint.save(path, info, {}, onnx=content)


def wrapped(model: onnx.ModelProto, info: CheckpointInfo, channel_order: str, output: str | None) -> onnx.ModelProto:
    """The graph from ``image``, uint8 (1, height, width, 3) RGB, to ``depth``, float32 (1, h, w)."""
    source, result = _input(model.graph, info), _output(model.graph, output)
    height, width = ("height", "width") if info.multiple else info.input_size
    kind = source.type.tensor_type.elem_type
    common = {"ir": model.ir_version, "opset": next(o.version for o in model.opset_import if not o.domain)}
    head = parser.parse_model(
        _HEAD.format(
            **common, type=_name(kind), number=kind, height=height, width=width,
            mean=", ".join(map(str, info.mean)), std=", ".join(map(str, info.std)), order=CHANNEL_ORDERS[channel_order],
        )
    )  # fmt: skip
    dims = _dims(result)
    shape = ", ".join(f"d{axis}" if side is None else str(side) for axis, side in enumerate(dims))
    step = _STEPS[len(dims)].format(axis=3 if dims[-1] == 1 else 1)
    tail = parser.parse_model(
        _TAIL.format(**common, type=_name(result.type.tensor_type.elem_type), shape=shape, step=step)
    )
    inner = compose.add_prefix(model, "network/")  # it may call its own input image
    whole = compose.merge_models(head, inner, [("planes", f"network/{source.name}")])
    return compose.merge_models(whole, tail, [(f"network/{result.name}", "found")], outputs=["depth"])


def _input(graph: onnx.GraphProto, info: CheckpointInfo) -> onnx.ValueInfoProto:
    """The one input. Raises `AdoptError` where it is none of a depth network, or of another size."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    found = ", ".join(f"{value.name} {_dims(value)}" for value in inputs)
    sides = _dims(inputs[0]) if len(inputs) == 1 else []
    if len(sides) != 4 or sides[1] not in (3, None) or sides[1:] == [None, None, 3]:
        raise AdoptError(f"expected one input (N, 3, H, W), found {found}")
    fixed = sides[2:]
    if any(a and a != b for a, b in zip(fixed, info.input_size, strict=True)) or (info.multiple and any(fixed)):
        raise AdoptError(
            f"its input is fixed to (height, width) {fixed}; found input_size {info.input_size} and multiples "
            f"of {info.multiple}, expected that size and multiple 0"
        )
    return inputs[0]


def _output(graph: onnx.GraphProto, name: str | None) -> onnx.ValueInfoProto:
    """The output of this name, or the first. Raises `AdoptError` where it cannot be a map."""
    found = [value for value in graph.output if name in (None, value.name)]
    if not found:
        raise AdoptError(f"found no output {name!r}, expected one of {', '.join(v.name for v in graph.output)}")
    if len(_dims(found[0])) not in _STEPS:
        expected = "(N, 1, h, w), (N, h, w, 1) or (N, h, w)"
        raise AdoptError(f"its output {found[0].name} has shape {_dims(found[0])}, expected {expected}")
    return found[0]


def _dims(value: onnx.ValueInfoProto) -> list[int | None]:
    """Its sides; None where they are free."""
    return [d.dim_value or None for d in value.type.tensor_type.shape.dim]


def _name(kind: int) -> str:
    """As ONNX's text has it."""
    return TensorProto.DataType.Name(kind).lower()
