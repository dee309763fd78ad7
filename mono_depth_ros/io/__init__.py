"""Bytes to RGB and camera: raw encodings, JPEG and PNG, folders, videos, webcams and bags. Knows no ROS.

`parse_source` is the way in for all that has frames in order.
"""

import re
from pathlib import Path

from mono_depth_ros.io.errors import ImageError, SourceError
from mono_depth_ros.io.files import is_image, is_other_image
from mono_depth_ros.io.folder import FolderSource
from mono_depth_ros.io.frames import Frame, Source
from mono_depth_ros.io.video import VideoSource

__all__ = ["KINDS", "Frame", "ImageError", "Source", "SourceError", "parse_source"]

KINDS = "the number of a webcam, a video file, an image or a folder of images, or a rosbag2"


def parse_source(text: str, mixed_sizes: bool = False) -> Source:
    """The source that a text names: one of KINDS. Raises SourceError.

    Args:
        text: from the command line.
        mixed_sizes: let the images of a folder differ in size from each other, and from the source's camera.
    """
    if re.fullmatch(r"\d+", text):
        return VideoSource(int(text))
    path = Path(text).expanduser()
    if not path.exists():
        raise SourceError(f"source {text!r}: found no such file or folder, expected {KINDS}")
    if path.suffix in (".mcap", ".db3") or (path / "metadata.yaml").is_file():
        from mono_depth_ros.io.bag import BagSource  # rosbags: not among what the node needs

        return BagSource(path if path.is_dir() else path.parent)
    if path.is_dir() or (path.is_file() and (is_image(path) or is_other_image(path))):
        return FolderSource(path, mixed_sizes)
    return VideoSource(path)
