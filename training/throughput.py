"""Throughput: how many images a second a configuration trains on here, the reading of frames left out."""

import argparse
from pathlib import Path
from time import perf_counter

import torch

from training.lightning_cli import assemble
from training.module import DepthModule

# Steps in which cuDNN tries its algorithms and the allocator settles.
WARM_UP_STEPS = 5
# Half precision of mixed precision, as `bf16-mixed` of Lightning's Trainer.
HALF = torch.bfloat16


def main(arguments: list[str]) -> None:
    """Print the throughput of a configuration's network and loss."""
    parser = argparse.ArgumentParser(prog="python -m training throughput", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the run's configuration")
    parser.add_argument("--size", type=int, nargs=2, default=(416, 544), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--batch", type=int, default=32, help="images of one step")
    parser.add_argument("--steps", type=int, default=50, help="that are timed")
    options, overrides = parser.parse_known_args(arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # Neither frames nor the loss network's own weights: neither changes the time of a step.
    without = [*(f"--data.{use}=null" for use in ("train", "val", "test")), "--model.loss.loss_network_weights=random"]
    model = assemble([f"--config={options.config}", *overrides, *without]).model
    rate = images_per_second(model, options.batch, tuple(options.size), options.steps, device)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    print(
        f"{name}: {rate:.0f} images/s of {options.size[0]}x{options.size[1]} in batches of {options.batch}, bf16-mixed"
    )


def images_per_second(
    module: DepthModule, batch: int, size: tuple[int, int], steps: int, device: str = "cuda"
) -> float:
    """Train on one made-up batch, in mixed precision, over and over.

    Args:
        module: has the network and the loss; its weights are spoiled.
        batch: images of one step.
        size: their (height, width) in pixels.
        steps: that are timed, after some that are not.
        device: ``cuda`` or ``cpu``.
    """
    torch.backends.cudnn.benchmark = True
    module = module.to(device).train()
    optimizer = torch.optim.AdamW(module.network.parameters(), lr=1e-4, fused=device == "cuda")
    image = torch.randn(batch, 3, *size, device=device)
    truth = 1 + 8 * torch.rand(batch, 1, *size, device=device)
    mask = truth > 1.5

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, HALF):
            depth, log_error = module(image)
            loss = module.loss(depth, log_error, truth, mask)["loss"]
        loss.backward()
        optimizer.step()

    for _ in range(WARM_UP_STEPS):
        step()
    started = finished(device)
    for _ in range(steps):
        step()
    return batch * steps / (finished(device) - started)


def finished(device: str) -> float:
    """The time, once the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return perf_counter()
