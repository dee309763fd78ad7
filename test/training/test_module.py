"""The module's optimiser and regularisation."""

import pytest
import torch
from timm.layers import DropPath
from torch import nn

from mono_depth_ros.network import DepthNetwork
from training.baselines.eigen import Eigen
from training.losses import DepthLoss, LossWeights
from training.module import DepthModule, parameter_groups, set_drop_path


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return DepthNetwork("tf_efficientnet_lite0", error=True)


def test_biases_and_norms_have_no_weight_decay_and_every_weight_has_its_rate(network):
    groups = parameter_groups(network, encoder_lr=1e-4, lr=5e-4, weight_decay=0.05)
    found = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert len(found) == sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    for parent_name, parent in network.named_modules():
        for name, parameter in parent.named_parameters(recurse=False):
            rate = 1e-4 if parent_name.startswith("encoder.") else 5e-4
            plain = name == "bias" or isinstance(parent, nn.BatchNorm2d)
            assert found[id(parameter)] == (rate, 0.0 if plain else 0.05), f"{parent_name}.{name}"


def test_drop_path_grows_to_its_largest_and_adds_no_weights(network):
    names = network.state_dict().keys()
    set_drop_path(network.encoder, 0.2)
    shares = [m.drop_prob for m in network.modules() if isinstance(m, DropPath)]
    assert shares[0] == 0 and shares[-1] == pytest.approx(0.2) and shares == sorted(shares)
    assert network.state_dict().keys() == names
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert not torch.equal(network.train()(image)[0], network(image)[0])
        assert torch.equal(network.eval()(image)[0], network(image)[0])
    set_drop_path(network.encoder, 0.0)
    assert not [m for m in network.modules() if isinstance(m, DropPath)]


@pytest.mark.parametrize(
    ("network", "weights", "options"),
    [
        (None, {"silog": 1.0, "error": 0.1}, {}),
        (None, {"silog": 1.0, "error": 0.0}, {}),  # an error head that nothing trains
        (None, {"silog": 0.0, "error": 1.0}, {}),  # and one that is trained alone, as by error_head.yaml
        (None, {"silog": 0.0, "error": 1.0}, {"quantise_bits": 8}),
        (lambda: Eigen("coarse", (64, 96), (64, 96), 8), {"silog": 1.0}, {}),
        (lambda: Eigen("fine", (64, 96), (64, 96), 8), {"silog": 1.0}, {}),
    ],
)
def test_every_parameter_that_several_processes_wait_for_gets_a_gradient(network, weights, options):
    loss = DepthLoss(LossWeights(perceptual=0.0, **weights))
    module = DepthModule(
        loss, network and network(), encoder="mobilenetv3_small_050", width=8, error=True, **options
    ).train()
    image, truth = torch.randn(2, 3, 64, 96), 1 + torch.rand(2, 1, 64, 96)
    loss(*module(image), truth, truth > 0)["loss"].backward()
    awaited = {name for name, parameter in module.network.named_parameters() if parameter.requires_grad}
    given = {name for name, parameter in module.network.named_parameters() if parameter.grad is not None}
    assert awaited == given != set()
