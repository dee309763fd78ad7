"""Learned step sizes (Esser et al., 2020): quantisation-aware training of any network here, and its int8 ONNX graph.

Each convolution rounds its weights, and the map that comes in, to multiples of a step, and learns both steps with its
weights; gradients pass the rounding unchanged. The convolution that gives depth stays as it is: eight bits would leave
a few dozen depths in a frame.
"""

import copy
from os import PathLike
from typing import Any

import numpy as np
import torch
import torch.ao.quantization.fx._decomposed  # registers what becomes ONNX's QuantizeLinear and its inverse
from torch import Tensor, nn

from mono_depth_ros import checkpoint
from mono_depth_ros.backends.openvino_backend import OpenVinoBackend
from mono_depth_ros.backends.torch_backend import FrameNetwork, TorchBackend
from mono_depth_ros.checkpoint import Checkpoint, CheckpointInfo
from mono_depth_ros.export import ExportError, parity, seal, to_graph

# Of an int8 graph from the network that was trained: rounding that falls the other way here and there.
TOLERANCE = 0.02
CHECKED_SIZE = (128, 96)
STEPS = ("weight_step", "input_step", "is_signed", "is_begun")


class LsqConv2d(nn.Conv2d):
    """A convolution with learned step sizes; it takes over the weights of a plain one.

    The steps begin with the first batch it sees in training, when the weights are the ones to begin with.

    Args:
        conv: the plain one.
        bits: of weights, which are symmetric, and of the map that comes in, signed where the first one is.
    """

    is_signed: Tensor
    is_begun: Tensor

    def __init__(self, conv: nn.Conv2d, bits: int) -> None:
        super().__init__(
            conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, conv.dilation,  # type: ignore[arg-type]
            conv.groups, conv.bias is not None, conv.padding_mode,
        )  # fmt: skip
        self.weight, self.bias = conv.weight, conv.bias
        self.bits = bits
        self.weight_step, self.input_step = nn.Parameter(torch.ones(())), nn.Parameter(torch.ones(()))
        self.register_buffer("is_signed", torch.tensor(False))
        self.register_buffer("is_begun", torch.tensor(False))

    def input_range(self) -> tuple[int, int]:
        """Least and largest multiple of the step that the map may have."""
        return (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1) if self.is_signed else (0, 2**self.bits - 1)

    def weight_range(self) -> tuple[int, int]:
        """The same for weights."""
        most = 2 ** (self.bits - 1) - 1
        return -most, most

    def forward(self, x: Tensor) -> Tensor:
        """See `nn.Conv2d`."""
        if self.training and not self.is_begun:
            self.begin(x)
        x = quantised(x, self.input_step, *self.input_range(), x[0].numel())
        return self._conv_forward(x, self.rounded_weight(), self.bias)

    def rounded_weight(self) -> Tensor:
        """What the convolution multiplies by."""
        return quantised(self.weight, self.weight_step, *self.weight_range(), self.weight.numel())

    @torch.no_grad()
    def begin(self, x: Tensor) -> None:
        """Set the steps to 2 mean |v| / sqrt(largest multiple), as the paper does."""
        self.is_signed.fill_(bool((x < 0).any()))
        for step, values, (_, most) in (
            (self.weight_step, self.weight, self.weight_range()),
            (self.input_step, x, self.input_range()),
        ):
            step.copy_((2 * values.abs().mean() / most**0.5).clamp(min=1e-6))
        self.is_begun.fill_(True)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Take a plain convolution's weights too, and begin the steps anew."""
        for name in STEPS:
            state_dict.setdefault(prefix + name, getattr(self, name))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def quantised(values: Tensor, step: Tensor, least: int, most: int, number: int) -> Tensor:
    """Values rounded to multiples of a step between ``least`` and ``most``.

    The step's gradient is scaled by 1 / sqrt(``number`` of values x ``most``), so that it learns as fast as weights do.
    """
    scale = (number * most) ** -0.5
    step = step * scale + (step - step * scale).detach()
    multiples = (values / step).clamp(least, most)
    return (multiples + (multiples.round() - multiples).detach()) * step


