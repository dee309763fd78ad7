"""The race: who takes part, whose turn it is, what is counted, and who fails by name."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark import backends, peers
from benchmark.race import Contender, race, timing, turn
from benchmark.results import Results
from mono_depth_ros.backends import BackendError
from mono_depth_ros.backends.machine import Machine
from test.benchmark.runs import FACTS

CPU = Machine(cpu="a CPU", cores=2, openvino=("FP32",), torch=True)


@dataclass(frozen=True)
class Diary(Contender):
    """Writes its name at every frame, and fails as ``network`` says."""

    path: Path

    def start(self):
        return self

    def infer(self, rgb, size):
        with self.path.open("a") as file:
            file.write(f"{self.backend}\n")
        if self.network == "fails":
            raise BackendError("out of luck")
        if self.network == "dies":
            os._exit(1)
        time.sleep(0.15)


def test_every_contender_has_its_turn_in_every_round(tmp_path):
    diary = tmp_path / "diary"
    first, second = (Diary("works", name, "cpu", "fp32", 32, 32, diary) for name in ("first", "second"))
    found = race([first, second], 2, "a race")
    # First a frame that makes ready. A turn is one frame that is not counted, then frames for 0.1 s: one of 150 ms.
    assert sorted(diary.read_text().split()[:2]) == ["first", "second"]
    assert diary.read_text().split()[2:] == 2 * ["first", "first", "second", "second"]
    assert [t.backend for t in found] == ["first", "second"]
    assert all(150 <= t.median <= t.p95 for t in found)


@pytest.mark.parametrize(("fault", "message"), [("fails", "out of luck"), ("dies", "its process has died")])
def test_a_contender_that_fails_in_its_turn_is_named(fault, message, tmp_path):
    with pytest.raises(BackendError, match=f"{fault} on torch cpu fp32: {message}"):
        race([Diary(fault, "torch", "cpu", "fp32", 32, 32, tmp_path / "diary")], 1, "a race")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, on which it can start")
def test_a_contender_that_cannot_start_is_named(sealed_checkpoint):
    broken = backends.Own("mono_depth_ros", "torch", "cuda", "fp16", 32, 32, sealed_checkpoint.path)
    with pytest.raises(BackendError, match="torch cuda fp16: torch on cuda in fp16 failed"):
        race([broken], 1, "a race")


def test_a_turn_is_a_tenth_of_a_second_after_a_frame_that_is_not_counted(monkeypatch):
    class Clock:
        now, frames = 0.0, [0.3, 0.0625, 0.03125, 0.0625, 9.0]

        def infer(self, rgb, size):
            self.now += self.frames.pop(0)

    clock = Clock()
    monkeypatch.setattr("benchmark.race.perf_counter", lambda: clock.now)
    times = turn(clock, np.zeros((1, 1, 3), np.uint8))
    assert times == pytest.approx([0.0625, 0.03125, 0.0625])


def test_median_and_95th_percentile(tmp_path):
    contender = Diary("works", "first", "cpu", "fp32", 32, 64, tmp_path)
    found = timing(contender, np.arange(101.0), 12.0)
    assert (found.median, found.p95, found.rate, found.memory) == (50.0, 95.0, 20.0, 12.0)
    assert (found.height, found.width) == (32, 64)


def test_each_backend_runs_and_is_compared_with_pytorch(sealed_checkpoint):
    results = Results(FACTS, 1, backends.measure(sealed_checkpoint, CPU, 1, [(64, 96)]))
    assert [(t.label, t.height, t.width) for t in results.timings] == [
        (name, 64, 96) for name in ("torch eager", "openvino cpu fp32", "torch cpu fp32", "opencv cpu fp32")
    ]
    for row in results.timings:
        assert 0 < row.median <= row.p95 and results.times_eager(row) > 0
        assert row.rate == pytest.approx(1e3 / row.median)
    eager, openvino, *_ = results.timings
    assert results.times_eager(eager) == 1
    assert 50 < openvino.memory < eager.memory  # each of its own process: one without PyTorch is smaller


def test_a_peer_runs_beside_ours_at_its_size(sealed_checkpoint):
    (duel,) = peers.measure(sealed_checkpoint, CPU, 1, [peers.FAST_DEPTH])
    assert duel.parameters == pytest.approx(3.96, abs=0.01)
    rows = (duel.eager, duel.openvino, duel.own_eager, duel.own_openvino)
    assert [(t.network, t.label) for t in rows] == [
        (name, label) for name in ("FastDepth", "mono_depth_ros") for label in ("torch eager", "openvino cpu fp32")
    ]
    assert {(t.height, t.width) for t in rows} == {(224, 224)}
    assert duel.same_backend == duel.openvino.median / duel.own_openvino.median


def test_an_int8_form_takes_part():
    class WithInt8:
        path = Path("weights.safetensors")

        class info:  # noqa: N801
            int8_sha256 = "of something"

    precisions = [(c.backend, c.precision) for c in backends.contenders(WithInt8, CPU, (32, 32))]
    assert ("openvino", "int8") in precisions
