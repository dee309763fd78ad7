"""The limits: the graphs compute what they say, and the roofline by hand."""

import numpy as np
import openvino
import pytest
import torch

from mono_depth_ros.benchmark import cost, limits
from mono_depth_ros.benchmark.race import Timing


def result(model, matrix):
    return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([matrix])[0]


def constant(size):
    return np.random.default_rng(0).uniform(-1, 1, size).astype(np.float32)


@pytest.mark.parametrize(("is_int8", "tolerance"), [(False, 1e-5), (True, 0.05)])
def test_the_product_is_a_product(is_int8, tolerance):
    matrix = np.random.default_rng(1).uniform(0, 1, (32, 32)).astype(np.float32)
    expected = matrix @ constant((32, 32))
    assert np.abs(result(limits.product((32, 32), is_int8), matrix) - expected).max() < tolerance


def test_the_sum_is_values_plus_one():
    matrix = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert (result(limits.total((3, 4)), matrix) == matrix + 1).all()


def test_rates_and_roofline_by_hand():
    product = Timing("product", "openvino", "cpu", "bf16", 1000, 1000, 10.0, 10.0, 0.0)  # 2e9 operations in 10 ms
    total = Timing("sum", "openvino", "cpu", "fp32", 1000, 1000, 0.5, 0.5, 0.0)  # 8e6 bytes in 0.5 ms
    assert limits.gigaflops(product) == pytest.approx(200)
    assert limits.gigabytes([product, total]) == pytest.approx(16)
    layers = [(10**9, 10**6), (10**6, 8 * 10**6)]  # the first held up by operations, the second by bytes
    (found,) = limits.limits([product, total], layers)
    assert found.operations == pytest.approx(10 + 0.01)
    assert found.bytes == pytest.approx(0.125 + 1)
    assert found.roofline == pytest.approx(10 + 1)


def test_what_convolutions_cost_by_hand():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.Conv2d(8, 8, 1, groups=8, bias=False))
    dense, depthwise = 8 * 4 * 4 * 27, 8 * 4 * 4
    assert cost.layers(network, (8, 8)) == [(dense, 3 * 64 + 8 * 16 + 216), (depthwise, 2 * 8 * 16 + 8)]
    assert cost.gigamacs(network, (8, 8)) == pytest.approx((dense + depthwise) / 1e9)
    assert cost.parameters(network) == pytest.approx((216 + 8 + 8) / 1e6)
