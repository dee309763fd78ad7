"""Names of the topics that the node takes, and what they say of the image."""

import re
import sys

from rclpy.node import Node

from mono_depth_ros.io.topics import COMPRESSED, camera_info_beside

TAKEN_FOR = "the image is"  # in the diagnostics: rectified or raw, and why
# Transports of image_transport whose messages are not Image or CompressedImage of a picture.
_OTHER_TRANSPORTS = ("/compressedDepth", "/theora", "/zstd", "/ffmpeg", "/draco", "/cloudini")


def image_topic(node: Node, compressed: bool) -> tuple[str, bool]:
    """Full name of the image topic, and whether its images are compressed.

    With `compressed`, image/compressed follows a remapping of image, as image_transport's does. A remapping to
    .../compressed itself is understood. Raises ValueError for the topic of another transport.
    """
    name = node.resolve_topic_name("image")
    if name.endswith(_OTHER_TRANSPORTS):
        base, transport = name.rsplit("/", 1)
        raise ValueError(
            f"image: found {name}, a topic of the transport {transport}, expected {base} or {base}{COMPRESSED}"
        )
    if name.endswith(COMPRESSED):
        return name, True
    if not compressed:
        return name, False
    explicit = node.resolve_topic_name("image/compressed")
    if explicit != node.resolve_topic_name("image/compressed", only_expand=True):
        return explicit, True
    return name + COMPRESSED, True


def camera_info_topic(node: Node, image: str) -> str:
    """Full name of the camera_info topic: as it was remapped, else beside the image, as in image_transport.

    A remapping to the name that it has anyway is one, too, which only the command line tells.
    """
    name = node.resolve_topic_name("camera_info")
    is_remapped = name != node.resolve_topic_name("camera_info", only_expand=True)
    if is_remapped or any(re.fullmatch(r"([^/:]+:)?camera_info:=.+", word) for word in sys.argv):
        return name
    return camera_info_beside(image)
