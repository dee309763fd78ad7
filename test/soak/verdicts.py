"""What the record of a soak says about the node: one verdict for each promise."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median

from mono_depth_ros.ros.statistics import DROPPED, FAILED, LOST, PUBLISHED, RECEIVED, REJECTED
from test.soak.record import ANCHORS, BARE, CALM, DEPTHS, END, EVENT, REPORT, SAMPLE, STEADY, Line, of_kind

GROWTH = 0.01  # of memory after the warm-up
WARM_UP = 0.25  # share of the values
_FEWEST = 9  # values after it, three in each third
_LONG = 60  # seconds of calm, for memory
_SETTLED = 20  # seconds of calm, for sensors to be believed again
_IN_HAND = 2  # frames: one in work, one that waits
_IN_FLIGHT = 2  # frames at either end of a stretch: sent but not counted yet

Thirds = tuple[float, float]


@dataclass(frozen=True)
class Verdict:
    """A promise, what was found, and whether that keeps it; None where the soak was too short to tell."""

    promise: str
    found: str
    kept: bool | None


def judge(lines: list[Line], sent: Sequence[int]) -> list[Verdict]:
    """Verdicts on a record; `sent` are the stamps (ns) of all frames that the camera published."""
    return [
        _one_end_each(of_kind(lines, REPORT)),
        _lost_are_counted(of_kind(lines, REPORT), sent),
        _none_failed(of_kind(lines, REPORT)),
        _depths_are_of_frames(of_kind(lines, DEPTHS), sent),
        _frames_flow(lines),
        _sensors_correct(lines),
        _answers(of_kind(lines, EVENT)),
        _memory("its own memory is flat, cleaned up", [bare["private"] for bare in of_kind(lines, BARE)]),
        _memory("its own memory is flat, at work", reference(lines, "private")),
        _memory("its own memory is flat while frames flow", steady(lines, "private")),
        _memory("resident memory is flat, at work", reference(lines, "rss")),
        _flat(lines, "threads"),
        _flat(lines, "files"),
        *_end(of_kind(lines, END)),
    ]


def reference(lines: list[Line], name: str) -> list[float]:
    """What the node held at the end of each calm part: the median of the samples in its second half."""
    samples = of_kind(lines, SAMPLE)
    values = []
    for calm in of_kind(lines, CALM):
        middle = (calm["since"] + calm["t"]) / 2
        if found := [sample[name] for sample in samples if middle <= sample["t"] <= calm["t"]]:
            values.append(float(median(found)))
    return values


def steady(lines: list[Line], name: str) -> list[float]:
    """What the node held in the last, long stretch of calm; nothing where that was none."""
    stretches = [calm for calm in of_kind(lines, STEADY) if calm["t"] - calm["since"] >= _LONG]
    return [s[name] for calm in stretches for s in of_kind(lines, SAMPLE) if calm["since"] <= s["t"] <= calm["t"]]


def thirds(values: list[float]) -> Thirds | None:
    """Medians of the first and the last third after the warm-up; None for too few values."""
    warm = values[round(WARM_UP * len(values)) :]
    if len(warm) < _FEWEST:
        return None
    third = len(warm) // 3
    return median(warm[:third]), median(warm[-third:])


def _one_end_each(reports: list[Line]) -> Verdict:
    """Exact whenever the node is at rest; while it works, at most two frames are in hand."""
    worst_at_rest = worst_at_work = 0
    for report in reports:
        open_frames = report[RECEIVED] - sum(report[end] for end in (PUBLISHED, DROPPED, REJECTED, FAILED))
        if report["state"] == "active" or report["state"].endswith("ing"):  # deactivating: the last frame may go on
            worst_at_work = max(worst_at_work, open_frames, -open_frames)
        else:
            worst_at_rest = max(worst_at_rest, abs(open_frames))
    last = reports[-1]
    found = " + ".join(f"{last[name]} {name}" for name in (PUBLISHED, DROPPED, REJECTED, FAILED))
    kept = worst_at_rest == 0 and worst_at_work <= _IN_HAND
    return Verdict("every frame received has one end", f"{last[RECEIVED]} received = {found}", kept)


def _lost_are_counted(reports: list[Line], sent: Sequence[int]) -> Verdict:
    """Received and lost together are the frames sent, over each stretch in which nothing interrupts the stream."""
    missing, frames, stretches = 0, 0, 0
    for _, group in groupby(reports, key=lambda report: report["session"]):
        steady = [r for r in group if r["state"] == "active" and r["publishers"] == 1]
        # The first frame that is read opens the count, so the stretch begins with the report after it.
        flowing = [b for a, b in pairwise(steady) if b[RECEIVED] > a[RECEIVED]]
        if len(flowing) < 2:
            continue
        first, last = flowing[0], flowing[-1]
        published = sum(first["stamp"] < stamp <= last["stamp"] for stamp in sent)
        taken = sum(last[name] - first[name] for name in (RECEIVED, LOST))
        missing, frames, stretches = missing + abs(published - taken), frames + published, stretches + 1
    limit = _IN_FLIGHT * stretches
    found = (
        f"{missing} of the {frames} frames sent in {stretches} calm stretches not accounted for (up to {limit} "
        f"may be on their way); {reports[-1][LOST]} lost in all"
    )
    return Verdict("every lost frame is counted", found, missing <= limit)


def _none_failed(reports: list[Line]) -> Verdict:
    failed = reports[-1][FAILED]
    return Verdict("the engine fails for no frame", f"{failed} failed", failed == 0)


def _depths_are_of_frames(depths: list[Line], sent: Sequence[int]) -> Verdict:
    stamps = [stamp for line in depths for stamp in line["stamps"]]
    strangers, repeated = len(set(stamps) - set(sent)), len(stamps) - len(set(stamps))
    found = f"{len(stamps)} depth images: {strangers} of no frame that was sent, {repeated} twice"
    return Verdict("every depth is of one frame that was sent", found, bool(stamps) and strangers == repeated == 0)


def _frames_flow(lines: list[Line]) -> Verdict:
    """Depth comes in every calm part, whatever came before it."""
    reports, rates = of_kind(lines, REPORT), []
    for calm in of_kind(lines, CALM) + of_kind(lines, STEADY):
        within = [report for report in reports if calm["since"] <= report["t"] <= calm["t"]]
        if len(within) > 1:
            first, last = within[0], within[-1]
            rates.append((last[PUBLISHED] - first[PUBLISHED]) / ((last["stamp"] - first["stamp"]) / 1e9))
    promise = "depth flows again after each disturbance"
    if not rates:
        return Verdict(promise, "too short to tell", None)
    found = f"{median(rates):.1f} depth images a second in calm, {min(rates):.1f} in the worst round"
    return Verdict(promise, found, min(rates) > 0)


def _sensors_correct(lines: list[Line]) -> Verdict:
    """Anchors are used in the last stretch of calm, in which all sensors are right, whatever they said before."""
    promise = "sensors that are right again correct the depth"
    if not (used := steady_reports(lines)):
        return Verdict(promise, "too short to tell", None)
    share = sum(number > 0 for number in used) / len(used)
    return Verdict(
        promise, f"anchors in {share:.0%} of {len(used)} reports at the end, {median(used):g} each", share > 0
    )


def steady_reports(lines: list[Line]) -> list[int]:
    """Anchors in each report of the last, long stretch of calm; nothing where that was none."""
    stretches = [calm for calm in of_kind(lines, STEADY) if calm["t"] - calm["since"] >= _SETTLED]
    return [r[ANCHORS] for calm in stretches for r in of_kind(lines, REPORT) if calm["since"] <= r["t"] <= calm["t"]]


def _answers(events: list[Line]) -> Verdict:
    wrong = [event["what"] for event in events if not event["ok"]]
    found = f"{len(events)} events, {len(wrong)} answered wrongly" + "".join(f"; {what}" for what in wrong[:3])
    return Verdict("every request is answered as it should be", found, bool(events) and not wrong)


def _memory(promise: str, values: list[float]) -> Verdict:
    both = thirds(values)
    if both is None:
        return Verdict(promise, "too short to tell", None)
    growth = both[1] / both[0] - 1
    return Verdict(
        promise, f"{both[0]:.1f} to {both[1]:.1f} MiB, {growth:+.2%}; less than {GROWTH:.0%}", growth < GROWTH
    )


def _flat(lines: list[Line], name: str) -> Verdict:
    both = thirds(reference(lines, name))
    if both is None:
        return Verdict(f"{name} are flat", "too short to tell", None)
    # Less than one more: a file that was open for a moment counts for a part in the mean of a calm stretch.
    return Verdict(f"{name} are flat", f"{both[0]:g} to {both[1]:g}", both[1] < both[0] + 1)


def _end(ends: list[Line]) -> list[Verdict]:
    if not ends:
        return [Verdict("the node ends with exit code 0 on SIGINT", "the soak was cut off", None)]
    end = ends[-1]
    code, held = end["exit_code"], end["held_by_killed"]
    left = len(end["left"]) - len(held)
    others = f", {len(held)} more that killed processes held" if held else ""
    traceback = ", a traceback in its log" if end["traceback"] else ""
    return [
        Verdict(
            "the node ends with exit code 0 on SIGINT",
            f"exit code {code}{traceback}",
            code == 0 and not end["traceback"],
        ),
        Verdict("it leaves nothing in /dev/shm", f"{left} files left{others}", not left),
    ]
