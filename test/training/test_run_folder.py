"""A run's folder: what `fit`, a kill, going on and `test` leave in it, and that none of them takes from another."""

import csv
import fcntl
import json
import os
import re
import resource
import shutil
import signal
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import lightning.pytorch as pl
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from test.conftest import fuzz
from training import ablation, seal
from training.lightning_cli import assemble, run_lightning
from training.run_folder import (
    MetricsWriter,
    WholeCheckpointIO,
    checkpoint_to_fit_from,
    folder_of_test,
    refuse_other_configuration,
)

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS = 3  # of an epoch: twelve frames in batches of four


class StopAt(pl.Callback):
    """Ends the run before a step, as Ctrl-C does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: object, index: int) -> None:
        if trainer.global_step == self.step:
            raise KeyboardInterrupt


def fit(config: Path, folder: Path, *flags: str, stop_at: int | None = None) -> None:
    if stop_at is not None:
        callback = {"class_path": "test.training.test_run_folder.StopAt", "init_args": {"step": stop_at}}
        flags = (*flags, f"--trainer.callbacks={json.dumps([callback])}")
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            fit(config, folder, *flags)
    else:
        run_lightning(["fit", f"--config={config}", f"--trainer.default_root_dir={folder}", *flags])


def checkpoint(folder: Path, name: str) -> dict:
    return torch.load(folder / f"checkpoints/{name}.ckpt", map_location="cpu", weights_only=True)


def metrics(folder: Path) -> list[dict[str, str]]:
    with open(folder / "metrics.csv", newline="") as lines:
        return list(csv.DictReader(lines))


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def unbroken(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    fit(config, folder)
    return folder


def test_last_is_the_last_epoch_and_best_the_best(unbroken):
    errors = [float(row["val/RMSE"]) for row in metrics(unbroken) if row["val/RMSE"]]
    assert len(errors) == 3
    assert checkpoint(unbroken, "last")["epoch"] == 2 and checkpoint(unbroken, "last")["global_step"] == 3 * STEPS
    assert checkpoint(unbroken, "best")["epoch"] == errors.index(min(errors))


def test_last_is_written_in_every_epoch_validated_or_not(config, tmp_path):
    fit(config, tmp_path, "--trainer.check_val_every_n_epoch=2")
    assert checkpoint(tmp_path, "last")["epoch"] == 2
    assert checkpoint(tmp_path, "best")["epoch"] == 1


def test_a_stopped_run_goes_on_to_what_an_unbroken_one_leaves(config, unbroken, tmp_path):
    """Stopped in epochs 0 and 1: the first has left no checkpoint, so the run begins anew."""
    fit(config, tmp_path, stop_at=2)
    assert not (tmp_path / "checkpoints/last.ckpt").exists()
    fit(config, tmp_path, "--ckpt_path=last", stop_at=STEPS + 2)
    assert checkpoint(tmp_path, "last")["epoch"] == 0
    fit(config, tmp_path, "--ckpt_path=last")
    assert metrics(tmp_path) == metrics(unbroken)
    for name in ("last", "best"):
        found, expected = checkpoint(tmp_path, name), checkpoint(unbroken, name)
        assert found["epoch"] == expected["epoch"]
        assert all(torch.equal(found["state_dict"][key], value) for key, value in expected["state_dict"].items())
    assert {"config.yaml", "config_2.yaml"} <= content(tmp_path).keys()  # begun with a callback, ended without


def test_a_run_made_longer_ends_with_the_rate_of_the_longer_plan(config, unbroken, tmp_path):
    """One epoch, then three: the rest of the learning rate is planned anew, and does not end in mid-run."""
    fit(config, tmp_path, "--trainer.max_epochs=1")
    fit(config, tmp_path, "--ckpt_path=last")
    found, expected = (checkpoint(folder, "last") for folder in (tmp_path, unbroken))
    assert found["global_step"] == expected["global_step"] == 3 * STEPS
    rates = [[group["lr"] for group in state["optimizer_states"][0]["param_groups"]] for state in (found, expected)]
    assert rates[0] == pytest.approx(rates[1])


@pytest.mark.parametrize("batch", [2, 4, 12])
def test_a_run_gone_on_with_by_another_batch_ends_where_the_rate_does(config, tmp_path, batch):
    """One epoch of three steps, then two of 6, 3 or 1: the last step is the plan's last, and none is beyond it."""
    fit(config, tmp_path, "--trainer.max_epochs=1")
    fit(config, tmp_path, "--ckpt_path=last", f"--data.batch_size={batch}")
    state = checkpoint(tmp_path, "last")
    assert state["global_step"] == STEPS + 2 * (12 // batch)
    schedule = state["lr_schedulers"][0]
    assert schedule["last_epoch"] == schedule["total_steps"] == 3 * (12 // batch)


@pytest.mark.parametrize("flag", ["", "--ckpt_path=best", "--ckpt_path={other}"])
def test_a_folder_with_a_run_takes_no_other(config, unbroken, tmp_path, flag):
    (tmp_path / "other.ckpt").write_bytes((unbroken / "checkpoints/last.ckpt").read_bytes())
    before = content(unbroken)
    with pytest.raises(FileExistsError, match=r"has a run already.*--ckpt_path last.*default_root_dir"):
        fit(config, unbroken, *filter(None, [flag.format(other=tmp_path / "other.ckpt")]))
    assert content(unbroken) == before


def test_two_trainings_do_not_work_in_one_folder_at_once(config, unbroken):
    """A job that is started again while it still runs."""
    before = content(unbroken)
    other = os.open(unbroken, os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError, match="another training is at work in this folder"):
            fit(config, unbroken, "--ckpt_path=last", "--trainer.max_epochs=4")
    finally:
        os.close(other)
    assert content(unbroken) == before


@pytest.mark.parametrize("kept", ["checkpoints/best.ckpt", "metrics.csv"])
def test_a_run_whose_last_checkpoint_is_gone_is_not_begun_anew(config, unbroken, tmp_path, kept):
    (tmp_path / kept).parent.mkdir(exist_ok=True)
    (tmp_path / kept).write_bytes((unbroken / kept).read_bytes())
    before = content(tmp_path)
    with pytest.raises(FileExistsError, match=r"last.ckpt: it is not there, but the folder has more of a run"):
        fit(config, tmp_path, "--ckpt_path=last")
    assert content(tmp_path) == before


def test_a_checkpoint_that_leaves_nothing_to_train_is_refused(config, unbroken, tmp_path):
    with pytest.raises(ValueError, match=r"has ended 3 epochs of max_epochs \(2\): nothing is left to train"):
        fit(config, tmp_path, f"--ckpt_path={unbroken / 'checkpoints/last.ckpt'}", "--trainer.max_epochs=2")


@pytest.mark.parametrize(("frames", "judged"), [(12, 0), (1, 1)])
def test_a_test_of_hardly_anything_says_so(config, unbroken, tmp_path, frames, judged):
    """Frames without known depth give no figures, and are named; one image gives figures without intervals."""
    folder = tmp_path / "frames"
    shutil.copytree(config.parent, folder)
    if not judged:
        for file in (folder / "depth").iterdir():
            cv2.imwrite(str(file), np.zeros((128, 160), np.uint16))
    sets = [{"class_path": "RgbdFolder", "init_args": {"folder": str(folder), "rows": [[0, frames]], "metre": 1000}}]
    arguments = [
        f"--config={config}",
        f"--ckpt_path={unbroken / 'checkpoints/last.ckpt'}",
        f"--data.test={json.dumps(sets)}",
    ]
    if judged:
        run_lightning(["test", *arguments, f"--trainer.default_root_dir={tmp_path}"])
        report = json.loads((tmp_path / "test.json").read_text())
        assert (report["images"], report["intervals"]) == (1, {}) and report["results"]["AbsRel"] > 0
        return
    with pytest.raises(ValueError, match=r"data.test: no frame has known depth"):
        run_lightning(["test", *arguments, f"--trainer.default_root_dir={tmp_path}"])
    with pytest.raises(ValueError, match=r"data.test: no frame has known depth"):
        seal.main([*arguments, f"--output={tmp_path}/new.safetensors", "--licence=CC0-1.0"])
    assert not (tmp_path / "new.safetensors").exists()


def test_a_test_takes_nothing_from_the_run_nor_from_another_test(config, unbroken, capsys):
    before = content(unbroken)
    test = ["test", f"--config={config}", f"--trainer.default_root_dir={unbroken}"]
    run_lightning([*test, "--ckpt_path=best"])
    once = content(unbroken)
    run_lightning([*test, "--ckpt_path=last"])
    twice = content(unbroken)
    assert before.items() <= once.items() <= twice.items()
    new = {"test.json", "test.yaml", "worst.png", "reliability.png"}
    assert once.keys() - before.keys() == new
    assert twice.keys() - once.keys() == {f"test_2/{name}" for name in new}
    assert str(unbroken / "test_2") in capsys.readouterr().out


def test_a_test_needs_no_loss_network(config, tmp_path):
    weights = tmp_path / "loss_network.safetensors"
    weights.write_bytes((config.parent / "encoder.safetensors").read_bytes())
    loss = ["--model.loss.weights.perceptual=0.1", "--model.loss.loss_network=mobilenetv3_small_050",
            f"--model.loss.loss_network_weights={weights}"]  # fmt: skip
    fit(config, tmp_path / "run", "--trainer.max_epochs=1", *loss)
    weights.unlink()
    run_lightning(
        ["test", f"--config={config}", f"--trainer.default_root_dir={tmp_path / 'run'}", *loss, "--ckpt_path=last"]
    )
    assert (tmp_path / "run/test.json").is_file()


def test_a_full_disk_keeps_the_checkpoint_of_before(tmp_path):
    """A limit of 64 KiB a file stands for the disk."""
    path, state = tmp_path / "last.ckpt", {"weights": torch.zeros(10)}
    WholeCheckpointIO().save_checkpoint(state, path)
    before = path.read_bytes()
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    try:
        with pytest.raises(OSError, match=r"last.ckpt: could not be written; the one before it is kept"):
            WholeCheckpointIO().save_checkpoint({"weights": torch.rand(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert content(tmp_path) == {"last.ckpt": before}


def test_a_line_cut_by_a_kill_goes_and_new_columns_keep_the_rows(tmp_path):
    torch.save({"global_step": 2}, tmp_path / "last.ckpt")
    (tmp_path / "metrics.csv").write_text("loss,step\n0.5,0\n0.25,1\n0.1,2\n0.0")
    writer = MetricsWriter(str(tmp_path), str(tmp_path / "last.ckpt"))
    writer.log_metrics({"loss": 0.125, "val": 3}, 2)
    writer.save()
    assert (tmp_path / "metrics.csv").read_text().split() == ["loss,step,val", "0.5,0,", "0.25,1,", "0.125,2,3"]


@fuzz(100)
@given(st.integers(0, 30), st.integers(0, 12), st.booleans(), st.data())
def test_no_run_loses_a_row_by_a_kill(logged, checkpointed, header_changed, data):
    """A kill may cut the file at any byte after what the checkpoint has seen; going on leaves those rows alone."""
    columns = ["epoch", "loss", "step"] if header_changed else ["loss", "step"]
    lines = [
        ",".join(columns),
        *(",".join(str(1000 + step) for _ in columns[:-1]) + f",{step}" for step in range(logged)),
    ]
    text = "".join(f"{line}\n" for line in lines)
    kept = min(checkpointed, logged)
    start = len("".join(f"{line}\n" for line in lines[: kept + 1]))
    with TemporaryDirectory() as place:
        folder = Path(place)
        torch.save({"global_step": kept}, folder / "last.ckpt")
        (folder / "metrics.csv").write_text(text[: data.draw(st.integers(start, len(text)))])
        writer = MetricsWriter(place, str(folder / "last.ckpt"))
        writer.log_metrics({"loss": 5.0, "new": 1.0}, kept)
        writer.save()
        assert [int(row["step"]) for row in metrics(folder)] == list(range(kept + 1))


LAST, BEST = "checkpoints/last.ckpt", "checkpoints/best.ckpt"


@fuzz(200)
@given(
    st.sets(st.sampled_from([LAST, BEST, "config.yaml", "metrics.csv", "test.json", "test_2/test.json", "notes.txt"])),
    st.sampled_from([None, "last", "best", "elsewhere.ckpt"]),
)
def test_no_run_begins_where_one_is(files, name):
    """Whatever a folder holds: a run goes on from its last checkpoint, begins where none was, or is refused."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        for file in files:
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).touch()
        has_run = bool(files & {LAST, BEST, "config.yaml", "metrics.csv"})
        if name == "last" and (LAST in files or BEST not in files):
            assert checkpoint_to_fit_from(folder, name) == (str(folder / LAST) if LAST in files else None)
        elif has_run:
            with pytest.raises(FileExistsError):
                checkpoint_to_fit_from(folder, name)
        else:
            expected = {"best": str(folder / BEST)}.get(name, name)
            assert checkpoint_to_fit_from(folder, name) == expected
        assert not (folder_of_test(folder) / "test.json").exists()
        assert {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} == files


def test_an_explicit_flag_beats_the_checkpoint(config, unbroken):
    flags = [f"--config={config}", f"--ckpt_path={unbroken / 'checkpoints/last.ckpt'}", "--model.max_depth=7"]
    cli = run_lightning(["test", f"--trainer.default_root_dir={unbroken}", *flags])
    assert cli.model.network.max_depth == 7


@pytest.mark.parametrize(
    ("logger", "file"),
    [
        ("false", None),
        (
            '{"class_path": "CSVLogger", "init_args": {"save_dir": "%s/own", "name": "x"}}',
            "own/x/version_0/metrics.csv",
        ),
    ],
)
def test_the_logger_asked_for_is_the_logger(config, tmp_path, logger, file):
    fit(config, tmp_path / "run", "--trainer.max_epochs=1", f"--trainer.logger={logger.replace('%s', str(tmp_path))}")
    assert {"config.yaml", "checkpoints/last.ckpt", "checkpoints/best.ckpt"} <= content(tmp_path / "run").keys()
    assert not (tmp_path / "run/metrics.csv").exists()
    assert file is None or (tmp_path / file).is_file()


def test_a_later_configuration_replaces_the_sets_of_an_earlier_one(config, tmp_path):
    frames = yaml.safe_load(config.read_text())["data"]["train"][0]
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(
        json.dumps({"data": {"train": [{**frames, "init_args": {**frames["init_args"], "rows": [[0, 5]]}}]}})
    )
    second.write_text(json.dumps({"data": {"train": [frames]}}))
    data = assemble([f"--config={config}", f"--config={first}", f"--config={second}"]).datamodule
    assert len(data.sets["train"][0]) == 12
    assert data.batch_size == 4  # what the later ones do not name stays


def test_a_run_begins_by_saying_what_it_uses(config, unbroken, tmp_path, capsys):
    run_lightning(["validate", f"--config={config}", f"--trainer.default_root_dir={tmp_path}",
                   f"--ckpt_path={unbroken / 'checkpoints/best.ckpt'}"])  # fmt: skip
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("val"))
    assert "(12 frames)" in line and "100% of the pixels known" in line
    assert "128x160 px (height x width), f 130 px (63 degrees wide)" in line  # 2 atan(80 / 130)
    assert not tmp_path.joinpath("config.yaml").exists()


def test_an_ablation_takes_no_run_of_another_configuration(config, tmp_path):
    """One table, one configuration: what differs is named before anything is trained or written."""
    model = ["--model.decoder=unet", "--data.transform.cut_depth=0.0", "--model.loss.weights.perceptual=0.0"]
    fit(config, tmp_path / "model_1", "--trainer.max_epochs=1", *model)
    before = content(tmp_path)
    arguments = [f"--config={config}", f"--output={tmp_path}", "--perceptual=0", "--trainer.max_epochs=1"]
    with pytest.raises(ValueError, match=r"model_1/config.yaml: .*model.max_lr: found 0.001, now 0.002.*--output"):
        ablation.main([*arguments, "--model.max_lr=0.002"])
    assert content(tmp_path) == before
    refuse_other_configuration(tmp_path / "model_1", yaml.safe_load((tmp_path / "model_1/config.yaml").read_text()))


@pytest.mark.parametrize(
    ("flags", "there", "error"),
    [
        (["--data.transform.input_size=[100,130]"], None, "input_size: found .100, 130., expected .* multiples of 32"),
        (["--data.test=null"], None, "data: found no set of frames for test"),
        ([], "new.onnx", "new.onnx, expected a new NAME.safetensors"),
        ([], "new.int8.onnx", "new.int8.onnx, expected a new NAME.safetensors"),
    ],
)
def test_what_cannot_be_sealed_is_refused_before_anything_is_measured_or_written(
    config, tmp_path, capsys, flags, there, error
):
    if there:
        (tmp_path / there).write_bytes(b"another network's")
    before = content(tmp_path)
    arguments = [f"--config={config}", "--ckpt_path=not_read_yet.ckpt", f"--output={tmp_path}/new.safetensors"]
    with pytest.raises((ValueError, SystemExit)) as caught:
        seal.main([*arguments, "--licence=CC0-1.0", *flags])
    assert re.search(error, str(caught.value) + capsys.readouterr().err)
    assert content(tmp_path) == before
