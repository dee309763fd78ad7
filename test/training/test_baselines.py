"""The networks of other papers: sizes, parameters, learning, export, and what their blocks compute."""

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, interpolate, scaled_dot_product_attention

from mono_depth_ros.checkpoint import CheckpointInfo
from mono_depth_ros.export import to_onnx
from mono_depth_ros.network import DepthNetwork
from training.baselines import cost
from training.baselines.dcdn import DCDN
from training.baselines.eigen import Eigen
from training.baselines.fastdepth import FastDepth
from training.baselines.fcrn import FCRN, up_convolution
from training.baselines.jia import PyramidNetwork
from training.baselines.meter import HEAD_WIDTH, HEADS, Attention, Meter, MeterBlock
from training.baselines.two_scale import TwoScale
from training.losses import SILogLoss

# Small enough to learn in seconds, of the same layers as the papers'.
SMALL = {
    "Eigen, coarse": lambda: Eigen("coarse", (64, 64), (64, 64), 256),
    "Eigen, fine": lambda: Eigen("fine", (64, 64), (64, 64), 256),
    "two scales": TwoScale,
    "FCRN": lambda: FCRN("resnet18"),
    "light pyramid": lambda: PyramidNetwork("resnet18"),
    "MobileNet": lambda: DepthNetwork("mobilenetv1_100"),
    "FastDepth": FastDepth,
    "GLPDepth's width": lambda: DepthNetwork("mobilenetv3_small_050", width=64),
    "METER": Meter,
    "DCDN": lambda: DCDN("resnet18"),
}
RUN_BY_THE_NODE = ("two scales", "FCRN", "light pyramid", "MobileNet", "FastDepth", "GLPDepth's width", "DCDN")


def frames(number: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, 3, 64, 64) without detail, and depth (N, 1, 64, 64), from 1 to about 4 m, that their red tells."""
    rng = torch.Generator().manual_seed(0)
    image = interpolate(torch.randn(number, 3, 3, 3, generator=rng), (64, 64), mode="bicubic")
    return image, 1 + 3 * image[:, :1].sigmoid()


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("name", SMALL)
def test_it_overfits_eight_frames(name):
    network, (image, truth) = SMALL[name]().train(), frames()
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=2e-3)
    errors = []
    for _ in range(80):
        depth, _ = network(image)
        errors.append(float(((depth.detach() - truth).abs() / truth).mean()))
        if errors[-1] < errors[0] / 2:
            return
        optimizer.zero_grad()
        SILogLoss()(depth, truth, truth > 0).backward()
        optimizer.step()
    pytest.fail(f"AbsRel was {errors[0]:.3f} and is {errors[-1]:.3f}")


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [(64, 96), (70, 90)])
def test_depth_has_the_size_of_the_image_and_there_is_no_error_head(name, size):
    network = SMALL[name]().eval()
    with torch.inference_mode():
        depth, log_error = network(torch.randn(2, 3, *size))
    assert depth.shape == (2, 1, *size) and depth.isfinite().all() and log_error is None


@pytest.mark.parametrize(
    ("maker", "millions"), [(FCRN, 63.6), (FastDepth, 3.96), (Meter, 0.71)], ids=lambda value: str(value)[:24]
)
def test_it_has_as_many_parameters_as_published(maker, millions):
    assert cost.parameters(maker()) == pytest.approx(millions, rel=0.005)


@pytest.mark.parametrize("name", RUN_BY_THE_NODE)
def test_its_onnx_graph_gives_what_pytorch_gives(name):
    network, (image, _) = SMALL[name](), frames(4)
    network.train()(image)  # so that batch normalisation has statistics
    info = CheckpointInfo({}, (64, 96), 60.0, 10.0, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    assert to_onnx(network, info)  # which checks it, at other sizes


def test_eigens_stacks_are_trained_one_after_the_other():
    coarse, fine = (Eigen(stage, (64, 64), (64, 64), 64) for stage in ("coarse", "fine"))
    image, truth = frames(2)
    fine.load_state_dict(coarse.state_dict())
    for network, learning in ((coarse, ("convolutions", "connected")), (fine, ("fine",))):
        SILogLoss()(network.train()(image)[0], truth, truth > 0).backward()
        with_gradient = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
        assert with_gradient == set(learning)
    with torch.no_grad():  # Held still, the coarse stack drops nothing.
        assert torch.equal(fine.coarse(image), fine.eval().coarse(image))


def test_eigen_sees_the_window_in_the_middle_of_the_image():
    network, image = Eigen("coarse", (64, 96), (64, 96), 64).eval(), torch.randn(1, 3, 80, 128)
    with torch.inference_mode():
        whole, window = network(image)[0], network(image[..., 8:72, 16:112])[0]
        larger = network(image[..., 8:72, 16:112][..., 2:-2, 3:-3])[0]
    torch.testing.assert_close(whole[..., 8:72, 16:112], window)
    assert torch.equal(whole[..., :8, :], whole[..., 8:9, :].expand(-1, -1, 8, -1))
    assert larger.shape == (1, 1, 60, 90)


def test_what_convolutions_cost_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 1, groups=8, bias=False))
    assert cost.gigamacs(network, (8, 8)) == pytest.approx((8 * 4 * 4 * 27 + 8 * 4 * 4) / 1e9)
    assert cost.parameters(network) == pytest.approx((216 + 8 + 8) / 1e6)


def test_an_up_convolution_is_unpooling_and_a_convolution():
    up = up_convolution(3, 2).eval()
    x = torch.randn(1, 3, 4, 5)
    unpooled = torch.zeros(1, 3, 8, 10)
    unpooled[..., ::2, ::2] = x
    kernel = up[0].weight.flip(2, 3).transpose(0, 1)  # a transposed convolution's kernel is mirrored
    with torch.inference_mode():
        torch.testing.assert_close(up(x), up[1](conv2d(unpooled, kernel, padding=2)))


def test_meters_attention_is_attention():
    attention, x = Attention(64).eval(), torch.randn(2, 4, 6, 64)
    heads = attention.to_qkv(x).view(2, 4, 6, 3, HEADS, HEAD_WIDTH).permute(3, 0, 1, 4, 2, 5)
    mixed = scaled_dot_product_attention(*heads).permute(0, 1, 3, 2, 4).reshape(2, 4, 6, HEADS * HEAD_WIDTH)
    torch.testing.assert_close(attention(x), attention.out(mixed))


def test_meters_block_puts_every_pixel_back_where_it_was():
    block, x = MeterBlock(8, 16, 2).eval(), torch.randn(1, 8, 4, 6)
    for last in (block.attention[-1].out, block.perceptron[-1]):  # with these at zero, the transformer adds nothing
        last.weight.data.zero_()
        last.bias.data.zero_()
    with torch.inference_mode():
        expected = block.merge(torch.cat((block.back(block.local(x)), x), dim=1))
        torch.testing.assert_close(block(x), expected)


def test_meters_transformer_mixes_pixels_of_one_place_in_their_patches():
    block, x = MeterBlock(8, 16, 2).eval(), torch.zeros(1, 8, 4, 6)
    block.local, block.back = nn.Conv2d(8, 16, 1), nn.Conv2d(16, 8, 1)  # nothing else reaches farther
    block.merge = nn.Conv2d(16, 8, 1)
    changed = x.clone()
    changed[..., 1, 2] = 1.0
    with torch.inference_mode():
        touched = (block(changed) != block(x)).any(1)[0]
    rows, columns = touched.nonzero(as_tuple=True)
    assert set(rows.tolist()) == {1, 3} and set(columns.tolist()) == {0, 2, 4}
