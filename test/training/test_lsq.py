"""Learned step sizes: rounding and gradients by hand, learning, and the int8 graph that the node runs."""

import copy
from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from mono_depth_ros.backends.onnxruntime_backend import OnnxRuntimeBackend
from mono_depth_ros.backends.openvino_backend import OpenVinoBackend
from mono_depth_ros.backends.torch_backend import TorchBackend
from mono_depth_ros.checkpoint import CheckpointInfo
from mono_depth_ros.estimator import DepthEstimator
from mono_depth_ros.network import DepthNetwork
from training.losses import SILogLoss
from training.lsq import LsqConv2d, quantise, quantised, seal_quantised

ARCHITECTURE = {"encoder": "mobilenetv3_small_050", "decoder": "sunet"}
INFO = CheckpointInfo(
    ARCHITECTURE, (64, 96), 60.0, 10.0, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), licence="CC0-1.0"
)
IMAGE = interpolate(torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0)), (64, 64), mode="bicubic")
TRUTH = 1 + 3 * IMAGE[:, :1].sigmoid()


def network(bits: int = 0) -> nn.Module:
    """A small network that has seen a few images; with ``bits``, it goes on quantised."""
    torch.manual_seed(0)
    found = DepthNetwork(**ARCHITECTURE)
    for _ in range(4):
        found.train()(IMAGE)
    if bits:
        plain = found.state_dict()
        found = DepthNetwork(**ARCHITECTURE)
        quantise(found, bits)
        found.load_state_dict(plain)
    return found


def test_rounding_and_gradients_by_hand():
    values = torch.tensor([0.26, -0.9, 7.0, -5.0], requires_grad=True)
    step = torch.tensor(0.5, requires_grad=True)
    found = quantised(values, step, -2, 3, number=12)
    assert found.tolist() == [0.5, -1.0, 1.5, -1.0]
    found.sum().backward()
    assert values.grad.tolist() == [1, 1, 0, 0]  # none beyond the range
    # Inside, round(v / s) - v / s; outside, the limit; and all that by 1 / sqrt(12 * 3).
    assert step.grad.item() == pytest.approx(((1 - 0.52) + (-2 + 1.8) + 3 - 2) / 6)


def test_all_convolutions_but_the_one_that_gives_depth_are_quantised_the_first_with_8_bits():
    found = network(4)
    convs = [m for m in found.modules() if isinstance(m, nn.Conv2d)]
    assert [c for c in convs if not isinstance(c, LsqConv2d)] == [found.depth_head[-1]]
    assert {c.bits for c in convs[1:-1]} == {4} and convs[0].bits == 8
    with pytest.raises(ValueError, match="quantise_bits: found 9, expected 2 to 8"):
        network(9)


def test_a_plain_networks_weights_are_taken_and_a_resumed_one_keeps_its_steps():
    plain, eight, two = network().eval(), network(8), network(2)
    with torch.no_grad():
        expected = plain(IMAGE)[0]
        wrong = []
        for found in (eight, two):
            found.train()(IMAGE)  # begins the steps
            wrong.append(float(((found.eval()(IMAGE)[0] - expected).abs() / expected).mean()))
        assert wrong[0] < 0.02 and wrong[0] < wrong[1] / 3
        again = network(8)
        again.load_state_dict(eight.state_dict())
        assert torch.equal(again.eval()(IMAGE)[0], eight(IMAGE)[0])


def test_it_learns_with_its_steps():
    found, loss = network(4).train(), SILogLoss()
    optimizer = torch.optim.Adam(found.parameters(), lr=2e-3)
    errors, steps = [], []
    for _ in range(25):
        value = loss(found(IMAGE)[0], TRUTH, TRUTH > 0)
        errors.append(value.item())
        steps.append([p.item() for name, p in found.named_parameters() if name.endswith("_step")])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert errors[-1] < errors[0] / 2
    assert all(a != b for a, b in zip(steps[0], steps[-1], strict=True))


def test_the_sealed_int8_form_is_what_was_trained(tmp_path):
    found = network(4)  # the first convolution has 8 bits
    found.train()(IMAGE)
    sealed = seal_quantised(found.eval(), INFO, tmp_path / "quantised.safetensors")
    graph = onnx.load(sealed.int8()).graph
    operations = Counter(node.op_type for node in graph.node)
    assert operations["QuantizeLinear"] == operations["Conv"] - 1  # all but the one that gives depth
    assert sealed.int8().stat().st_size < sealed.onnx().stat().st_size
    rgb = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    expected = TorchBackend(copy.deepcopy(found), INFO).infer(rgb, (64, 96))[0].copy()
    for backend in (OnnxRuntimeBackend(sealed.int8(), "cpu", "int8"), OpenVinoBackend(sealed.int8(), "int8")):
        wrong = np.abs(backend.infer(rgb, (64, 96))[0] - expected) / expected
        assert wrong.mean() < 0.005
    estimator = DepthEstimator.load(sealed.path, "openvino", "cpu", "int8")
    assert np.isfinite(estimator.predict(rgb).depth).all()
