"""cv_bridge, used for those encodings in which it proves itself equal to the project's own decoder.

It cannot be trusted unseen: a build for NumPy 1 fails or kills the process under NumPy 2, PyPI has the one of ROS 1
under the same name, which decodes some encodings wrongly, and padding that is no multiple of a pixel skews its rows.
So a child process tries every encoding once, and padded or big-endian images are not given to it.
"""

import array
import os
import subprocess
import sys
from functools import lru_cache
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from rclpy.logging import get_logger
from sensor_msgs.msg import Image

from mono_depth_ros.ros import raw

_TRIAL_SECONDS = 30
_TRIAL_SIZE = (34, 50)  # height, width: more than one SIMD register wide


@lru_cache(maxsize=1)
def trusted_encodings() -> frozenset[str]:
    """Encodings that cv_bridge converts as raw.decode does; empty where it is absent or broken. Tried once, 1 s."""
    if find_spec("cv_bridge") is None:
        return frozenset()
    try:
        trial = subprocess.run(
            [sys.executable, "-m", __name__],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=_TRIAL_SECONDS,
            check=True,
        )
        trusted, fault = frozenset(trial.stdout.split()), "wrong in every encoding"
    except (subprocess.SubprocessError, OSError) as error:
        trusted, fault = frozenset(), str(error)
    if not trusted:
        get_logger(__package__).warning(f"cv_bridge does not work here: {fault}; the built-in decoder takes its place")
    return trusted


def converts(msg: Image) -> bool:
    """Whether a message that has passed raw.checked_encoding is left to cv_bridge; rgb8 needs no conversion."""
    plain = msg.step == raw.ENCODINGS[msg.encoding].row_bytes(msg.width) and not msg.is_bigendian
    return plain and msg.encoding != "rgb8" and msg.encoding in trusted_encodings()


def decode(msg: Image) -> NDArray[np.uint8]:
    """RGB picture (H, W, 3) uint8 by cv_bridge."""
    from cv_bridge import CvBridge

    return CvBridge().imgmsg_to_cv2(msg, "rgb8")


def _trial_message(name: str, encoding: raw.Encoding) -> Image:
    """A picture of noise."""
    height, width = _TRIAL_SIZE
    step = encoding.row_bytes(width)
    data = np.random.default_rng(0).integers(0, 256, int(height * encoding.planes) * step, np.uint8)
    return Image(height=height, width=width, encoding=name, step=step, data=array.array("B", data.tobytes()))


def _equal(name: str, encoding: raw.Encoding) -> bool:
    msg = _trial_message(name, encoding)
    try:
        return np.array_equal(decode(msg), raw.decode(msg))
    except Exception:  # whatever another package's failure looks like, the verdict on it is the same
        return False


if __name__ == "__main__":
    print(*(name for name, encoding in raw.ENCODINGS.items() if _equal(name, encoding)))
