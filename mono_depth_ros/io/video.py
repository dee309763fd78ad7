"""Frames of a webcam or a video file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from mono_depth_ros.io.errors import ImageError, SourceError, raised
from mono_depth_ros.io.frames import Frame, Source, calibration_or_guess

# What a container says of its length may be off by so much: frames, and share.
_FEW, _SHARE = 2, 0.02


class VideoSource(Source):
    """A webcam by number, or a video file; camera.yaml beside the file is its lens."""

    def __init__(self, device: int | Path) -> None:
        self._device = device
        self._name = f"webcam {device}" if isinstance(device, int) else f"video {device}"
        self.is_live = isinstance(device, int)
        capture = self._opened()
        width, height = (round(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        rate, length = capture.get(cv2.CAP_PROP_FPS), round(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        capture.release()
        self.rate = rate if 1 <= rate <= 240 else self.rate
        self.length = length if length > 0 else None
        folder = None if isinstance(device, int) else device.parent
        self.camera, self.remark = calibration_or_guess(folder, width, height)

    def _opened(self) -> cv2.VideoCapture:
        device = self._device
        capture = cv2.VideoCapture(device if isinstance(device, int) else str(device))
        if not capture.isOpened():
            expected = "a camera at /dev/video with that number" if self.is_live else "a file that FFmpeg can decode"
            raise SourceError(f"{self._name}: found nothing that opens, expected {expected}")
        return capture

    def frames(self, bad: Callable[[ImageError], None] = raised) -> Iterator[Frame]:
        """Read until the end of the file, or the camera is gone; a file that ends too early is `bad`."""
        capture, number = self._opened(), 0
        try:
            while (image := capture.read())[0]:
                number += 1
                yield Frame(np.asarray(cv2.cvtColor(image[1], cv2.COLOR_BGR2RGB), np.uint8), None)
        finally:
            capture.release()
        if number == 0:
            raise SourceError(f"{self._name}: found no frame in it")
        if self.length and number < self.length - max(_FEW, _SHARE * self.length):
            bad(ImageError(f"{self._name}: ends after {number} of {self.length} frames: it is cut short or damaged"))
