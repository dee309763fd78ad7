"""Export: seal a PyTorch network as a checkpoint with its ONNX form, and make an OpenVINO IR of that."""

import copy
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mono_depth_ros import checkpoint
from mono_depth_ros.backends import Backend
from mono_depth_ros.backends.openvino_backend import OpenVinoBackend
from mono_depth_ros.backends.silent_openvino import openvino
from mono_depth_ros.backends.torch_backend import FrameNetwork, TorchBackend
from mono_depth_ros.checkpoint import STRIDE, Checkpoint, CheckpointInfo
from mono_depth_ros.errors import MonoDepthError

OUTPUTS = ("depth", "log_error")
CHECKED_SIZES = ((128, 96), (96, 160))
# Metres, of a single-precision backend from PyTorch.
FP32_TOLERANCE = 1e-3


class ExportError(MonoDepthError, ValueError):
    """A form of the network that does not give what PyTorch gives."""


def seal(network: nn.Module, info: CheckpointInfo, path: str | PathLike[str]) -> Checkpoint:
    """Write a sealed checkpoint of a `DepthNetwork`, ONNX form included; ``info``'s hashes are filled in.

    Its weights are rounded, see `round_weights`; a network that is measured before should be rounded before.

    Raises:
        ExportError: see `to_onnx`.
        ValueError: see `mono_depth_ros.checkpoint.save`.
    """
    network = round_weights(copy.deepcopy(network).cpu())
    weights = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    return checkpoint.save(path, info, weights, onnx=to_onnx(network, info))


def round_weights(network: nn.Module) -> nn.Module:
    """Round each convolution's weight to the float16 that a checkpoint stores; in place, and twice is as once.

    Eleven bits keep what fine-tuning did; bfloat16's eight sent more than a third of the changed weights back. A
    backend in bfloat16 rounds the weights again when it loads them, multiplied by the batch normalisation behind: on
    ten frames of NYU Depth V2 that and its arithmetic move depth by 0.4 to 0.6 % on average, its mean by at most 0.4 %.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.half().float()
    return network


def to_onnx(network: nn.Module, info: CheckpointInfo) -> bytes:
    """The network as an ONNX graph.

    Its input is ``image``, uint8 (1, height, width, 3) RGB, any multiples of 32; its outputs are ``depth`` and, where
    the network has it, ``log_error``, float32 (1, height, width). Convolution weights are stored in float16, as in the
    checkpoint, and become float32 when a backend loads the graph: the arithmetic is that of PyTorch, at half the size.

    Raises `ExportError` where the graph differs from PyTorch by more than 1 mm.
    """
    graph = FrameNetwork(copy.deepcopy(network).cpu(), info)
    store_half(graph)
    content = to_graph(graph)
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in CHECKED_SIZES]
    require_parity(TorchBackend(graph.network, info), OpenVinoBackend(content), frames)
    return content


def to_graph(graph: FrameNetwork) -> bytes:
    """The ONNX graph of a frame's network, whatever it computes in, for any multiples of 32."""
    graph.eval()
    image = torch.zeros((1, 2 * STRIDE, 3 * STRIDE, 3), dtype=torch.uint8)
    with torch.inference_mode():
        outputs = OUTPUTS[: len(graph(image))]
    # Each operation of the network scales with its input, so a graph traced at one size, which is quick, fits all;
    # the check below, at other sizes, would notice a network for which that is not so.
    exported = torch.onnx.export(
        graph, (image,), input_names=["image"], output_names=list(outputs), dynamo=True, verbose=False
    )
    assert exported is not None
    # The exporter notes source paths of this machine at every node.
    ClearMetadataAndDocStringPass()(exported.model)
    return _tidied(exported.model_proto).SerializeToString()


def store_half(module: nn.Module) -> None:
    """Keep each convolution's weight in float16 and compute in float32; in place."""
    for conv in [m for m in module.modules() if isinstance(m, nn.Conv2d)]:
        conv.weight.data = conv.weight.data.half()
        parametrize.register_parametrization(conv, "weight", Widen(), unsafe=True)


class Widen(nn.Module):
    """To float32."""

    def forward(self, stored: Tensor) -> Tensor:
        """The stored weight as float32."""
        return stored.float()


def _tidied(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with its free axes called ``height`` and ``width``, and without the exporter's notes on every value."""
    del model.graph.value_info[:]
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
        height, width = value.type.tensor_type.shape.dim[1:3]
        height.dim_param, width.dim_param = "height", "width"
    onnx.checker.check_model(model)
    return model


def to_openvino(onnx_file: Path, xml: Path, size: tuple[int, int] | None = None) -> None:
    """Write an OpenVINO IR (``xml`` and a ``.bin`` beside it) of an exported graph, for one (height, width) or any."""
    model = openvino.Core().read_model(onnx_file)
    if size:
        model.reshape([1, *size, 3])
    openvino.save_model(model, xml, compress_to_fp16=False)


@dataclass(frozen=True)
class Parity:
    """How far one backend is from another on the same frames: metres at worst, and the mean relative difference."""

    worst: float
    abs_rel: float


def require_parity(reference: Backend, other: Backend, frames: list[np.ndarray]) -> Parity:
    """`parity`, or ExportError where one pixel differs by more than a millimetre."""
    found = parity(reference, other, frames)
    if found.worst > FP32_TOLERANCE:
        raise ExportError(
            f"the exported network differs from PyTorch by {1e3 * found.worst:.3g} mm, expected at most "
            f"{1e3 * FP32_TOLERANCE:.3g}; it can't be exported as it is"
        )
    return found


def parity(reference: Backend, other: Backend, frames: list[np.ndarray]) -> Parity:
    """Compare the depth of two backends over frames (h, w, 3) uint8 of network sizes."""
    worst, relative = 0.0, []
    for frame in frames:
        expected = reference.infer(frame, frame.shape[:2])[0].copy()
        difference = np.abs(other.infer(frame, frame.shape[:2])[0] - expected)
        worst = max(worst, float(difference.max()))
        relative.append(float((difference / expected).mean()))
    return Parity(worst, float(np.mean(relative)))
