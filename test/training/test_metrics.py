"""Metrics by hand, and against NumPy formulas."""

import numpy as np
import pytest
import torch

from training.metrics import MEANS, SUMS, DepthMetrics, ErrorMetrics, depth_edges, eigen_crop, intervals
from training.transforms import valid


def valid_pixels(truth):
    """As `EvaluationTransform` gives them."""
    return valid(truth, max_depth=10.0)


def batch(prediction, truth):
    p, y = (torch.tensor(a, dtype=torch.float32).view(1, 1, 1, -1) for a in (prediction, truth))
    return p, y, valid_pixels(y)


def test_by_hand():
    """Predictions 2, 2 for truths 1, 2: errors 1 and 0, relative 1 and 0, lg 2 and 0, ratios 2 and 1."""
    metrics = DepthMetrics()
    metrics.update(*batch([2, 2], [1, 2]))
    found = metrics.compute()
    assert found["AbsRel"] == pytest.approx(0.5)
    assert found["RMSE"] == pytest.approx(np.sqrt(0.5))
    assert found["log10"] == pytest.approx(np.log10(2) / 2)
    assert [found[f"delta{k}"] for k in (1, 2, 3)] == [0.5, 0.5, 0.5]


def test_frames_without_known_depth_give_no_figure_and_no_error():
    metrics = DepthMetrics()
    metrics.update(*batch([2, 2], [0, 0]))
    assert metrics.table().shape == (0, len(MEANS) + len(SUMS))
    assert all(np.isnan(value) for value in metrics.compute().values())


def test_mean_over_images_and_pooled_over_pixels_differ():
    """Image 1: errors 3, 3, 3, RMSE 3. Image 2: error 1, RMSE 1. Mean 2; pooled sqrt((27 + 1) / 4)."""
    metrics = DepthMetrics()
    metrics.update(*batch([4, 4, 4], [1, 1, 1]))
    metrics.update(*batch([2], [1]))
    found = metrics.compute()
    assert found["RMSE"] == pytest.approx(2)
    assert found["RMSE_pooled"] == pytest.approx(np.sqrt(28 / 4))


def test_protocol_clamps_predictions_and_masks_truth():
    metrics = DepthMetrics()
    metrics.update(*batch([50, 3, 3], [9, 0, 10]))
    assert metrics.compute()["RMSE"] == pytest.approx(1.0)


def test_what_a_network_of_a_longer_range_says_counts_beyond_10_m():
    """Truth 16 m, prediction 40 m: clamped to the network's 20 m, off by a quarter."""
    truth = torch.full((1, 1, 1, 1), 16.0)
    metrics = DepthMetrics(max_depth=20.0)
    metrics.update(2.5 * truth, truth, valid(truth, 20.0))
    assert metrics.compute()["AbsRel"] == pytest.approx(0.25)


def test_alignment_takes_out_each_images_scale_and_nothing_else():
    """Predictions twice and half the truth are wrong by their scale alone; 2, 2, 6 for 1, 1, 1 is not: 3 is left."""
    metrics = DepthMetrics()
    metrics.update(*batch([2, 4, 6], [1, 2, 3]))
    metrics.update(*batch([2, 4], [4, 8]))
    metrics.update(*batch([2, 2, 6], [1, 1, 1]))
    found = metrics.compute()
    assert found["AbsRel"] == pytest.approx((1 + 0.5 + 7 / 3) / 3)
    assert found["AbsRel_aligned"] == pytest.approx((0 + 0 + 2 / 3) / 3)
    assert found["RMSE_aligned"] == pytest.approx(np.sqrt(4 / 3) / 3)
    assert found["delta1_aligned"] == pytest.approx((1 + 1 + 2 / 3) / 3)


def steps(*columns):
    """A picture of 60x80, sampled at each pixel, of 2 m up to the first column named, then 20 % farther at each."""
    depth = torch.full((1, 1, 60, 80), 2.0)
    for column in columns:
        depth[..., column:] *= 1.2
    return depth


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        ((20, 60), 1.0),
        ((21, 59), 1.0),  # one sample beside
        ((23, 60), 0.5),
        ((20,), 2 / 3),  # all that is predicted is right, half of the true ones are found
        ((20, 40, 60), 0.8),  # two of three are right, all are found
        ((), 0.0),
    ],
)
def test_edges_by_hand(predicted, expected):
    truth = steps(20, 60)
    metrics = DepthMetrics()
    metrics.update(3 * steps(*predicted), truth, valid_pixels(truth))
    assert metrics.compute()["edge_F"] == pytest.approx(expected)


def test_a_step_of_14_percent_is_no_edge_and_unknown_pixels_have_none():
    depth = torch.full((60, 80), 2.0)
    depth[:, 40:] *= 1.14
    depth[30:] = 0
    assert not depth_edges(depth, valid_pixels(depth)).any()
    depth[:30, 60:] *= 1.16
    assert depth_edges(depth, valid_pixels(depth)).sum() == 30


