"""What is wrong just now: each kind of problem logged once in a while, and kept for the diagnostics."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class _Problem:
    text: str
    is_error: bool
    seen: float
    logged: float
    unlogged: int = 0


class Problems:
    """Problems by area ("image", "camera_info", ...) and kind; thread-safe.

    A kind is logged when it first appears and then at most once per `period` seconds, with the number of times it came
    in between. It is current, for the diagnostics, until it has not come for `memory` seconds.
    """

    def __init__(
        self,
        warn: Callable[[str], object],
        error: Callable[[str], object],
        period: float = 5.0,
        memory: float = 3.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._warn, self._error = warn, error
        self._period, self._memory = period, memory
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], _Problem] = {}

    def warn(self, area: str, kind: str, text: str) -> None:
        """Report something the node copes with."""
        self._report(area, kind, text, is_error=False)

    def error(self, area: str, kind: str, text: str) -> None:
        """Report something that costs an output."""
        self._report(area, kind, text, is_error=True)

    def stand(self, area: str, kind: str, text: str, is_error: bool = False) -> None:
        """Report, once, something that stays as it is until `clear`."""
        self._report(area, kind, text, is_error, seen=math.inf)

    def clear(self, area: str, kind: str) -> None:
        """Forget a problem that has been solved."""
        with self._lock:
            self._known.pop((area, kind), None)

    def current(self, area: str) -> list[tuple[bool, str]]:
        """(is an error, text) of each problem of an area that came within the last `memory` seconds, worst first."""
        oldest = self._clock() - self._memory
        with self._lock:
            found = [(p.is_error, p.text) for (a, _), p in self._known.items() if a == area and p.seen >= oldest]
        return sorted(found, key=lambda problem: not problem[0])

    def _report(self, area: str, kind: str, text: str, is_error: bool, seen: float | None = None) -> None:
        now = self._clock()
        seen = now if seen is None else seen
        with self._lock:
            problem = self._known.get((area, kind))
            if problem and now - problem.logged < self._period:
                problem.text, problem.seen, problem.is_error = text, seen, is_error
                problem.unlogged += 1
                return
            repeated = problem.unlogged if problem else 0
            self._known[area, kind] = _Problem(text, is_error, seen, logged=now)
        line = f"{text} ({repeated} more of these since the last such line)" if repeated else text
        if is_error:
            self._error(line)
        else:
            self._warn(line)
