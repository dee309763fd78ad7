"""Training from the command line at small size: resuming after a kill, two processes, testing, sealing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from test.conftest import REPOSITORY
from test.training.conftest import EPOCHS


def command(*arguments, launcher=("-m", "training")):
    return [sys.executable, *launcher, *map(str, arguments)]


def environment():
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}


def run(*arguments, **options):
    done = subprocess.run(
        command(*arguments, **options), cwd=REPOSITORY, env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def weights(folder: Path):
    return torch.load(folder / "checkpoints/last.ckpt", map_location="cpu", weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def unbroken(config, tmp_path_factory):
    """The folder of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("unbroken")
    run("fit", f"--config={config}", f"--trainer.default_root_dir={folder}")
    return folder


def assert_same(a, b, tolerance=0.0):
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")


def test_a_run_leaves_logs_pictures_and_checkpoints(unbroken):
    assert len((unbroken / "metrics.csv").read_text().splitlines()) > EPOCHS
    assert list(unbroken.glob("events.out.tfevents.*"))
    assert len(list((unbroken / "predictions").glob("*.png"))) == EPOCHS
    assert {"last.ckpt", "best.ckpt"} <= {file.name for file in (unbroken / "checkpoints").iterdir()}


def test_it_learns(unbroken):
    rows = [line.split(",") for line in (unbroken / "metrics.csv").read_text().splitlines()]
    column = rows[0].index("val/AbsRel")
    values = [float(row[column]) for row in rows[1:] if row[column]]
    assert values[-1] < values[0]


def test_a_killed_run_resumes_to_the_unbroken_runs_weights(config, unbroken, tmp_path):
    process = subprocess.Popen(
        command("fit", f"--config={config}", f"--trainer.default_root_dir={tmp_path}"),
        cwd=REPOSITORY, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 240
        while not (tmp_path / "checkpoints/last.ckpt").exists() and time.monotonic() < deadline:
            assert process.poll() is None, "training ended before it wrote a checkpoint"
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert process.returncode == -signal.SIGKILL
    run("fit", f"--config={config}", f"--trainer.default_root_dir={tmp_path}", "--ckpt_path=last")
    assert_same(weights(tmp_path), weights(unbroken))


def test_two_processes_give_one_processs_result(config, tmp_path):
    """Two processes with two images each, against one that sums the gradients of two batches of two."""
    one, two = tmp_path / "one", tmp_path / "two"
    shared = ("fit", f"--config={config}")
    run(*shared, f"--trainer.default_root_dir={one}", "--data.batch_size=2", "--trainer.accumulate_grad_batches=2")
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "training")
    run(*shared, f"--trainer.default_root_dir={two}", "--trainer.strategy=ddp", "--trainer.devices=2",
        "--data.batch_size=4", launcher=torchrun)  # fmt: skip
    assert_same(weights(two), weights(one), tolerance=1e-4)


def test_test_prints_the_protocol_and_writes_every_image(config, unbroken):
    folder = unbroken / "tested"
    printed = run("test", f"--config={config}", f"--trainer.default_root_dir={folder}",
                  f"--ckpt_path={unbroken / 'checkpoints/last.ckpt'}")  # fmt: skip
    report = json.loads((folder / "test.json").read_text())
    assert "Eigen crop" in printed and report["images"] == len(report["per_image"]) == 12
    mean = np.mean([row["AbsRel"] for row in report["per_image"]])
    assert report["results"]["AbsRel"] == pytest.approx(mean)
    low, high = report["intervals"]["AbsRel"]
    assert low <= mean <= high
    assert (folder / "worst.png").is_file() and (folder / "reliability.png").is_file()


def test_a_test_by_two_processes_is_of_all_images(config, unbroken, tmp_path):
    arguments = ("test", f"--config={config}", f"--ckpt_path={unbroken / 'checkpoints/last.ckpt'}")
    run(*arguments, f"--trainer.default_root_dir={tmp_path / 'one'}")
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "training")
    run(*arguments, f"--trainer.default_root_dir={tmp_path / 'two'}", "--trainer.strategy=ddp", "--trainer.devices=2",
        launcher=torchrun)  # fmt: skip
    one, two = (json.loads((tmp_path / name / "test.json").read_text()) for name in ("one", "two"))
    assert two["images"] == len(two["per_image"]) == 12
    assert two["results"] == pytest.approx(one["results"], rel=1e-4)


def test_a_sealed_checkpoint_is_calibrated_and_tests_as_the_run_did(config, unbroken, tmp_path):
    sealed = tmp_path / "plane.safetensors"
    run("seal", f"--config={config}", f"--ckpt_path={unbroken / 'checkpoints/last.ckpt'}", f"--output={sealed}",
        "--licence=CC0-1.0")  # fmt: skip
    assert sealed.is_file() and sealed.with_suffix(".onnx").is_file()
    folder = tmp_path / "tested"
    run("test", f"--config={config}", f"--trainer.default_root_dir={folder}", f"--model.start={sealed}")
    results = json.loads((folder / "test.json").read_text())["results"]
    assert results["coverage90"] == pytest.approx(0.9, abs=0.02)
    from mono_depth_ros import checkpoint

    assert checkpoint.load(sealed).info.metrics["AbsRel"] == pytest.approx(results["AbsRel"], rel=2e-2)


def test_one_seed_moves_order_augmentation_dropout_and_weights(config):
    from training.lightning_cli import assemble

    weights = []
    for seed in (1, 2):
        cli = assemble([f"--config={config}", f"--seed_everything={seed}"])
        assert cli.datamodule.seed == cli.model.hparams["seed"] == seed
        weights.append(cli.model.network.depth_head[0].weight)
    assert not torch.equal(*weights)


def test_an_unknown_key_stops_the_run(config):
    done = subprocess.run(
        command("fit", f"--config={config}", "--model.max_lrr=1"), cwd=REPOSITORY, env=environment(),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0 and "max_lrr" in done.stderr


def test_testing_random_weights_is_refused(config, tmp_path):
    done = subprocess.run(
        command("test", f"--config={config}", f"--trainer.default_root_dir={tmp_path}"), cwd=REPOSITORY,
        env=environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0 and "--ckpt_path" in done.stderr
