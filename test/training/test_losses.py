"""Losses against numbers worked out by hand and independent formulas."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.losses import (
    BerHuLoss,
    DepthLoss,
    EdgeLoss,
    GradientLoss,
    L1Loss,
    LossWeights,
    PerceptualLoss,
    SILogLoss,
    laplace_nll,
)

STAND_IN = "tf_efficientnet_lite0"


def maps(*rows):
    return torch.tensor(rows, dtype=torch.float32).view(1, 1, len(rows), -1)


ALL = torch.ones(1, 1, 1, 2, dtype=torch.bool)


@pytest.fixture(scope="module")
def perceptual(tmp_path_factory):
    """The perceptual loss on a stand-in network with fixed random weights, read from a local file."""
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    save_file(timm.create_model(STAND_IN).state_dict(), path)
    return PerceptualLoss(STAND_IN, path)


def test_silog_by_hand_in_base_10():
    """d = lg(10/1), lg(1/1) = 1, 0: mean square 1/2, squared mean 1/4; 1/2 - 1/2 * 1/4 = 3/8."""
    assert SILogLoss()(maps([10.0, 1.0]), maps([1.0, 1.0]), ALL).item() == pytest.approx(0.375)


def test_silog_in_natural_logarithm_is_larger_by_ln10_squared():
    prediction, truth = maps([3.0, 1.0]), maps([2.0, 5.0])
    ten, e = SILogLoss(0.85)(prediction, truth, ALL), SILogLoss(0.85, base=math.e)(prediction, truth, ALL)
    assert (e / ten).item() == pytest.approx(math.log(10) ** 2, rel=1e-4)


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=1, max_size=30), st.floats(0, 1))
@settings(deadline=None, max_examples=50)
def test_silog_equals_numpys_variance_form(pairs, focus):
    """mean(d^2) - f mean(d)^2 = var(d) + (1 - f) mean(d)^2."""
    p, y = np.array(pairs).T
    d = np.log10(p) - np.log10(y)
    mask = torch.ones(1, 1, 1, len(d), dtype=torch.bool)
    found = SILogLoss(focus)(maps(p.tolist()), maps(y.tolist()), mask).item()
    assert found == pytest.approx(d.var() + (1 - focus) * d.mean() ** 2, abs=1e-5)


def test_root_form_is_ten_times_the_root():
    prediction, truth = maps([10.0, 1.0]), maps([1.0, 1.0])
    assert SILogLoss(root=True)(prediction, truth, ALL).item() == pytest.approx(10 * math.sqrt(0.375), rel=3e-3)


def test_gradient_loss_by_hand():
    """ln ratios 0, ln 2 / 0, 0: one of the two horizontal steps is ln 2, one of the two vertical ones as well."""
    mask = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    found = GradientLoss(scales=1)(maps([1.0, 2.0], [1.0, 1.0]), torch.ones(1, 1, 2, 2), mask)
    assert found.item() == pytest.approx(math.log(2) / 2 + math.log(2) / 2)


def test_gradient_loss_ignores_global_scale():
    truth = torch.rand(1, 1, 16, 16) + 1
    mask = torch.ones_like(truth, dtype=torch.bool)
    assert GradientLoss()(3 * truth, truth, mask).item() == pytest.approx(0, abs=1e-5)


def test_edge_loss_by_hand():
    """A step from 1 m to 2 m that the prediction lacks is wrong by ln 2 in every pair across it, else by nothing."""
    truth = maps(*[[1.0] * 4 + [2.0] * 4] * 5)
    mask = torch.ones_like(truth, dtype=torch.bool)
    # Of the six kinds of pairs, those of a column cross no edge.
    assert EdgeLoss()(torch.ones_like(truth), truth, mask).item() == pytest.approx(math.log(2) / 2)
    assert EdgeLoss()(torch.ones_like(truth).mT, truth.mT, mask.mT).item() == pytest.approx(math.log(2) / 2)
    assert EdgeLoss()(3 * truth, truth, mask).item() == pytest.approx(0, abs=1e-6)
    assert EdgeLoss()(3 * truth, torch.where(truth > 1, 1.14, 1.0), mask).item() == 0  # 14 % is no edge


def test_berhu_and_its_gradient_by_hand():
    # Errors 0.5, 1 and 10: c is 2, which is a constant of the batch; 10 counts (100 + 4) / 4, and pulls with 10 / 2.
    prediction = maps([1.5, 1.0, 12.0]).requires_grad_()
    loss = BerHuLoss()(prediction, maps([1.0, 2.0, 2.0]), maps([1.0, 1.0, 1.0]) > 0)
    loss.backward()
    assert loss.item() == pytest.approx((0.5 + 1 + 26) / 3)
    assert prediction.grad.flatten().tolist() == pytest.approx([1 / 3, -1 / 3, 5 / 3])


def test_l1_by_hand():
    assert L1Loss()(maps([1.0, 5.0]), maps([2.0, 2.0]), ALL).item() == pytest.approx(2.0)


def test_laplace_nll_is_least_at_the_mean_absolute_error():
    """|ln ratio| = ln 2 and 0: the likelihood's best scale is their mean, ln(2) / 2."""
    prediction, truth = maps([2.0, 1.0]), maps([1.0, 1.0])
    best = math.log(math.log(2) / 2)
    values = [laplace_nll(torch.full((1, 1, 1, 2), best + s), prediction, truth, ALL).item() for s in (-0.1, 0, 0.1)]
    assert values[1] == pytest.approx(1 + best)
    assert values[1] < min(values[0], values[2])


