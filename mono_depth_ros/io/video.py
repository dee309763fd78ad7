"""Frames of a webcam or a video file."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from mono_depth_ros.io.errors import SourceError
from mono_depth_ros.io.frames import RATE, Frame, calibration_or_guess


class VideoSource:
    """A webcam by number, or a video file; camera.yaml beside the file is its lens."""

    def __init__(self, device: int | Path) -> None:
        self._device = device
        self.is_live = isinstance(device, int)
        capture = self._opened()
        width, height = (round(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        rate, length = capture.get(cv2.CAP_PROP_FPS), round(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        capture.release()
        self.rate = rate if 1 <= rate <= 240 else RATE
        self.length = length if length > 0 else None
        folder = None if isinstance(device, int) else device.parent
        self.camera, self.remark = calibration_or_guess(folder, width, height)

    def _opened(self) -> cv2.VideoCapture:
        device = self._device
        capture = cv2.VideoCapture(device if isinstance(device, int) else str(device))
        if not capture.isOpened():
            what = f"webcam {device}" if self.is_live else f"video {device}"
            expected = "a camera at /dev/video with that number" if self.is_live else "a file that FFmpeg can decode"
            raise SourceError(f"{what}: found nothing that opens, expected {expected}")
        return capture

    def frames(self) -> Iterator[Frame]:
        """Read until the end of the file, or the camera is gone."""
        capture = self._opened()
        try:
            while True:
                read, bgr = capture.read()
                if not read:
                    return
                yield Frame(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8), None)
        finally:
            capture.release()

    def truth(self, index: int) -> None:
        """Nobody knows."""
        return None
