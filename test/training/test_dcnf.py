"""DCNF: superpixels, pooling and the CRF's closed form, against forms worked out another way."""

import math

import numpy as np
import pytest
import torch

from training.baselines.dcnf import DCNF, Field, Superpixels, couplings, pool, superpixels

PAIR = Superpixels(torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0], [1]]), torch.tensor([[0.5, 1.0, 0.25]]))


def field(z, weights=(1.0, 2.0, 4.0)):
    z = torch.tensor(z)
    return Field(PAIR, z, couplings(PAIR, torch.tensor(weights), len(z)))


def energy(y, z, r):
    """The paper's: each part draws to its own z, and to its neighbour."""
    return ((y - z) ** 2).sum(-1) + r * (y[..., 0] - y[..., 1]) ** 2


def test_the_likeliest_depth_has_the_least_energy():
    found = field([0.2, 1.4])
    r = 0.5 + 2 * 1.0 + 4 * 0.25
    grid = torch.linspace(0, 1.6, 161)
    y = torch.cartesian_prod(grid, grid)
    best = y[energy(y, found.z, r).argmin()]
    torch.testing.assert_close(found.mean(), best, atol=0.006, rtol=0)


def test_the_likelihood_is_that_of_the_energy():
    found, y = field([0.2, 1.4]), torch.tensor([0.5, 0.9])
    grid = torch.linspace(-6, 8, 701, dtype=torch.float64)
    step = float(grid[1] - grid[0])
    whole = torch.exp(-energy(torch.cartesian_prod(grid, grid), found.z.double(), 3.5)).sum() * step**2
    expected = float(energy(y, found.z, 3.5)) + math.log(whole)
    assert found.negative_log_likelihood(y, torch.tensor([True, True])).item() == pytest.approx(expected / 2, rel=1e-4)


def test_a_part_without_truth_is_integrated_out():
    found, y = field([0.2, 1.4]), torch.tensor([0.5, 777.0])
    grid = torch.linspace(-6, 8, 1401, dtype=torch.float64)
    step = float(grid[1] - grid[0])
    z = found.z.double()
    there = torch.exp(-energy(torch.stack((torch.full_like(grid, 0.5), grid), 1), z, 3.5)).sum() * step
    whole = torch.exp(-energy(torch.cartesian_prod(grid[::2], grid[::2]), z, 3.5)).sum() * (2 * step) ** 2
    expected = -math.log(there / whole)
    assert found.negative_log_likelihood(y, torch.tensor([True, False])).item() == pytest.approx(expected, rel=1e-4)


def test_pooling_is_the_mean_of_the_maps_as_large_as_the_image():
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 5, (12, 18)))
    maps = torch.randn(7, 4, 6)
    large = maps.repeat_interleave(3, 1).repeat_interleave(3, 2)
    expected = torch.stack([large[:, labels == part].mean(1) for part in range(5)])
    torch.testing.assert_close(pool(maps, labels), expected)


def test_superpixels_keep_to_edges_and_unlike_neighbours_are_less_alike():
    rgb = np.zeros((48, 64, 3), np.float32)
    rgb[:, 32:] = (0.9, 0.2, 0.1)
    parts = superpixels(rgb, 24)
    left = set(parts.labels[:, :32].unique().tolist())
    assert left.isdisjoint(parts.labels[:, 32:].unique().tolist())
    across = [(p in left) != (q in left) for p, q in parts.pairs.T.tolist()]
    assert any(across) and not all(across)
    across = torch.tensor(across)
    assert parts.likeness[~across][:, :2].min() > 0.999 and parts.likeness[across][:, :2].max() < 0.8


@pytest.mark.parametrize("own_loss", [False, True])
def test_it_overfits_eight_frames(own_loss):
    torch.manual_seed(0)
    network = DCNF("mobilenetv3_small_050", segments=24, own_loss=own_loss).train()
    image = torch.randn(8, 3, 2, 2).repeat_interleave(32, 2).repeat_interleave(32, 3)
    truth, mask = 1 + 3 * image[:, :1].sigmoid(), torch.rand(8, 1, 64, 64) > 0.2
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    errors = []
    for _ in range(80):
        depth = network(image)[0]
        errors.append(float(((depth.detach() - truth).abs() / truth).mean()))
        if errors[-1] < errors[0] / 2:
            return
        optimizer.zero_grad()
        loss = network.training_loss(image, truth, mask) if own_loss else (depth.log() - truth.log()).square().mean()
        loss.backward()
        optimizer.step()
    pytest.fail(f"AbsRel was {errors[0]:.3f} and is {errors[-1]:.3f}")


def test_an_image_without_truth_costs_nothing():
    network = DCNF("mobilenetv3_small_050", segments=24, own_loss=True).eval()
    image, truth = torch.randn(2, 3, 64, 64), torch.full((2, 1, 64, 64), 2.0)
    nothing = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    alone = network.training_loss(image[:1], truth[:1], ~nothing)
    torch.testing.assert_close(network.training_loss(image, truth, torch.cat((~nothing, nothing))), alone)
    assert network.training_loss(image, truth, torch.cat((nothing, nothing))).item() == 0
