"""cv_bridge, where a distribution has it, for encodings that the project's own decoder does not know.

It adds and does not replace: ours gives the same pictures and is faster, also writes into an array that is there.
"""

from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from mono_depth_ros.io.errors import ImageError


def is_installed() -> bool:
    """Whether there is a cv_bridge."""
    return find_spec("cv_bridge") is not None


def decode(msg: Image) -> NDArray[np.uint8]:
    """RGB picture (H, W, 3) uint8 by cv_bridge. Raises ImageError, whatever cv_bridge raises."""
    try:
        from cv_bridge import CvBridge

        return np.ascontiguousarray(CvBridge().imgmsg_to_cv2(msg, "rgb8"))
    except Exception as error:  # another package's, which has no promises
        text = f"encoding {msg.encoding!r} is not known here, and cv_bridge says {type(error).__name__}: {error}"
        raise ImageError(text) from error