def test_a_blurred_edge_counts_where_a_map_would_keep_it():
    """480x640 is sampled every 8 pixels: a step spread over 4 is found, one spread over 64 is not."""

    def ramp(width):
        return torch.linspace(-320, 319, 640).div(width).clamp(-0.5, 0.5).add(2.0).expand(1, 1, 480, 640)

    truth = ramp(0.01)
    for width, expected in ((4, 1.0), (64, 0.0)):
        metrics = DepthMetrics()
        metrics.update(ramp(width), truth, valid_pixels(truth))
        assert metrics.compute()["edge_F"] == expected


@pytest.mark.parametrize("make", [DepthMetrics, lambda: ErrorMetrics(every=1)])
def test_a_process_whose_frames_have_no_truth_gathers_with_the_others(make):
    """What several processes gather must be of one type and have as many columns, though one of them has no row."""
    nothing, something = torch.zeros(1, 1, 4, 4, dtype=torch.bool), torch.ones(1, 1, 4, 4, dtype=torch.bool)
    values = torch.full((1, 1, 4, 4), 2.0)
    found = []
    for mask in (nothing, something):
        metric = make()
        given = (values, values, mask) if isinstance(metric, DepthMetrics) else (values, values, values, values, mask)
        metric.update(*given)
        metric.sync(lambda tensor, group: [tensor], distributed_available=lambda: True)
        found.append([(state.dtype, state.shape[1:]) for state in metric.metric_state.values()])
    assert found[0] == found[1]


def test_an_image_without_truth_adds_nothing():
    metrics = DepthMetrics()
    metrics.update(*batch([1, 2], [0, 0]))
    metrics.update(*batch([1, 2], [1, 4]))
    assert len(metrics.table()) == 1


def test_eigen_crop_at_480x640():
    crop = eigen_crop(480, 640)
    assert crop.sum() == (471 - 45) * (601 - 41)
    assert crop[45, 41] and crop[470, 600] and not crop[44, 41] and not crop[471, 300] and not crop[100, 601]


def test_intervals_hold_the_mean_and_shrink_with_more_images():
    generator = torch.Generator().manual_seed(0)
    widths = []
    for images in (20, 320):
        metrics = DepthMetrics()
        for _ in range(images):
            truth = torch.rand(1, 1, 4, 4, generator=generator) * 5 + 1
            noise = 1 + 0.2 * torch.randn(1, 1, 1, 1, generator=generator)
            metrics.update(truth * noise, truth, valid_pixels(truth))
        found = intervals(metrics.table())
        assert found.keys() == metrics.compute().keys()
        low, high = found["AbsRel"]
        assert low < metrics.compute()["AbsRel"] < high
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.6)


def error_metrics(residual, scale):
    """Figures of one image whose predictions are off by exp(residual)."""
    metrics = ErrorMetrics(every=1)
    truth = torch.full_like(residual, 2.0)
    metrics.update(residual.abs(), scale, truth * residual.exp(), truth, torch.ones_like(truth, dtype=torch.bool))
    return metrics.compute()


@pytest.mark.parametrize(("scales", "expected"), [((1, 2, 3), 1.0), ((3, 2, 1), -1.0), ((2, 3, 1), -0.5)])
def test_images_are_ranked_by_their_predicted_error(scales, expected):
    """Images off by 10, 20 and 30 %. Ranks 2, 3, 1 of 1, 2, 3: 1 - 6 (1 + 1 + 4) / (3 * 8) = -0.5."""
    truth = torch.full((3, 1, 4, 4), 2.0)
    off = torch.tensor([1.1, 1.2, 1.3]).view(3, 1, 1, 1)
    scale = torch.tensor(scales).view(3, 1, 1, 1).expand_as(truth) / 10
    metrics = ErrorMetrics(every=1)
    metrics.update(off.log().expand_as(truth), scale, truth * off, truth, torch.ones_like(truth, dtype=torch.bool))
    assert metrics.compute()["error_rank"] == pytest.approx(expected)


def test_coverage_of_true_laplace_noise_is_its_probability():
    generator = np.random.default_rng(0)
    scale = generator.uniform(0.05, 0.3, (1, 1, 300, 400))
    residual, scale = torch.from_numpy(generator.laplace(0, scale)), torch.from_numpy(scale)
    found = error_metrics(residual, scale)
    assert found["coverage90"] == pytest.approx(0.9, abs=0.004)
    assert found["error_scale"] == pytest.approx(1, abs=0.02)


def test_an_overconfident_network_covers_less_and_says_by_how_much():
    """Half the true scale: 1 - exp(-ln(10) / 2) of the pixels are inside."""
    residual = torch.from_numpy(np.random.default_rng(0).laplace(0, 0.2, (1, 1, 300, 400)))
    found = error_metrics(residual, torch.full_like(residual, 0.1))
    assert found["coverage90"] == pytest.approx(1 - 10**-0.5, abs=0.005)
    assert found["error_scale"] == pytest.approx(2, rel=0.02)


def test_dropping_the_least_confident_fifth():
    """Relative errors 0.1 four times and 0.6 once, least certain there: 0.1 remains of a mean of 0.2."""
    residual = torch.tensor([1.1, 1.1, 1.6, 1.1, 1.1]).log().view(1, 1, 1, 5)
    scale = torch.tensor([0.1, 0.1, 0.5, 0.1, 0.1]).view(1, 1, 1, 5)
    assert error_metrics(residual, scale)["AbsRel_kept80"] == pytest.approx(0.5)
