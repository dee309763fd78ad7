"""PyTorch: CUDA graphs in half precision on a GPU, channels-last float32 on a CPU."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache, partial

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import Tracer
from torch.fx.proxy import TraceError
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mono_depth_ros.backends import SIZES_KEPT, BackendError, Maps, Size, interpolation
from mono_depth_ros.checkpoint import Checkpoint, CheckpointError, CheckpointInfo
from mono_depth_ros.network import DepthNetwork, half

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Enough for cuDNN to try its algorithms and for the allocator to settle before a graph is captured.
WARM_UP_RUNS = 3


def restore(checkpoint: Checkpoint) -> DepthNetwork:
    """The checkpoint's network in evaluation mode, float32, on the CPU. Raises `BackendError`, `CheckpointError`."""
    if not checkpoint.info.architecture:
        raise BackendError(f"torch: {checkpoint.path.name} is an ONNX graph; openvino and onnxruntime run that")
    try:
        network = DepthNetwork(**checkpoint.info.architecture)
        network.load_state_dict({k: torch.from_numpy(v) for k, v in checkpoint.weights().items()})
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{checkpoint.path}: its weights don't fit its architecture: {error}") from error
    return network.eval()


def fold_norms(network: nn.Module) -> nn.Module:
    """Multiply each batch normalisation into the convolution whose output it alone takes, in place.

    The network is in evaluation mode. It saves half of the steps.
    """
    for part, conv_name, norm_name in foldable(network):
        conv, norm = part.get_submodule(conv_name), part.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        folded = fuse_conv_bn_eval(conv, norm)
        conv.weight, conv.bias = folded.weight, folded.bias
        parent, _, child = norm_name.rpartition(".")
        # timm's batch normalisation has the activation within.
        setattr(part.get_submodule(parent), child, getattr(norm, "act", nn.Identity()))
    return network


