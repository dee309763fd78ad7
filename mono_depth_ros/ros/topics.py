"""Names of the topics that the node takes, and what they say of the image."""

import re

from rclpy.node import Node

_COMPRESSED = "/compressed"
# Transports of image_transport whose messages are not Image or CompressedImage of a picture.
_OTHER_TRANSPORTS = ("/compressedDepth", "/theora", "/zstd", "/ffmpeg", "/draco", "/cloudini")
_RECTIFIED = {"rect", "rectified", "undistorted", "undistort", "undist", "unwarped"}
_RAW = {"raw", "distorted"}


def image_topic(node: Node, compressed: bool) -> tuple[str, bool]:
    """Full name of the image topic, and whether its images are compressed.

    With `compressed`, image/compressed follows a remapping of image, as image_transport's does. A remapping to
    .../compressed itself is understood. Raises ValueError for the topic of another transport.
    """
    name = node.resolve_topic_name("image")
    if name.endswith(_OTHER_TRANSPORTS):
        base, transport = name.rsplit("/", 1)
        raise ValueError(
            f"image: found {name}, a topic of the transport {transport}, expected {base} or {base}{_COMPRESSED}"
        )
    if name.endswith(_COMPRESSED):
        return name, True
    if not compressed:
        return name, False
    explicit = node.resolve_topic_name("image/compressed")
    if explicit != node.resolve_topic_name("image/compressed", only_expand=True):
        return explicit, True
    return name + _COMPRESSED, True


def camera_info_topic(node: Node, image: str) -> str:
    """Full name of the camera_info topic: as it was remapped, else beside the image, as in image_transport."""
    name = node.resolve_topic_name("camera_info")
    if name != node.resolve_topic_name("camera_info", only_expand=True):
        return name
    return f"{image.removesuffix(_COMPRESSED).rsplit('/', 1)[0]}/camera_info"


def looks_rectified(image: str) -> tuple[bool, str]:
    """Whether an image topic's name says that its images are rectified, and what in the name says so.

    The last word of the name that tells decides: /camera/rect/image is rectified, /rectified/image_raw is not.
    """
    for part in reversed(image.removesuffix(_COMPRESSED).split("/")):
        words = set(re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", part).lower()))
        if words & _RECTIFIED:
            return True, f"{part!r} in its name"
        if words & _RAW:
            return False, f"{part!r} in its name"
    return False, "nothing in its name says rectified"
