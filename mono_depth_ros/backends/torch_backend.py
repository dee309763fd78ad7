"""PyTorch: CUDA graphs in half precision on a GPU, channels-last float32 on a CPU."""

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mono_depth_ros.backends import SIZES_KEPT, BackendError, FrameOutput, FramePlan, Output
from mono_depth_ros.backends.torch_frame import WholeFrame, unpack
from mono_depth_ros.checkpoint import Checkpoint, CheckpointError, CheckpointInfo
from mono_depth_ros.network import DepthNetwork

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Enough for cuDNN to try its algorithms and for the allocator to settle before a graph is captured.
WARM_UP_RUNS = 3

Program = Callable[[Tensor], tuple[Tensor, ...]]


def restore(checkpoint: Checkpoint) -> DepthNetwork:
    """The checkpoint's network in evaluation mode, float32, on the CPU. Raises `CheckpointError`."""
    try:
        network = DepthNetwork(**checkpoint.info.architecture)
        network.load_state_dict({k: torch.from_numpy(v) for k, v in checkpoint.weights().items()})
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{checkpoint.path}: its weights don't fit its architecture: {error}") from error
    return network.eval()


def fold_norms(network: nn.Module) -> nn.Module:
    """Multiply each batch normalisation into the convolution before it, in place; the network is in evaluation mode.

    It saves half of the steps, and checkpoints are sealed so that half precision rounds these products well; see
    `mono_depth_ros.export.round_weights`.
    """
    layers = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    for (_, conv), (name, norm) in pairwise(layers):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            folded = fuse_conv_bn_eval(conv, norm)
            conv.weight, conv.bias = folded.weight, folded.bias
            parent, _, child = name.rpartition(".")
            # timm's batch normalisation has the activation within.
            setattr(network.get_submodule(parent), child, getattr(norm, "act", nn.Identity()))
    return network


class FrameNetwork(nn.Module):
    """The network from a frame to maps, normalisation inside: what every engine runs.

    Args:
        network: maps a normalised (N, 3, H, W) to depth and log_error (N, 1, H, W), as `DepthNetwork` does.
            It is taken over: put into evaluation mode, folded and converted, in place.
        info: has the mean and the deviation.
        dtype: that the network computes in.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, info: CheckpointInfo, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.dtype = dtype
        network = network.eval().requires_grad_(False)
        network = network if dtype == torch.float32 else fold_norms(network)
        self.network = network.to(dtype).to(memory_format=torch.channels_last)
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
    """Runs a PyTorch network on one device.

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
        runner = CudaRunner if device == "cuda" else CpuRunner
        self._network = lru_cache(SIZES_KEPT)(
            lambda height, width: runner(lambda image: frame_network(image[None]), height, width)
        )
        self._frame = lru_cache(SIZES_KEPT)(
            lambda plan: runner(WholeFrame(frame_network, plan).to(device), *plan.image_size)
        )

    def prepare(self, height: int, width: int) -> None:
        """See `Backend.prepare`."""
        self.infer(np.zeros((height, width, 3), np.uint8))

    def infer(self, rgb: np.ndarray) -> Output:
        """See `Backend.infer`."""
        try:
            maps = self._network(*rgb.shape[:2])(rgb)
        except (RuntimeError, ValueError) as error:
            raise self._error(error) from error
        return maps[0][0], maps[1][0] if len(maps) > 1 else None

    def repeat(self, height: int, width: int) -> None:
        """Run the network once more on the last image of this size, which is there already: for timing it alone."""
        self._network(height, width).repeat()

    def frame(self, rgb: np.ndarray, plan: FramePlan) -> FrameOutput:
        """See `FrameBackend.frame`."""
        try:
            return unpack(*self._frame(plan)(rgb))
        except (RuntimeError, FloatingPointError) as error:
            raise self._error(error) from error

    def _error(self, error: Exception) -> BackendError:
        return BackendError(f"torch on {self.device} in {self.precision} failed: {error}")


class CpuRunner:
    """Eager PyTorch on the CPU, for images of one size.

    Args:
        program: maps an image (height, width, 3) uint8 to float32 tensors of any shapes.
        height, width: of the image.
    """

    def __init__(self, program: Program, height: int, width: int) -> None:
        self._program = program
        self._image = torch.empty((height, width, 3), dtype=torch.uint8)
        self._view = self._image.numpy()

    def __call__(self, rgb: np.ndarray) -> list[np.ndarray]:
        """What the program makes of rgb (height, width, 3) uint8."""
        self._view[...] = rgb
        return [t.numpy() for t in self.repeat()]

    def repeat(self) -> tuple[Tensor, ...]:
        """The program alone, on the image that is there."""
        with torch.inference_mode():
            return self._program(self._image)


class CudaRunner:
    """The same as one captured CUDA graph on one stream: a pinned copy up, the graph, a pinned copy down, one wait."""

    def __init__(self, program: Program, height: int, width: int) -> None:
        self._pinned_image = torch.empty((height, width, 3), dtype=torch.uint8, pin_memory=True)
        self._image = torch.zeros((height, width, 3), dtype=torch.uint8, device="cuda")
        self._stream = torch.cuda.Stream()
        self._graph = torch.cuda.CUDAGraph()
        self._stream.wait_stream(torch.cuda.current_stream())
        # TensorFloat-32 would make single precision as coarse as half.
        flags = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
        with torch.inference_mode(), torch.cuda.stream(self._stream), flags:
            for _ in range(WARM_UP_RUNS):
                program(self._image)
            with torch.cuda.graph(self._graph, stream=self._stream):
                tensors = program(self._image)
                self._packed = torch.cat([t.flatten() for t in tensors])
        self._pinned = torch.empty(self._packed.shape, dtype=torch.float32, pin_memory=True)
        self._view = self._pinned_image.numpy()
        pieces = self._pinned.split([t.numel() for t in tensors])
        self._results = [piece.view(t.shape).numpy() for piece, t in zip(pieces, tensors, strict=True)]

    def __call__(self, rgb: np.ndarray) -> list[np.ndarray]:
        """What the program makes of rgb (height, width, 3) uint8, in the same pinned memory each time."""
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