def foldable(network: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """A part of the network, a convolution in it, and the normalisation that alone takes its output.

    The order in which modules are registered says nothing: a DenseNet normalises first. So each part's graph is traced;
    of a part that cannot be, such as one with a branch, each child's.
    """
    try:
        graph = _Tracer().trace(network)
    except (TraceError, TypeError, NotImplementedError):  # the last is of a ModuleList
        for child in network.children():
            yield from foldable(child)
        return
    modules = dict(network.named_modules())
    calls = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    for node in graph.nodes:
        if node.op == "call_module" and isinstance(modules[str(node.target)], nn.BatchNorm2d):
            (source,) = node.all_input_nodes
            pair = str(source.target), str(node.target)
            if (
                isinstance(modules.get(pair[0]), nn.Conv2d)
                and len(source.users) == 1
                and calls[pair[0]] == calls[pair[1]] == 1
            ):
                yield network, *pair


class _Tracer(Tracer):
    """Takes convolutions and normalisations for whole steps, also those of timm."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether the graph does not show what is within."""
        return isinstance(m, nn.Conv2d | nn.BatchNorm2d) or super().is_leaf_module(m, module_qualified_name)


class FrameNetwork(nn.Module):
    """The network from a frame to maps, normalisation inside: what every backend runs.

    Args:
        network: maps a normalised (N, 3, H, W) to depth and log_error (N, 1, H, W), as `DepthNetwork` does.
            It is taken over: put into evaluation mode, folded and converted, in place.
        info: has the mean and the deviation.
        dtype: that the network computes in, but for its last convolutions.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, info: CheckpointInfo, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype
        network = network.eval().requires_grad_(False)
        network = network if dtype == torch.float32 else fold_norms(network)
        self.network = half(network, dtype).to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.tensor(info.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(info.std).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Depth and, where the network has it, log_error: (N, H, W) float32 each, of ``image`` (N, H, W, 3) uint8."""
        # The permuted view of N, H, W, 3 is channels-last already: no copy.
        normalised = (image.permute(0, 3, 1, 2).float() - self.mean) / self.std
        depth, log_error = self.network(normalised.to(self.dtype))
        maps = (depth,) if log_error is None else (depth, log_error)
        return tuple(m[:, 0].float() for m in maps)


class TorchBackend:
    """Runs a PyTorch network, and the resize and the normalisation before it, on one device.

    Args:
        network, info: see `FrameNetwork`.
        device: ``cpu`` or ``cuda``.
        precision: ``fp32``, and on CUDA also ``fp16`` and ``bf16``.
        threads: of the CPU; 0 leaves PyTorch's choice.

    Raises `BackendError`.
    """

    name = "torch"

    def __init__(
        self, network: nn.Module, info: CheckpointInfo, device: str = "cpu", precision: str = "fp32", threads: int = 0
    ) -> None:
        self.device, self.precision = device, precision
        if threads:
            torch.set_num_threads(threads)
        try:
            frame_network = FrameNetwork(network, info, DTYPES[precision]).to(device)
        except (RuntimeError, AssertionError) as error:  # The latter where PyTorch was built without CUDA.
            raise self._error(error) from error
        self._step = lru_cache(SIZES_KEPT)(partial(lay_out, frame_network, device))

    def infer(self, rgb: np.ndarray, size: Size) -> Maps:
        """See `Backend.infer`."""
        try:
            maps = self._step(rgb.shape, size)(rgb)
        except (RuntimeError, ValueError) as error:
            raise self._error(error) from error
        return maps[0][0], maps[1][0] if len(maps) > 1 else None

    def repeat(self, size: Size) -> None:
        """Run the network once more on the last image of this size, which is there already: for timing it alone."""
        self._step((*size, 3), size).repeat()

    def layouts(self) -> int:
        """How often anything was laid out on the device: once for each pair of sizes."""
        return self._step.cache_info().misses

    def _error(self, error: Exception) -> BackendError:
        return BackendError(f"torch on {self.device} in {self.precision} failed: {error}")


def lay_out(network: FrameNetwork, device: str, shape: Size, size: Size) -> "EagerStep | CapturedStep":
    """All that happens on the device, for images of one shape at one (height, width) of the network."""
    resize = Resize(shape[:2], size).to(device)
    kind = CapturedStep if device == "cuda" else EagerStep
    return kind(lambda image: network(resize(image)[None]), shape)


class Resize(nn.Module):
    """`mono_depth_ros.backends.resize` in PyTorch: the same but for rounding, by which a level may differ.

    Each new column is a weighted sum of a few old ones, and so each new row.

    Args:
        old, new: (height, width).
    """

    def __init__(self, old: Size, new: Size) -> None:
        super().__init__()
        for side in (0, 1):
            places, weights = taps(old[side], new[side], interpolation(old, new))
            self.register_buffer(f"places_{side}", torch.from_numpy(places))
            self.register_buffer(f"weights_{side}", torch.from_numpy(weights)[..., None, None].transpose(1, 1 + side))

    def forward(self, image: Tensor) -> Tensor:
        """(h, w, 3) uint8 of an image (H, W, 3) uint8."""
        image = image.float()
        for side in (1, 0):
            steps = zip(self.get_buffer(f"places_{side}"), self.get_buffer(f"weights_{side}"), strict=True)
            image = sum((image.index_select(side, places) * weights for places, weights in steps), torch.tensor(0.0))
        return image.round().to(torch.uint8)


def taps(old: int, new: int, interpolation: int) -> tuple[np.ndarray, np.ndarray]:
    """Which old pixels make up each new one along a side, and their weights: (taps, new) each, int64 and float32.

    They are read off from what OpenCV makes of a unit matrix.
    """
    matrix = cv2.resize(np.eye(old, dtype=np.float32), (old, new), interpolation=interpolation)
    count = int((matrix != 0).sum(axis=1).max())
    first = np.minimum((matrix != 0).argmax(axis=1), old - count)
    places = first + np.arange(count)[:, None]
    return places, np.take_along_axis(matrix.T, places, axis=0)


class EagerStep:
    """A function of an image, on the CPU.

    Args:
        function: maps an image uint8 to float32 tensors of any shapes.
        shape: of the image.
    """

    def __init__(self, function: Callable[[Tensor], tuple[Tensor, ...]], shape: Size) -> None:
        self._function = function
        self._image = torch.empty(shape, dtype=torch.uint8)
        self._view = self._image.numpy()

    def __call__(self, rgb: np.ndarray) -> list[np.ndarray]:
        """What the function makes of an image."""
        self._view[...] = rgb
        return [t.numpy() for t in self.repeat()]

    def repeat(self) -> tuple[Tensor, ...]:
        """The function alone, of the image that is there."""
        with torch.inference_mode():
            return self._function(self._image)


class CapturedStep:
    """The same as one captured CUDA graph on one stream: a pinned copy up, the graph, a pinned copy down, one wait."""

    def __init__(self, function: Callable[[Tensor], tuple[Tensor, ...]], shape: Size) -> None:
        self._pinned_image = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        self._image = torch.zeros(shape, dtype=torch.uint8, device="cuda")
        self._stream = torch.cuda.Stream()
        self._graph = torch.cuda.CUDAGraph()
        self._stream.wait_stream(torch.cuda.current_stream())
        # TensorFloat-32 would make single precision as coarse as half.
        flags = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
        with torch.inference_mode(), torch.cuda.stream(self._stream), flags:
            for _ in range(WARM_UP_RUNS):
                function(self._image)
            with torch.cuda.graph(self._graph, stream=self._stream):
                tensors = function(self._image)
                self._packed = torch.cat([t.flatten() for t in tensors])
        self._pinned = torch.empty(self._packed.shape, dtype=torch.float32, pin_memory=True)
        self._view = self._pinned_image.numpy()
        pieces = self._pinned.split([t.numel() for t in tensors])
        self._results = [piece.view(t.shape).numpy() for piece, t in zip(pieces, tensors, strict=True)]

    def __call__(self, rgb: np.ndarray) -> list[np.ndarray]:
        """What the function makes of an image, in the same pinned memory each time."""
        self._view[...] = rgb
        with torch.cuda.stream(self._stream):
            self._image.copy_(self._pinned_image, non_blocking=True)
            self._graph.replay()
            self._pinned.copy_(self._packed, non_blocking=True)
        self._stream.synchronize()
        return self._results

    def repeat(self) -> None:
        """The graph alone, on the image that is there."""
        with torch.cuda.stream(self._stream):
            self._graph.replay()
        self._stream.synchronize()
