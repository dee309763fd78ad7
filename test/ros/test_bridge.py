"""cv_bridge adds the encodings that the project's decoder does not know, and agrees with it on the others."""

import array
import importlib
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from mono_depth_ros.io import raw
from mono_depth_ros.ros.images import Decoder, ImageError
from mono_depth_ros.ros.problems import Problems

# Knows an encoding that ours does not, and must never be asked for one that ours knows.
STANDS_IN = """
import numpy as np
class CvBridge:
    def imgmsg_to_cv2(self, msg, desired_encoding):
        assert desired_encoding == "rgb8"
        if msg.encoding == "yuv444":
            return np.full((msg.height, msg.width, 3), (1, 2, 3), np.uint8)
        raise RuntimeError(f"Unrecognized image encoding [{msg.encoding}]")
"""


def decode_image(msg: Image) -> NDArray[np.uint8]:
    return Decoder("/image", Problems(warn=print, error=print)).decode(msg)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a cv_bridge of this source for this process."""

    def do(source: str) -> None:
        (tmp_path / "cv_bridge").mkdir()
        (tmp_path / "cv_bridge" / "__init__.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "cv_bridge", raising=False)

    yield do
    sys.modules.pop("cv_bridge", None)
    importlib.invalidate_caches()


def noise(encoding: str) -> Image:
    """40x30 pixels."""
    layout = raw.ENCODINGS.get(encoding, raw.ENCODINGS["rgb8"])
    step = layout.row_bytes(40)
    data = np.random.default_rng(1).integers(0, 256, int(30 * layout.planes) * step, np.uint8)
    return Image(width=40, height=30, encoding=encoding, step=step, data=array.array("B", data.tobytes()))


def test_it_decodes_what_ours_does_not_know(install):
    with pytest.raises(ImageError, match="'yuv444' is unknown; expected one of"):
        decode_image(noise("yuv444"))
    install(STANDS_IN)
    assert (decode_image(noise("yuv444")) == (1, 2, 3)).all()
    with pytest.raises(ImageError, match=r"'yuv9'.*cv_bridge says RuntimeError: Unrecognized"):
        decode_image(noise("yuv9"))


def test_what_ours_knows_is_never_given_to_it(install):
    install("raise SystemError('a build for another NumPy')")
    for encoding in raw.ENCODINGS:
        msg = noise(encoding)
        np.testing.assert_array_equal(decode_image(msg), raw.decode(msg))


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1", "8UC3"])
def test_what_may_be_no_picture_is_never_given_to_it(install, encoding: str):
    """The package of that name on PyPI makes a picture of any depth image."""
    install(STANDS_IN.replace('"yuv444"', f'"{encoding}"'))
    with pytest.raises(ImageError, match=f"'{encoding}' is unknown"):
        decode_image(noise(encoding))


def test_a_broken_one_costs_the_frame_and_not_the_node(install):
    install("raise ImportError('numpy.core.multiarray failed to import')")
    with pytest.raises(ImageError, match="cv_bridge says ImportError: numpy.core"):
        decode_image(noise("yuv444"))


@pytest.mark.skipif(find_spec("cv_bridge") is None, reason="no cv_bridge is installed here")
def test_the_one_of_a_distribution_agrees_with_ours():
    from cv_bridge import CvBridge

    known = {"bgr8", "rgba8", "bgra8", "mono8", "mono16", "yuv422", "yuv422_yuy2"}
    for encoding in known | {name for name in raw.ENCODINGS if name.startswith("bayer")}:
        msg = noise(encoding)
        np.testing.assert_array_equal(CvBridge().imgmsg_to_cv2(msg, "rgb8"), raw.decode(msg), err_msg=encoding)
