"""What happens to one frame: decode, rectify, predict, compose, publish; or why it is not published."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from mono_depth_ros.prediction import Prediction, confidence
from mono_depth_ros.ros import statistics as stats
from mono_depth_ros.ros.cameras import Cameras
from mono_depth_ros.ros.composer import Composer, Result
from mono_depth_ros.ros.estimator import NodeEstimator
from mono_depth_ros.ros.gates import Gates
from mono_depth_ros.ros.images import AREA, Decoder, ImageError
from mono_depth_ros.ros.intake import Arrival
from mono_depth_ros.ros.outputs import CONFIDENCE, POINTS, Outputs
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.ros.problems import Problems


class _Dropped(Exception):
    """A good frame that is not worth publishing; the text says why."""


class Pipeline:
    """Processes frames one after the other, in the worker's thread. No frame's error ends it or leaks into the next."""

    def __init__(
        self,
        topic: str,
        settings: Callable[[], Settings],
        clock: Callable[[], int],
        cameras: Cameras,
        estimator: NodeEstimator,
        outputs: Outputs,
        statistics: stats.Statistics,
        problems: Problems,
    ) -> None:
        self._topic = topic
        self._settings, self._clock = settings, clock
        self._cameras, self._estimator, self._outputs = cameras, estimator, outputs
        self._statistics, self._problems = statistics, problems
        self._gates, self._composer = Gates(), Composer(problems)
        self._decoder = Decoder(topic, problems)
        self._rectified: NDArray[np.uint8] | None = None
        self._maps = np.empty((3, 0, 0), np.float32)

    def process(self, arrival: Arrival) -> None:
        """Publish what is wanted of one image, and count what became of it."""
        laps = stats.Laps(arrival.at)
        if arrival.transit is not None:
            laps.seconds[stats.RECEIVE] = arrival.transit
        laps.end(stats.WAIT)
        try:
            self._publish(arrival.message, self._settings(), laps)
        except _Dropped as reason:
            self._statistics.count(stats.DROPPED, str(reason))
        except ImageError as error:
            self._statistics.count(stats.REJECTED, "cannot be decoded")
            self._problems.error(AREA, "undecodable", f"{self._topic}: frame rejected: {error}")
        except Exception as error:  # whatever a backend throws must cost one frame, not the node
            self._statistics.count(stats.FAILED, type(error).__name__)
            text = f"{self._topic}: frame failed, no depth for it: {type(error).__name__}: {error}"
            self._problems.error("backend", "failed", text)

    def _publish(self, msg: Image | CompressedImage, settings: Settings, laps: stats.Laps) -> None:
        wanted = self._outputs.wanted()
        if not wanted:
            raise _Dropped("nobody subscribes")
        self._check_age(msg, settings)
        if self._cameras.are_awaited(settings.camera_info_timeout):
            raise _Dropped("camera_info is awaited")
        rgb = self._decoder.decode(msg, settings.image_bits)
        laps.end(stats.DECODE)
        height, width = rgb.shape[:2]
        view = self._cameras.view(msg.header.stamp, width, height, self._is_rectified(settings))
        laps.end(stats.CAMERA)
        if view.rectifier:
            rgb = self._rectified = view.rectifier.rectify(rgb, out=self._rectified)
            laps.end(stats.RECTIFY)
        wants_confidence = CONFIDENCE in wanted or (settings.points_confidence and POINTS in wanted)
        memory = self._memory(rgb.shape[:2], with_sigma=wants_confidence or settings.min_confidence > 0)
        prediction = self._estimator.predict(rgb, view.camera, memory)
        laps.end_measured(self._estimator.timings())
        farthest = min(settings.max_depth, self._estimator.farthest(rgb.shape, view.camera))
        seen = view.rectifier.valid_mask if view.rectifier else None
        self._gates.apply(prediction, settings.min_depth, farthest, settings.min_confidence, seen)
        sigma = prediction.sigma if wants_confidence else None
        sure = None if sigma is None else confidence(sigma, out=self._maps[2])
        result = Result(msg.header, rgb, prediction.depth, sure, view.camera, farthest)
        messages = self._composer.compose(result, settings, wanted)
        if not messages:
            raise _Dropped("nothing that is subscribed to can be made")
        age = self._check_age(msg, settings)
        laps.end(stats.PACK)
        self._outputs.publish(messages)
        laps.end(stats.PUBLISH)
        self._statistics.count(stats.PUBLISHED)
        self._statistics.sample_stages(laps)
        self._statistics.sample(stats.VALID, self._gates.valid_share(prediction.depth))
        if age is not None:
            self._statistics.sample(stats.AGE, age)

    def _memory(self, size: tuple[int, ...], with_sigma: bool) -> Prediction:
        """Where a prediction of this size goes, the same from frame to frame."""
        if self._maps.shape[1:] != size:
            self._maps = np.empty((3, *size), np.float32)
        return Prediction(self._maps[0], self._maps[1] if with_sigma else None)

    def _check_age(self, msg: Image | CompressedImage, settings: Settings) -> float | None:
        """Seconds since the stamp, or None while the clock does not run (sim time before the first /clock)."""
        now = self._clock()
        if now == 0:
            text = "use_sim_time is set but no time came on /clock: the age of images is unknown"
            self._problems.warn("latency", "no clock", text)
            return None
        stamp = msg.header.stamp
        age = (now - stamp.sec * 1_000_000_000 - stamp.nanosec) / 1e9
        if settings.max_age and age > settings.max_age:
            text = f"frame dropped {age:.3f} s after its stamp, expected within {settings.max_age} s (max_age)"
            self._problems.warn("latency", "too old", f"{self._topic}: {text}")
            raise _Dropped("older than max_age")
        return age

    def _is_rectified(self, settings: Settings) -> bool:
        """Whether the image is rectified already: as the settings say, else as its topic's own name says."""
        if settings.image_is != "auto":
            return settings.image_is == "rectified"
        name = self._topic.removesuffix("/compressed").rsplit("/", 1)[-1]
        return "rect" in name.split("_")
