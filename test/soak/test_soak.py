"""The soak: a short one through real processes, and each verdict against records that break its promise."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("matplotlib")

from test.conftest import REPOSITORY
from test.soak.record import read
from test.soak.verdicts import judge, reference, thirds

SECOND = 10**9


def test_a_short_soak_keeps_every_promise_and_leaves_its_record(tmp_path):
    report = tmp_path / "page.md"
    report.write_text("<!-- soak -->\n<!-- /soak -->\n")
    folder = tmp_path / "soak"
    command = [
        sys.executable,
        "-m",
        "test.soak",
        "--minutes",
        "0.6",
        "--output",
        folder,
        "--report",
        report,
    ]
    environ = os.environ | {"ROS_DOMAIN_ID": str(1 + os.getpid() % 100)}
    done = subprocess.run(command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = json.loads((folder / "soak.json").read_text())["verdicts"]
    kept = {verdict["promise"]: verdict["kept"] for verdict in verdicts}
    assert len(kept) == 15 and False not in kept.values()
    assert kept["every frame received has one end"] and kept["depth flows again after each disturbance"]
    assert kept["the node ends with exit code 0 on SIGINT"] and kept["it leaves nothing in /dev/shm"]
    events = {line["event"] for line in read(folder / "record.jsonl") if line["kind"] == "event"}
    assert events - {"warm-up", "reset", "rest"}
    assert "BROKEN" not in report.read_text() and "| every frame received has one end |" in report.read_text()
    assert (tmp_path / "images" / "soak.png").stat().st_size > 10_000


def report(t, received, state="active", session=0, **counts):
    ends = {"published": received, "dropped": 0, "rejected": 0, "failed": 0, "lost": 0, "anchors": 40} | counts
    line = {"kind": "report", "t": t, "stamp": t * SECOND, "state": state, "publishers": 1, "session": session}
    return line | {"received": received} | ends


HELD = {"private": 200.0, "rss": 400.0, "threads": 20, "files": 22}
STEADY = 90  # seconds


def record(rounds=15, frames=30, bare=lambda number: 80.0, in_steady=lambda second: HELD, **held):
    """A flawless soak: a camera of 30 Hz, rounds of ten seconds, half of each calm; in the end a steady stretch.

    `held` is what is held in each round, `bare` with nothing configured, `in_steady` in each second of the end.
    """
    lines, sent = [], [SECOND * number // frames for number in range(1, (10 * rounds + STEADY) * frames + 1)]
    for number in range(rounds):
        start = 10 * number
        lines.append({"kind": "event", "t": start, "event": "lens", "what": "640x480", "ok": True})
        for t in range(start, start + 10):
            lines.append(report(t, frames * t))
            lines.append({"kind": "sample", "t": t, **HELD, **{name: of(number) for name, of in held.items()}})
        lines.append({"kind": "bare", "t": start + 5, "private": bare(number)})
        lines.append({"kind": "calm", "t": start + 9, "since": start + 5})
        lines.append({"kind": "depths", "t": start + 9, "stamps": sent[frames * start : frames * (start + 9)]})
    start, end = 10 * rounds, 10 * rounds + STEADY
    for t in range(start, end):
        lines += [report(t, frames * t), {"kind": "sample", "t": t, **HELD, **in_steady(t - start)}]
    lines.append({"kind": "steady", "t": end, "since": start})
    lines.append(report(end, frames * end, state="inactive", session=1))
    lines.append({"kind": "end", "t": end, "exit_code": 0, "left": [], "held_by_killed": [], "traceback": False})
    return lines, sent


def broken(lines, sent):
    return [verdict.promise for verdict in judge(lines, sent) if verdict.kept is False]


def test_a_flawless_record_breaks_no_promise():
    assert {verdict.kept for verdict in judge(*record())} == {True}


@pytest.mark.parametrize(
    ("held", "promise"),
    [
        ({"private": lambda number: 200 * 1.002**number}, "its own memory is flat, at work"),
        ({"bare": lambda number: 80 + 0.2 * number}, "its own memory is flat, cleaned up"),
        ({"rss": lambda number: 400 + 1.0 * number}, "resident memory is flat, at work"),
        ({"threads": lambda number: 20 + number // 5}, "threads are flat"),
        ({"files": lambda number: 22 + number}, "files are flat"),
    ],
)
def test_what_grows_is_found(held, promise):
    assert broken(*record(**held)) == [promise]


def test_what_grows_with_each_frame_is_found():
    lines, sent = record(in_steady=lambda second: {"private": 200.0 + 0.05 * second})
    assert broken(lines, sent) == ["its own memory is flat while frames flow"]


def test_what_grows_only_while_it_warms_up_is_flat():
    assert (
        broken(*record(private=lambda number: 150 if number < 2 else 200, threads=lambda number: 18 + min(number, 2)))
        == []
    )


def change(lines, kind, last=False, **facts):
    found = [line for line in lines if line["kind"] == kind]
    found[-1 if last else len(found) // 2].update(facts)


@pytest.mark.parametrize(
    ("kind", "last", "facts", "promise"),
    [
        ("report", True, {"published": 7199}, "every frame received has one end"),
        ("report", False, {"dropped": 3}, "every frame received has one end"),
        ("report", True, {"failed": 1, "published": 7199}, "the engine fails for no frame"),
        ("depths", False, {"stamps": [7]}, "every depth is of one frame that was sent"),
        ("depths", False, {"stamps": [SECOND, SECOND]}, "every depth is of one frame that was sent"),
        ("event", False, {"ok": False}, "every request is answered as it should be"),
        ("end", True, {"exit_code": -9}, "the node ends with exit code 0 on SIGINT"),
        ("end", True, {"traceback": True}, "the node ends with exit code 0 on SIGINT"),
        ("end", True, {"left": ["a", "b"], "held_by_killed": ["a"]}, "it leaves nothing in /dev/shm"),
    ],
)
def test_one_thing_that_is_wrong_is_found(kind, last, facts, promise):
    lines, sent = record()
    change(lines, kind, last, **facts)
    assert broken(lines, sent) == [promise]


def test_a_frame_that_is_lost_and_not_counted_is_found_and_a_counted_one_is_none():
    lines, sent = record()
    for line in lines:
        if line["kind"] == "report" and line["t"] > 70:
            line["received"], line["published"] = line["received"] - 5, line["published"] - 5
    assert broken(lines, sent) == ["every lost frame is counted"]
    for line in lines:
        if line["kind"] == "report" and line["t"] > 70:
            line["lost"] = 5
    assert broken(lines, sent) == []


def test_depth_that_stops_in_one_calm_part_is_found():
    lines, sent = record()
    for line in lines:
        if line["kind"] == "report" and 75 <= line["t"] < 80:
            line["dropped"], line["published"] = line["received"] - 75 * 30, 75 * 30
        elif line["kind"] == "report" and line["t"] >= 80:
            line["dropped"], line["published"] = 150, line["received"] - 150
    assert broken(lines, sent) == ["depth flows again after each disturbance"]


def test_sensors_that_stay_unused_are_found():
    lines, sent = record()
    for line in lines:
        if line["kind"] == "report" and line["t"] >= 150:
            line["anchors"] = 0
    assert broken(lines, sent) == ["sensors that are right again correct the depth"]


def test_a_soak_that_was_cut_off_is_judged_as_far_as_it_went(tmp_path):
    lines, sent = record(rounds=4)
    path = tmp_path / "record.jsonl"
    path.write_text("\n".join(map(json.dumps, lines[:-1])) + '\n{"kind": "sam')
    found = {verdict.promise: verdict.kept for verdict in judge(read(path), sent)}
    assert found["every frame received has one end"] is True
    assert found["its own memory is flat, at work"] is found["the node ends with exit code 0 on SIGINT"] is None


def test_the_thirds_are_medians_of_the_calm_ends():
    lines, _ = record(rounds=15, private=lambda number: 100 + number)
    assert reference(lines, "private") == [100 + number for number in range(15)]
    assert thirds([100 + number for number in range(16)]) == (105.5, 113.5)  # without the first 4: 104-107, 112-115
    assert thirds(list(range(12))) == (4, 10)
    assert thirds(list(range(11))) is None
