"""Table 4 at a tiny scale: every row's configuration, and a run that is stopped and gone on with."""

import json
from dataclasses import replace

import pytest

from training import compare
from training.compare import PAPER, Row, choose, comparison, main, rows
from training.lightning_cli import assemble

EVERY = rows((64, 96))
REPORT = {
    "parameters": 7.654, "gigamacs": 6.2, "milliseconds": 140.4,
    "AbsRel": 0.2, "RMSE": 0.7, "log10": 0.08, "delta1": 0.6, "delta2": 0.9, "delta3": 0.97,
}  # fmt: skip


@pytest.mark.parametrize("row", EVERY, ids=lambda row: row.name)
def test_every_row_is_a_configuration_that_differs_in_what_it_names(config, row, tmp_path):
    weights = config.parent / "encoder.safetensors"
    small = ("--model.loss.loss_network=mobilenetv3_small_050", f"--model.loss.loss_network_weights={weights}")
    changes = [*row.changes, *row.own_loss, *small, "--model.encoder_weights=random"]
    cli = assemble([f"--config={config}", f"--trainer.default_root_dir={tmp_path}", *changes])
    plain = assemble([f"--config={config}", f"--trainer.default_root_dir={tmp_path}"])
    names = [name for name, _ in cli.model.network.named_parameters()]
    assert (names == [name for name, _ in plain.model.network.named_parameters()]) == (row.name == PAPER)
    terms = {name for name, weight in vars(cli.model.loss.weights).items() if weight}
    if row.name == "DCNF":
        assert cli.model.network.training_loss is not None
    elif row.own_loss:
        assert terms and terms <= {"silog", "l1", "berhu", "perceptual"}
    else:
        assert terms == {"silog", "gradient", "error"}


def test_a_row_brings_the_one_whose_weights_it_goes_on_from():
    chosen = choose(EVERY, ["Eigen 2014", PAPER])
    assert [row.name for row in chosen] == ["Eigen 2014, coarse stack", "Eigen 2014", PAPER]
    with pytest.raises(ValueError, match="--only: found Egen, expected of Eigen 2014, coarse stack, Eigen 2014"):
        choose(EVERY, ["Egen"])


def test_folders_differ():
    assert len({row.folder for row in EVERY}) == len(EVERY)


def test_the_table_has_the_papers_figures_beside_ours():
    fast = next(row for row in EVERY if row.name == "FastDepth")
    table = comparison([fast, replace(fast, name="another", published=None)], [REPORT, REPORT]).splitlines()
    assert table[2] == (
        "| FastDepth | [8] | 7.65 | 6.20 | 140 | 0.200 (0.160) | 0.700 (0.604) | 0.080 (-) | 0.600 (0.771) "
        "| 0.900 (0.946) | 0.970 (0.986) |"
    )
    assert table[3] == "| another | [8] | 7.65 | 6.20 | 140 | 0.200 | 0.700 | 0.080 | 0.600 | 0.900 | 0.970 |"


@pytest.fixture
def short(monkeypatch):
    """Two rows, the second of which goes on from the first, on a network that learns in no time."""
    both = Row("first", ""), Row("then", "", ("--model.max_lr=1e-4",), after="first")
    monkeypatch.setattr(compare, "rows", lambda window: both)


def test_a_comparison_goes_on_where_it_was_stopped(config, short, tmp_path, monkeypatch, capsys):
    arguments = [f"--config={config}", f"--output={tmp_path}", "--frames=1", "--trainer.max_epochs=1"]
    main([*arguments, "--only", "first"])
    first = (tmp_path / "first" / "checkpoints" / "last.ckpt").stat().st_mtime_ns
    cost = json.loads((tmp_path / "first" / "cost.json").read_text())
    (tmp_path / "then").mkdir()
    main(arguments)
    assert (tmp_path / "first" / "checkpoints" / "last.ckpt").stat().st_mtime_ns == first
    assert json.loads((tmp_path / "first" / "cost.json").read_text()) == cost
    table = (tmp_path / "table.md").read_text()
    assert [line.split(" | ")[0] for line in table.splitlines()[2:]] == ["| first", "| then"]
    assert table in capsys.readouterr().out
    assert (tmp_path / "figure.png").is_file()
    begun = (tmp_path / "then" / "config.yaml").read_text()
    assert str(tmp_path / "first" / "checkpoints" / "last.ckpt") in begun
