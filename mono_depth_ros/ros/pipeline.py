"""The method, step by step: what becomes of one image."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from mono_depth_ros.camera import CameraModel
from mono_depth_ros.picture import flaw
from mono_depth_ros.prediction import Prediction, blinded, confidence, sigma_at
from mono_depth_ros.ros import statistics as stats
from mono_depth_ros.ros.cameras import Cameras
from mono_depth_ros.ros.composer import Composer, Result
from mono_depth_ros.ros.estimator import NodeEstimator
from mono_depth_ros.ros.gates import Gates
from mono_depth_ros.ros.images import Decoder, ImageError
from mono_depth_ros.ros.outputs import CONFIDENCE, POINTS
from mono_depth_ros.ros.parameters import Settings
from mono_depth_ros.ros.upright import predict_upright

# The prediction as other sensors correct it, from it and the image's header, camera, RGB, and where the lens sees.
Correction = Callable[[Prediction, Header, CameraModel, NDArray[np.uint8], NDArray[np.bool_] | None], Prediction]

_LEAST_REACH = 0.5  # metres; a lens by which the network sees no farther is not in pixels


class Dropped(Exception):
    """A good frame that is not worth publishing; the text says why."""


class Outcome(NamedTuple):
    """What was made of one image.

    messages: by topic, good until the next image. valid_share: of the pixels, whose depth is a number. flaw: why
    nothing can be seen in the picture; empty where something can.
    """

    messages: dict[str, Any]
    valid_share: float
    flaw: str


class Pipeline:
    """Makes messages of images, one after the other, in memory of its own."""

    def __init__(
        self,
        decoder: Decoder,
        cameras: Cameras,
        estimator: NodeEstimator,
        correct: Correction,
        composer: Composer,
    ) -> None:
        self.cameras, self._correct = cameras, correct
        self._decoder, self._estimator, self._composer = decoder, estimator, composer
        self._gates = Gates()
        self._rectified: NDArray[np.uint8] | None = None
        self._maps = np.empty((3, 0, 0), np.float32)

    def run(
        self,
        msg: Image | CompressedImage,
        is_rectified: bool,
        settings: Settings,
        wanted: Collection[str],
        laps: stats.Laps,
    ) -> Outcome:
        """The messages that are wanted of an image.

        Raises Dropped, ImageError for an image that cannot be decoded or does not hold the region of interest, and what
        the estimator raises.
        """
        # Bytes become RGB.
        laps.begin(stats.DECODE)
        rgb = self._decoder.decode(msg, settings.image_bits)
        size = rgb.shape[:2]

        # Metres need the camera.
        laps.begin(stats.CAMERA)
        timeout, lens = settings.camera_info_timeout, settings.assume_lens
        view = self.cameras.view(msg.header, (size[0], size[1]), is_rectified, timeout, lens)
        if view is None:
            raise Dropped("camera_info is awaited")
        if view.camera is None:
            raise Dropped("its camera is not known")

        # Rays need a pinhole.
        camera, seen, unseen = view.camera, None, ""
        if view.rectifier:
            laps.begin(stats.RECTIFY)
            unseen = flaw(rgb)  # of the picture itself: the black rim of a rectified one is no edge that was seen
            rgb = self._rectified = view.rectifier.rectify(rgb, out=self._rectified)
            seen = view.rectifier.valid_mask

        # A part of the image may be enough.
        if any(settings.roi):
            rgb, seen, camera = _cropped(rgb, seen, camera, settings.roi)
            size = rgb.shape[:2]
        header = Header(stamp=msg.header.stamp, frame_id=settings.frame_id or msg.header.frame_id)

        # The network says depth, and how sure it is.
        laps.begin(stats.NETWORK)
        wants_confidence = CONFIDENCE in wanted or (settings.points_confidence and POINTS in wanted)
        memory = self._memory(size, with_sigma=wants_confidence or settings.min_confidence > 0)
        prediction = predict_upright(self._estimator.predict, rgb, camera, memory, settings.image_rotation)
        prediction = blinded(prediction, unseen) if unseen else prediction
        laps.end_measured(self._estimator.timings())

        # What other sensors know corrects it. Of a picture that shows nothing, the network imagines a room.
        laps.begin(stats.FUSE)
        if prediction.flaw:
            prediction.depth.fill(np.nan)
        else:
            prediction = self._correct(prediction, header, camera, rgb, seen)

        # What is too near, too far, too unsure or out of the lens's sight is no depth.
        laps.begin(stats.PACK)
        reach = self._estimator.farthest(size, camera)
        farthest = min(settings.max_depth, reach)
        if short := _short_sight(
            camera, reach, settings.min_depth
        ):  # infinity would call free what is beyond so little
            prediction.depth.fill(np.nan)
        self._gates.apply(prediction, settings.min_depth, farthest, settings.min_confidence, seen)
        valid_share = self._gates.valid_share(prediction.depth)

        # Everybody gets it in the form that they subscribe to.
        sigma = prediction.sigma if wants_confidence else None
        result = Result(
            header=header,
            rgb=rgb,
            depth=prediction.depth,
            confidence=None if sigma is None else confidence(sigma, out=self._maps[2]),
            camera=camera,
            farthest=farthest,
            valid_share=valid_share,
            why_unknown=(short or _why_unknown(prediction, settings, seen)) if valid_share < 0.5 else "",
        )
        messages = self._composer.compose(result, settings, wanted)
        if not messages:
            raise Dropped("nothing that is subscribed to can be made")
        return Outcome(messages, valid_share, prediction.flaw)

    def _memory(self, size: tuple[int, ...], with_sigma: bool) -> Prediction:
        """Where a prediction of this size goes, the same from frame to frame."""
        if self._maps.shape[1:] != size:
            self._maps = np.empty((3, *size), np.float32)
        return Prediction(self._maps[0], self._maps[1] if with_sigma else None)


def _cropped(
    rgb: NDArray[np.uint8], seen: NDArray[np.bool_] | None, camera: CameraModel, roi: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None, CameraModel]:
    """The window x, y, width, height of an image, of where the lens sees, and of the camera. Raises ImageError."""
    x, y, width, height = roi
    try:
        camera = camera.cropped(x, y, width, height)
    except ValueError as error:
        raise ImageError(f"roi: {error}") from error
    window = np.s_[y : y + height, x : x + width]
    return np.ascontiguousarray(rgb[window]), None if seen is None else np.ascontiguousarray(seen[window]), camera


def _short_sight(camera: CameraModel, reach: float, min_depth: float) -> str:
    """Why nothing is known with a lens by which the network sees so near alone; empty for every other."""
    if reach > max(_LEAST_REACH, min_depth):
        return ""
    text = f"with fx = {camera.fx:g} px the network reaches {reach:.2g} m, min_depth is {min_depth:g} m"
    return f"{text}; is camera_info right?"


def _why_unknown(prediction: Prediction, settings: Settings, seen: NDArray[np.bool_] | None) -> str:
    """What the gates took most pixels for; empty where there is no evidence. For frames of which little is known."""
    if seen is not None and seen.mean() < 0.5:
        return f"the lens sees {100 * seen.mean():.0f} % of the rectified image"
    if prediction.flaw:
        return f"the picture is {prediction.flaw}"
    if settings.min_confidence and prediction.sigma is not None:
        unsure = float((prediction.sigma > sigma_at(settings.min_confidence)).mean())
        if unsure > 0.5:
            return f"the network is less sure than min_confidence ({settings.min_confidence:g}) of {100 * unsure:.0f} %"
    return ""