def quantise(network: nn.Module, bits: int) -> None:
    """Give every convolution of a network learned steps, in place, but those that give one map; the first has 8 bits.

    Raises ValueError for a number of bits that is not from 2 to 8.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"quantise_bits: found {bits}, expected 2 to 8")
    first = True
    for parent in list(network.modules()):
        for name, conv in parent.named_children():
            if type(conv) is nn.Conv2d and conv.out_channels > 1:
                setattr(parent, name, LsqConv2d(conv, 8 if first else bits))
                first = False


class ExportedConv2d(nn.Module):
    """What an `LsqConv2d` is in a graph: int8 weights, and the map rounded to 8 bits before it."""

    integers: Tensor

    def __init__(self, conv: LsqConv2d) -> None:
        super().__init__()
        self.conv = conv
        weight = (conv.weight / conv.weight_step).clamp(*conv.weight_range()).round()
        self.register_buffer("integers", weight.to(torch.int8))
        del conv.weight
        self.least, self.most = conv.input_range()
        self.steps = float(conv.input_step), float(conv.weight_step)
        self.limits = (-128, 127, torch.int8) if conv.is_signed else (0, 255, torch.uint8)

    def forward(self, x: Tensor) -> Tensor:
        """See `nn.Conv2d`."""
        ops = torch.ops.quantized_decomposed
        of_input, of_weight = self.steps
        if self.conv.bits < 8:
            x = x.clamp(self.least * of_input, self.most * of_input)
        x = ops.dequantize_per_tensor(ops.quantize_per_tensor(x, of_input, 0, *self.limits), of_input, 0, *self.limits)
        weight = ops.dequantize_per_tensor(self.integers, of_weight, 0, -128, 127, torch.int8)
        return self.conv._conv_forward(x, weight, self.conv.bias)


def replaced(network: nn.Module, make: Any) -> nn.Module:
    """A copy of the network on the CPU in evaluation mode, with ``make(conv)`` in place of each `LsqConv2d`."""
    network = copy.deepcopy(network).cpu().eval().requires_grad_(False)
    for parent in list(network.modules()):
        for name, conv in parent.named_children():
            if isinstance(conv, LsqConv2d):
                setattr(parent, name, make(conv))
    return network


def plain(network: nn.Module) -> nn.Module:
    """A copy with plain convolutions, whose weights are the rounded ones."""

    def conv_of(conv: LsqConv2d) -> nn.Conv2d:
        found = nn.Conv2d(
            conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, conv.dilation,  # type: ignore[arg-type]
            conv.groups, conv.bias is not None, conv.padding_mode,
        )  # fmt: skip
        found.weight, found.bias = nn.Parameter(conv.rounded_weight().detach()), conv.bias
        return found

    return replaced(network, conv_of)


def to_int8_onnx(network: nn.Module, info: CheckpointInfo) -> bytes:
    """The graph of a quantised network as `mono_depth_ros.export.to_onnx` has it, its convolutions in int8.

    Raises `ExportError` where OpenVINO's depth differs from PyTorch's by more than `TOLERANCE` in the mean.
    """
    content = to_graph(FrameNetwork(replaced(network, ExportedConv2d), info))
    frames = [np.random.default_rng(0).integers(0, 256, (*CHECKED_SIZE, 3), dtype=np.uint8)]
    reference = TorchBackend(copy.deepcopy(network), info)
    found = parity(reference, OpenVinoBackend(content, "int8"), frames)
    if found.abs_rel > TOLERANCE:
        raise ExportError(f"the int8 graph's depth differs from PyTorch's by {100 * found.abs_rel:.3g} % in the mean")
    return content


def seal_quantised(network: nn.Module, info: CheckpointInfo, path: str | PathLike[str]) -> Checkpoint:
    """As `mono_depth_ros.export.seal`, and the int8 form as it was trained beside it."""
    int8 = to_int8_onnx(network, info)
    sealed = seal(plain(network), info, path)
    return checkpoint.save(path, sealed.info, sealed.weights(), sealed.onnx().read_bytes(), int8=int8)
