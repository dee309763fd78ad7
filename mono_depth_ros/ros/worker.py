"""One thread that processes the newest frame: a frame that comes while another waits takes its place."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Frame = TypeVar("Frame")


class NewestFrameWorker(Generic[Frame]):
    """Calls `process` in its own thread, on one frame at a time, always the newest there is.

    At most one frame waits. Nothing disappears silently: `offer` and `stop` hand back the frame that will not be
    processed, for the caller to count. `process` handles its own errors; one that escapes it ends the thread.
    """

    def __init__(self, process: Callable[[Frame], None]) -> None:
        self._process = process
        self._changed = threading.Condition()
        self._waiting: Frame | None = None
        self._stopping = False
        self._busy_since: float | None = None
        # A daemon, so that a backend that hangs for ever cannot keep the process alive.
        self._thread = threading.Thread(target=self._run, name="newest_frame_worker", daemon=True)
        self._thread.start()

    def offer(self, frame: Frame) -> Frame | None:
        """Leave a frame to be processed; the frame it displaced comes back (the offered one itself after `stop`)."""
        with self._changed:
            if self._stopping:
                return frame
            displaced, self._waiting = self._waiting, frame
            self._changed.notify()
            return displaced

    def stop(self, limit: float | None = None) -> Frame | None:
        """End the thread after the frame in hand; the frame that waited comes back unprocessed.

        Waits for the frame in hand, `limit` seconds at most; `is_alive` says whether that was enough.
        """
        with self._changed:
            self._stopping = True
            waiting, self._waiting = self._waiting, None
            self._changed.notify()
        self._thread.join(limit)
        return waiting

    def is_alive(self) -> bool:
        """Whether the thread runs: it works, waits, or hangs in a frame."""
        return self._thread.is_alive()

    def busy_seconds(self) -> float:
        """How long the frame in hand has been worked on; 0 between frames."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def _run(self) -> None:
        while (frame := self._next()) is not None:
            self._busy_since = time.monotonic()
            self._process(frame)
            self._busy_since = None

    def _next(self) -> Frame | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._waiting is not None)
            frame, self._waiting = self._waiting, None
            return frame
