"""The networks of other papers: what their blocks compute, against independent forms of the same."""

import torch
from torch.nn.functional import conv2d, scaled_dot_product_attention

from training.baselines.fcrn import up_convolution
from training.baselines.meter import HEAD_WIDTH, HEADS, Attention, MeterBlock


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
    block.local, block.back = torch.nn.Conv2d(8, 16, 1), torch.nn.Conv2d(16, 8, 1)  # nothing else reaches farther
    block.merge = torch.nn.Conv2d(16, 8, 1)
    changed = x.clone()
    changed[..., 1, 2] = 1.0
    with torch.inference_mode():
        touched = (block(changed) != block(x)).any(1)[0]
    rows, columns = touched.nonzero(as_tuple=True)
    assert set(rows.tolist()) == {1, 3} and set(columns.tolist()) == {0, 2, 4}
