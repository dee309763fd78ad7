"""Problems are logged once in a while, and current as long as they keep coming."""

from mono_depth_ros.ros.problems import Problems


class Log:
    """Problems with a clock turned by hand and the lines they log."""

    def __init__(self):
        self.now = 0.0
        self.lines = []
        self.problems = Problems(
            warn=lambda text: self.lines.append(f"warn {text}"),
            error=lambda text: self.lines.append(f"error {text}"),
            period=5.0,
            memory=3.0,
            clock=lambda: self.now,
        )


def test_a_kind_is_logged_at_once_and_then_once_a_period_with_the_number_in_between():
    log = Log()
    for tick in range(11):
        log.now = tick / 2
        log.problems.error("image", "encoding", f"no such encoding {tick}")
    assert log.lines == [
        "error no such encoding 0",
        "error no such encoding 10 (9 more of these since the last such line)",
    ]


def test_kinds_do_not_silence_each_other():
    log = Log()
    log.problems.error("image", "encoding", "a")
    log.problems.error("image", "stamp", "b")
    log.problems.warn("camera_info", "encoding", "c")
    assert log.lines == ["error a", "error b", "warn c"]


def test_the_current_ones_of_an_area_come_worst_first_and_are_forgotten():
    log = Log()
    log.problems.warn("image", "size", "changed")
    log.problems.error("image", "encoding", "unknown")
    log.problems.error("engine", "failed", "elsewhere")
    assert log.problems.current("image") == [(True, "unknown"), (False, "changed")]
    log.now = 2.9
    log.problems.warn("image", "size", "changed again")
    log.now = 3.1
    assert log.problems.current("image") == [(False, "changed again")]


def test_what_stands_is_logged_once_and_stays_until_cleared():
    log = Log()
    log.problems.stand("node", "configure", "no checkpoint", is_error=True)
    log.now = 1e6
    assert log.problems.current("node") == [(True, "no checkpoint")]
    assert log.lines == ["error no checkpoint"]
    log.problems.clear("node", "configure")
    assert log.problems.current("node") == []
