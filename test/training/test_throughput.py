"""Throughput of training: what is counted, and that it is training that is timed. On the CPU; no figure is judged."""

import re

import pytest
import torch

from test.training.test_fit import run
from training import throughput
from training.losses import DepthLoss, LossWeights
from training.module import DepthModule


def small_module():
    torch.manual_seed(0)
    loss = DepthLoss(LossWeights(silog=1.0, perceptual=0.0, gradient=0.0, l1=0.0, error=0.1))
    return DepthModule(loss, encoder="tf_efficientnet_lite0", width=16, error=True)


def test_images_are_counted_by_the_clock(monkeypatch):
    """3 steps of 2 images between second 10 and second 14."""
    clock = iter((10.0, 14.0))
    monkeypatch.setattr(throughput, "finished", lambda device: next(clock))
    monkeypatch.setattr(throughput, "WARM_UP_STEPS", 1)
    assert throughput.images_per_second(small_module(), 2, (32, 64), 3, "cpu") == 1.5


def test_every_weight_of_the_network_is_trained(monkeypatch):
    monkeypatch.setattr(throughput, "WARM_UP_STEPS", 1)
    module = small_module()
    before = {name: weight.detach().clone() for name, weight in module.network.named_parameters()}
    throughput.images_per_second(module, 2, (32, 64), 1, "cpu")
    assert [name for name, weight in module.network.named_parameters() if torch.equal(weight, before[name])] == []


@pytest.mark.parametrize("name", ["ship", "paper"])
def test_it_is_a_command_that_prints_one_line_and_needs_no_data_nor_weights(name):
    """In a process of its own: in that of all other tests, PyTorch 2.14's backward in bf16 has crashed now and then."""
    sizes = ("--size", "32", "64", "--batch", "2", "--steps", "1", "--model.encoder=mobilenetv3_small_050")
    printed = run("throughput", "--config", f"training/configs/{name}.yaml", *sizes)
    assert re.fullmatch(r"CPU: \d+ images/s of 32x64 in batches of 2, bf16-mixed\n", printed)
