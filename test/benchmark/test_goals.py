"""The goals: each figure worked out by hand, and what is open stays open."""

from dataclasses import replace

import pytest

from mono_depth_ros.benchmark.goals import goals
from mono_depth_ros.benchmark.on_gpu import ALONE, TO_CLOUD
from test.benchmark.runs import FACTS, duel, node, run, timing


def by_name(results):
    return {goal.what: goal for goal in goals(results)}


def find(results, part):
    (goal,) = (goal for goal in goals(results) if part in goal.what)
    return goal


def test_the_fastest_engine_is_compared_with_eager_at_480x640():
    goal = find(run(), "network at 480x640, best engine")
    assert (goal.found, goal.verdict) == (220 / 50, "missed")
    assert goal.note == "openvino cpu int8 against torch eager"


def test_the_rate_is_that_of_256x320_and_says_so():
    goal = find(run(), "network at 240x320")
    assert (goal.found, goal.verdict) == (80.0, "reached")
    assert "run at 256x320" in goal.note


def test_int8_is_compared_with_fp32_on_the_same_engine():
    goal = find(run(), "int8 against fp32")
    assert (goal.found, goal.verdict) == (2.0, "missed")


def test_without_an_int8_form_that_goal_is_open():
    results = run()
    goal = find(replace(results, timings=[t for t in results.timings if t.precision != "int8"]), "int8 against fp32")
    assert (goal.found, goal.verdict) == (None, "open")
    assert "no int8 form" in goal.note


def test_a_ratio_at_the_goal_is_reached_and_just_under_it_missed():
    results = run()
    exact = replace(results, timings=[*results.timings, timing("openvino cpu fp16", (480, 640), 44.0)])
    assert find(exact, "best engine").verdict == "reached"
    under = replace(results, timings=[*results.timings, timing("openvino cpu fp16", (480, 640), 44.01)])
    assert find(under, "best engine").verdict == "missed"


def test_peers_are_compared_with_ours_on_the_best_engine():
    results = run(duels=[duel("Depth Anything V2 Small", 1260, 630, 250, 70), duel("METER-XXS", 18, 3, 30, 12)])
    same, as_run = find(results, "Depth Anything V2 Small, same engine"), find(results, "Small in PyTorch")
    assert (same.found, same.verdict) == (9.0, "reached")
    assert (as_run.found, as_run.verdict) == (18.0, "missed")
    assert find(results, "METER").found == 1.5
    assert same.note == "518x686, ours at 512x672 on openvino cpu bf16"


def test_what_was_not_asked_for_is_open_and_says_how_to_measure_it():
    found = by_name(run())
    assert {goal.note for name, goal in found.items() if "against Depth" in name or "METER" in name} == {
        "not measured: --peers"
    }
    assert [goal.note for name, goal in found.items() if name.startswith("node")] == ["not measured: --node"]


def test_the_node_is_judged_by_its_own_figures():
    verdicts = {goal.what: goal.verdict for goal in goals(run(node=node(lost=2))) if goal.what.startswith("node")}
    assert verdicts == {
        "node: messages lost": "missed",
        "node: age at publish, p95 over p50": "reached",
        "node: growth of memory": "reached",
        "node: all but the network, p50 (ms)": "reached",
    }


def test_a_short_run_of_the_node_is_not_judged():
    found = [goal for goal in goals(run(node=node(seconds=60))) if goal.what.startswith("node")]
    assert {goal.verdict for goal in found} == {"open"}
    assert {goal.note for goal in found} == {"ran for 60 s, judged from 300 on"}


@pytest.mark.parametrize(
    ("gpu", "verdict", "note"),
    [("", "open", "no GPU was at hand"), ("NVIDIA H100 80GB HBM3", "reached", "on NVIDIA H100 80GB HBM3")],
)
def test_the_gpus_goal_needs_that_gpu(gpu, verdict, note):
    measured = [timing("torch cuda fp16", (480, 640), ms, name) for name, ms in ((ALONE, 0.9), (TO_CLOUD, 2.4))]
    results = replace(run(), facts=replace(FACTS, gpu=gpu), on_gpu=measured if gpu else [])
    for goal, found in ((find(results, "H100: network"), 0.9), (find(results, "H100: frame to cloud"), 2.4)):
        assert (goal.verdict, goal.note, goal.found) == (verdict, note, found if gpu else None)


def test_another_gpu_says_nothing_about_the_goal():
    engine = timing("torch cuda fp16", (480, 640), 0.9)
    results = run()
    results = replace(
        results, facts=replace(FACTS, gpu="NVIDIA T4"), timings=[*results.timings, engine],
        on_gpu=[replace(engine, network=ALONE)],
    )  # fmt: skip
    assert find(results, "H100: network").verdict == "open"
    assert find(results, "best engine").found == 220 / 50  # and it is no engine of the CPU
