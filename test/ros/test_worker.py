"""The worker processes the newest frame, one at a time, and gives account of every other."""

import threading
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from mono_depth_ros.ros.worker import NewestFrameWorker

TIMEOUT = 10


def test_frames_that_wait_are_displaced_by_newer_ones():
    started, go_on, processed = threading.Event(), threading.Event(), []

    def process(frame):
        processed.append(frame)
        started.set()
        assert go_on.wait(TIMEOUT)

    worker = NewestFrameWorker(process)
    assert worker.offer(1) is None
    assert started.wait(TIMEOUT)
    assert worker.offer(2) is None
    assert worker.offer(3) == 2
    assert worker.offer(4) == 3
    go_on.set()
    while len(processed) < 2:
        time.sleep(0.001)
    assert worker.stop() is None
    assert processed == [1, 4]


def test_stopping_finishes_the_frame_in_hand_and_returns_the_one_that_waits():
    started, go_on, finished = threading.Event(), threading.Event(), []

    def process(frame):
        started.set()
        assert go_on.wait(TIMEOUT)
        finished.append(frame)

    worker = NewestFrameWorker(process)
    worker.offer("in hand")
    assert started.wait(TIMEOUT)
    worker.offer("waiting")
    threading.Timer(0.05, go_on.set).start()
    assert worker.stop() == "waiting"
    assert finished == ["in hand"]
    assert worker.offer("too late") == "too late"


def test_it_says_how_long_the_frame_in_hand_takes():
    started, go_on = threading.Event(), threading.Event()

    def process(frame):
        started.set()
        go_on.wait(TIMEOUT)

    worker = NewestFrameWorker(process)
    assert worker.busy_seconds() == 0
    worker.offer(1)
    assert started.wait(TIMEOUT)
    time.sleep(0.02)
    assert worker.busy_seconds() >= 0.02
    go_on.set()
    worker.stop()
    assert worker.busy_seconds() == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([0, 0, 0.0002, 0.001]), max_size=40), st.sampled_from([0, 0.0005]))
def test_every_frame_is_processed_or_handed_back_once_and_in_order(pauses, work):
    processed, handed_back = [], []

    def process(frame):
        processed.append(frame)
        time.sleep(work)

    worker = NewestFrameWorker(process)
    for frame, pause in enumerate(pauses):
        if (displaced := worker.offer(frame)) is not None:
            handed_back.append(displaced)
        time.sleep(pause)
    if (waiting := worker.stop()) is not None:
        handed_back.append(waiting)
    assert sorted(processed + handed_back) == list(range(len(pauses)))
    assert processed == sorted(processed)
