"""The network: sizes, parameter counts, operations, padding and gradients."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mono_depth_ros.network import SFF, DepthNetwork


def gigamacs(network: torch.nn.Module, height: int, width: int) -> float:
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, 3, height, width))
    return counter.get_total_flops() / 2e9


def parameters(network: torch.nn.Module) -> float:
    return sum(p.numel() for p in network.parameters()) / 1e6


@pytest.mark.parametrize(
    ("encoder", "decoder", "width", "millions", "gmacs"),
    [
        ("efficientnet_b2", "sunet", None, 7.65, 6.2),
        ("efficientnet_b2", "sunet", 64, 7.65, 25.0),
        ("tf_efficientnet_lite2", "sunet", None, 4.81, 5.5),
    ],
)
def test_size_and_cost_at_480x640(encoder, decoder, width, millions, gmacs):
    network = DepthNetwork(encoder, decoder, width)
    assert parameters(network) == pytest.approx(millions, rel=0.02)
    assert gigamacs(network, 480, 640) == pytest.approx(gmacs, rel=0.05)


def test_the_papers_encoder_has_7_2_million_parameters_and_its_channels():
    encoder = DepthNetwork("efficientnet_b2").encoder
    assert encoder.channels == [16, 24, 48, 120, 352]
    assert parameters(encoder) == pytest.approx(7.20, abs=0.01)


@pytest.mark.parametrize("decoder", ["sunet", "unet"])
@pytest.mark.parametrize("size", [(64, 96), (65, 97), (33, 240), (120, 161)])
def test_any_input_size_gives_depth_of_that_size(decoder, size):
    network = DepthNetwork("tf_efficientnet_lite2", decoder, error=True).eval()
    with torch.inference_mode():
        depth, log_error = network(torch.randn(2, 3, *size))
    assert depth.shape == log_error.shape == (2, 1, *size)
    assert ((depth > 0) & (depth < 10)).all()


def test_padding_repeats_the_border_and_is_cropped_back():
    network = DepthNetwork("tf_efficientnet_lite2").eval()
    image = torch.randn(1, 3, 60, 90)
    padded = torch.nn.functional.pad(image, (0, 6, 0, 4), mode="replicate")
    with torch.inference_mode():
        assert torch.equal(network(image)[0], network(padded)[0][..., :60, :90])


def test_sff_with_hand_set_weights():
    """With every kernel zero the attention is sigmoid(bias): equation 3 by hand."""
    sff = SFF(4).eval()
    for parameter in sff.parameters():
        parameter.data.zero_()
    sff.attention[2].bias.data = torch.tensor([0.0, torch.log(torch.tensor(3.0))])
    local, wide = torch.full((1, 4, 2, 2), 2.0), torch.full((1, 4, 2, 2), 8.0)
    assert torch.allclose(sff(local, wide), torch.full((1, 4, 2, 2), 0.5 * 2 + 0.75 * 8))


def test_error_head_cannot_cost_accuracy():
    """Its gradient reaches no weight that the depth depends on."""
    network = DepthNetwork("tf_efficientnet_lite2", error=True).train()
    network(torch.randn(2, 3, 64, 64))[1].sum().backward()
    touched = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert touched == {"error_head"}


def test_every_weight_of_the_depth_learns():
    network = DepthNetwork("efficientnet_b2").train()
    network(torch.randn(2, 3, 64, 64))[0].sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_unknown_names_list_the_valid_ones():
    with pytest.raises(ValueError, match="sunet, unet"):
        DepthNetwork("tf_efficientnet_lite2", decoder="sunnet")
    with pytest.raises(ValueError, match="efficientnet_b2"):
        DepthNetwork("efficientnet_b22")


def test_an_encoder_of_other_strides_is_refused():
    with pytest.raises(ValueError, match=r"expected \[2, 4, 8, 16, 32\]"):
        DepthNetwork("vit_tiny_patch16_224")


def test_any_timm_encoder_with_five_strides_works():
    network = DepthNetwork("mobilenetv3_small_050").eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 64, 64))[0].shape == (1, 1, 64, 64)
