"""The mean of checkpoints by hand, and from sealed and training checkpoints alike."""

import pytest
import torch

from mono_depth_ros.network import DepthNetwork
from training.average import main, mean
from training.module import read_network


def test_the_mean_by_hand():
    one, two = ({"weight": torch.tensor([a, 2.0]), "steps": torch.tensor(n)} for a, n in ((0.0, 3), (4.0, 5)))
    assert mean([one, two])["weight"].tolist() == [2, 2]
    assert mean([one, two], [1, 3])["weight"].tolist() == [3, 2]
    assert mean([one, two], [0.2, 0.6])["weight"].tolist() == pytest.approx([3, 2])
    assert mean([one, two])["steps"] == 3


def test_other_networks_and_other_shares_are_refused():
    one, two = {"weight": torch.zeros(2)}, {"weight": torch.zeros(3)}
    with pytest.raises(ValueError, match="different networks"):
        mean([one, two])
    for shares in ([1.0], [1.0, -1.0]):
        with pytest.raises(ValueError, match="shares: found .* expected 2"):
            mean([one, one], shares)


def test_a_sealed_and_a_training_checkpoint_average(sealed_checkpoint, tmp_path):
    sealed = read_network(str(sealed_checkpoint.path))
    network = DepthNetwork(**sealed_checkpoint.info.architecture)
    network.load_state_dict(sealed)
    shifted = {f"network.{k}": v + 1 if v.is_floating_point() else v for k, v in network.state_dict().items()}
    torch.save({"state_dict": {**shifted, "loss.other": torch.zeros(1)}}, tmp_path / "run.ckpt")
    output = tmp_path / "means/mean.ckpt"
    main([str(sealed_checkpoint.path), str(tmp_path / "run.ckpt"), "--shares", "3", "1", f"--output={output}"])
    found = read_network(str(output))
    assert found.keys() == sealed.keys() == network.state_dict().keys()
    for name, value in sealed.items():
        expected = value + 0.25 if value.is_floating_point() else value
        torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=1e-5)


def test_a_checkpoint_of_something_else_is_named(tmp_path):
    torch.save({"weights": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="other.ckpt: found no network in it"):
        read_network(str(tmp_path / "other.ckpt"))


@pytest.mark.parametrize("name", ["last.ckpt", "mean.txt"])
def test_no_file_is_overwritten(sealed_checkpoint, tmp_path, capsys, name):
    (tmp_path / "last.ckpt").write_bytes(b"a run's")
    with pytest.raises(SystemExit):
        main([str(sealed_checkpoint.path), f"--output={tmp_path / name}"])
    assert f"{name}, expected a new NAME.ckpt" in capsys.readouterr().err
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"a run's"]
