"""Bytes to RGB and camera: raw encodings, JPEG and PNG, folders, videos, webcams and bags. Knows no ROS.

`parse_source` is the way in for all that has frames in order.
"""

import re
from pathlib import Path

from mono_depth_ros.io.errors import ImageError, SourceError
from mono_depth_ros.io.files import IMAGE_SUFFIXES
from mono_depth_ros.io.folder import FolderSource
from mono_depth_ros.io.frames import Frame, Source
from mono_depth_ros.io.video import VideoSource

__all__ = ["KINDS", "Frame", "ImageError", "Source", "SourceError", "parse_source"]

KINDS = "the number of a webcam, a video file, an image or a folder of images, or a rosbag2"


def parse_source(text: str) -> Source:
    """The source that a text names: one of KINDS. Raises SourceError."""
    if re.fullmatch(r"\d+", text):
        return VideoSource(int(text))
    path = Path(text).expanduser()
    if not path.exists():
        raise SourceError(f"source {text!r}: found no such file or folder, expected {KINDS}")
    if path.suffix in (".mcap", ".db3") or (path / "metadata.yaml").is_file():
        from mono_depth_ros.io.bag import BagSource  # rosbags: not among what the node needs

        return BagSource(path if path.is_dir() else path.parent)
    return FolderSource(path) if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES else VideoSource(path)
