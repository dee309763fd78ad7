"""Scale-invariant pre-training, then a metric stage, as the configurations have it."""

import pytest
import torch
import yaml

from test.conftest import REPOSITORY
from training.cli import main
from training.losses import DepthLoss, LossWeights

CONFIGS = REPOSITORY / "training/configs"


def layer(name: str) -> dict:
    return yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())


def loss_of(name: str) -> DepthLoss:
    ship, own = (found["model"].get("loss", {}) for found in (layer("ship"), layer(name)))
    options = ship | own
    return DepthLoss(**options | {"weights": LossWeights(**options["weights"])})


@pytest.mark.parametrize(("name", "sees_scale"), [("scale_invariant", False), ("metric", True)])
def test_only_the_second_stage_sees_the_scale_of_the_truth(name, sees_scale):
    generator = torch.Generator().manual_seed(0)
    depth, truth = (1 + torch.rand(2, 1, 32, 48, generator=generator) for _ in range(2))
    mask = torch.ones_like(truth, dtype=torch.bool)
    log_error = torch.zeros_like(truth)
    loss = loss_of(name)
    scales = torch.tensor([2.0, 0.5]).view(2, 1, 1, 1)  # of each image another
    plain, scaled = (loss(depth, log_error, factor * truth, mask)["loss"] for factor in (1, scales))
    assert (abs(float(scaled - plain)) > 0.1) == sees_scale


def test_the_second_stage_goes_on_from_the_first(config, tmp_path):
    folders = {}
    for name in ("scale_invariant", "metric"):
        found = layer(name)
        folders[name] = tmp_path / found["trainer"]["default_root_dir"]
        found["trainer"] = {"default_root_dir": str(folders[name]), "max_epochs": 1}
        found.pop("data", None)
        if start := found["model"].get("start"):
            assert start == f"{layer('scale_invariant')['trainer']['default_root_dir']}/checkpoints/last.ckpt"
            found["model"]["start"] = str(tmp_path / start)
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(found))
        main(["fit", f"--config={config}", f"--config={tmp_path / name}.yaml"])
    first, second = (
        torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for folder in folders.values()
    )
    assert first.keys() == second.keys()
    decoder = next(key for key in first if "decoder" in key and first[key].ndim == 4)
    assert 0 < (first[decoder] - second[decoder]).abs().mean() < 0.1 * first[decoder].abs().mean()
