"""The steady path allocates nothing as large as an image from frame to frame, but what its messages carry."""

import sys
import tracemalloc
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time

from mono_depth_ros.fusion import Prior
from mono_depth_ros.ros import outputs as topics
from mono_depth_ros.ros.anchors import AnchorInputs
from mono_depth_ros.ros.cameras import Cameras
from mono_depth_ros.ros.composer import Composer
from mono_depth_ros.ros.estimator import NodeEstimator
from mono_depth_ros.ros.frames import Tree
from mono_depth_ros.ros.images import Decoder
from mono_depth_ros.ros.intake import Arrival
from mono_depth_ros.ros.journal import Journal
from mono_depth_ros.ros.orientation import Orientation
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.ros.pipeline import Pipeline
from mono_depth_ros.ros.problems import Problems
from mono_depth_ros.ros.statistics import Statistics
from mono_depth_ros.ros.stream import Stream
from test.ros.harness import make_image, make_info
from test.ros.test_pipeline import host

SMALL = 64 << 10  # bytes; the smallest plane here, a mask of the image, has 307200


class Bench:
    """The node's pipeline with its own estimator; what it publishes is counted and thrown away, as rclpy does."""

    def __init__(self, sealed_checkpoint, wanted, **values):
        self.settings = Settings(checkpoint=str(sealed_checkpoint.path), input_size=(96, 128), device="cpu", **values)
        problems = Problems(print, print)
        self.cameras = Cameras("/camera_info", problems)
        self.statistics = Statistics()
        self.published = 0
        outputs = SimpleNamespace(wanted=lambda: wanted, publish=self.publish)
        estimator = NodeEstimator(self.settings, problems)
        composer = Composer(Orientation(host(), Tree(host()), attitude=False), problems)
        anchors = AnchorInputs(host(), self.settings, Prior(), Tree(host()), problems)
        pipeline = Pipeline(Decoder("/image", problems), self.cameras, estimator, anchors.correct, composer)
        self.stream = Stream(host(), lambda: self.settings, pipeline, outputs, Journal(self.statistics, problems))

    def publish(self, messages):
        """Bytes of what is made for the messages: arrays of Python, which take up to a sixteenth more than they hold.

        The cloud's are always the same.
        """
        self.published = sum(sys.getsizeof(messages[topic].data) for topic in (topics.DEPTH, topics.CONFIDENCE))

    def peak(self, encoding, info):
        """The most that is allocated at once while frames are processed, beyond what the messages carry."""
        frames = [make_image(Time(sec=second), 640, 480, encoding) for second in range(1, 16)]

        def process(some):
            for image in some:
                info.header = image.header
                self.cameras.receive(info)
                self.stream.process(Arrival(image, 0.0, None))

        process(frames[:5])
        tracemalloc.start()
        try:
            process(frames[5:])
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert self.statistics.counts()["published"] == 15
        return peak - self.published


DISTORTED = (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)


@pytest.mark.parametrize("encoding", ["rgb8", "mono8"])
@pytest.mark.parametrize("d", [(), DISTORTED], ids=["pinhole", "distorted"])
def test_depth_and_cloud_take_no_memory_but_their_own(sealed_checkpoint, encoding, d):
    wanted = frozenset((topics.DEPTH, topics.CAMERA_INFO, topics.POINTS, topics.CONFIDENCE))
    bench = Bench(sealed_checkpoint, wanted, points_confidence=True, min_confidence=0.1, max_depth=4.0)
    assert bench.peak(encoding, make_info(640, 480, 520.0, d)) < SMALL
    carried = 640 * 480 * (4 + 4)
    assert carried < bench.published < 1.07 * carried


def test_the_watch_sees_what_opencv_and_numpy_allocate():
    tracemalloc.start()
    try:
        kept = cv2.GaussianBlur(np.ones((480, 640), np.float32), (3, 3), 0)
        seen, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen >= kept.nbytes