def test_laplace_nll_does_not_move_the_depth():
    prediction = maps([2.0, 1.0]).requires_grad_()
    log_error = torch.zeros(1, 1, 1, 2, requires_grad=True)
    laplace_nll(log_error, prediction, maps([1.0, 1.0]), ALL).backward()
    assert prediction.grad is None
    assert log_error.grad is not None


def test_perceptual_loss_is_zero_on_the_truth_and_grows_with_the_error(perceptual):
    truth = torch.rand(1, 1, 64, 64) * 5 + 1
    mask = torch.ones_like(truth, dtype=torch.bool)
    assert perceptual(truth, truth, mask).item() == 0
    assert 0 < perceptual(truth + 0.1, truth, mask) < perceptual(truth + 1, truth, mask)


def test_perceptual_loss_equals_its_equation(perceptual):
    """The mean over three maps of the mean squared difference, from the network's own features."""
    prediction, truth = torch.rand(2, 1, 64, 64) * 9, torch.rand(2, 1, 64, 64) * 9
    mask = torch.rand(2, 1, 64, 64) > 0.3
    with torch.no_grad():
        ours, theirs = (perceptual.phi((d * mask / 10).repeat(1, 3, 1, 1)) for d in (prediction, truth))
    by_hand = np.mean([np.mean((a - b).numpy() ** 2) for a, b in zip(ours, theirs, strict=True)])
    assert perceptual(prediction, truth, mask).item() == pytest.approx(by_hand, rel=1e-5)


def test_the_papers_loss_network_compares_stem_layer1_and_layer2(tmp_path):
    from safetensors.torch import save_file
    from torchvision.models import resnet50

    path = tmp_path / "resnet50.safetensors"
    save_file(resnet50().state_dict(), path)
    loss = PerceptualLoss("resnet50", path).train()
    assert [tuple(m.shape[1:]) for m in loss.phi(torch.zeros(1, 3, 64, 96))] == [
        (64, 16, 24),
        (256, 16, 24),
        (512, 8, 12),
    ]
    assert not loss.training and not any(m.training for m in loss.modules())
    assert not any(p.requires_grad for p in loss.parameters())


def terms(perceptual):
    return {
        "silog": SILogLoss(),
        "root": SILogLoss(0.85, math.e, root=True),
        "gradient": GradientLoss(2),
        "edge": EdgeLoss(),
        "l1": L1Loss(),
        "berhu": BerHuLoss(),
        "perceptual": perceptual,
    }


@pytest.mark.parametrize("name", ["silog", "root", "gradient", "edge", "l1", "perceptual"])
def test_gradient_points_where_a_finite_difference_does(name, perceptual):
    loss = terms(perceptual)[name]
    generator = torch.Generator().manual_seed(3)
    truth = torch.rand(1, 1, 32, 32, generator=generator) * 4 + 1
    prediction = (truth * (1 + 0.3 * torch.randn(1, 1, 32, 32, generator=generator))).clamp(min=0.3).requires_grad_()
    mask = torch.rand(1, 1, 32, 32, generator=generator) > 0.2
    loss(prediction, truth, mask).backward()
    direction = prediction.grad / prediction.grad.norm()
    step = 2e-2
    with torch.no_grad():
        up, down = (loss(prediction + s * direction, truth, mask) for s in (step, -step))
    assert ((up - down) / (2 * step)).item() == pytest.approx(prediction.grad.norm().item(), rel=0.05)
    assert not prediction.grad[~mask].any() or name == "perceptual"


@pytest.mark.parametrize("name", ["silog", "root", "gradient", "edge", "l1", "berhu", "perceptual"])
def test_no_valid_pixel_gives_zero_and_a_finite_gradient(name, perceptual):
    prediction = torch.rand(2, 1, 32, 32).requires_grad_()
    value = terms(perceptual)[name](prediction, torch.zeros(2, 1, 32, 32), torch.zeros(2, 1, 32, 32, dtype=torch.bool))
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-7)
    assert torch.isfinite(prediction.grad).all()


@pytest.mark.parametrize("name", ["silog", "root", "gradient", "edge", "l1", "berhu", "perceptual"])
def test_computed_in_float32_under_mixed_precision(name, perceptual):
    loss = terms(perceptual)[name]
    truth = torch.rand(1, 1, 32, 32) * 4 + 1
    mask = torch.ones_like(truth, dtype=torch.bool)
    prediction = (truth * 1.01).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = loss(prediction, truth, mask)
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(loss(prediction.float(), truth, mask).item(), rel=1e-5)


def test_invalid_pixels_do_not_count():
    truth, mask = maps([2.0, 0.0]), torch.tensor([[[[True, False]]]])
    near, far = (L1Loss()(maps([3.0, x]), truth, mask).item() for x in (0.1, 9.0))
    assert near == far == 1.0


def test_total_is_the_weighted_sum_and_skips_terms_of_weight_zero():
    loss = DepthLoss(LossWeights(silog=1, perceptual=0, l1=0.25, error=0.1))
    depth, truth = maps([10.0, 1.0]), maps([1.0, 1.0])
    values = loss(depth, torch.zeros(1, 1, 1, 2), truth, ALL)
    assert set(values) == {"silog", "l1", "error", "loss"}
    assert values["loss"].item() == pytest.approx(0.375 + 0.25 * 4.5 + 0.1 * math.log(10) / 2)
