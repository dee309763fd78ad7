"""What the name of an image topic says of its images and of their camera_info."""

import re

COMPRESSED = "/compressed"
_RECTIFIED = {"rect", "rectify", "rectified", "undistorted", "undistort", "undist", "unwarped", "dewarped"}
_RAW = {"raw", "distorted"}
_NOT = {"not", "non", "no"}  # rectified


def camera_info_beside(image: str) -> str:
    """Topic of the camera_info that belongs to an image topic, by image_transport's rule."""
    return f"{image.removesuffix(COMPRESSED).rsplit('/', 1)[0]}/camera_info"


def looks_rectified(image: str) -> tuple[bool, str]:
    """Whether an image topic's name says that its images are rectified, and what in the name says so.

    The last word of the name that tells decides: /camera/rect/image is rectified, /rectified/image_raw is not.
    """
    for part in reversed(image.removesuffix(COMPRESSED).split("/")):
        words = set(re.split(r"[^a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", part).lower()))
        if words & _RECTIFIED and not words & _NOT:
            return True, f"{part!r} in its name"
        if words & (_RAW | _RECTIFIED):
            return False, f"{part!r} in its name"
    return False, "nothing in its name says rectified"
