"""cv_bridge is believed only where it gives the built-in decoder's result; what breaks it breaks nothing here."""

import array
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import Image

from mono_depth_ros.ros import bridge, raw
from mono_depth_ros.ros.images import decode_image

# Right for rgb8, bgr8 and mono8 (and leaves a file to show that it was asked), wrong for mono16, without the rest.
PARTLY_RIGHT = """
import numpy as np
from pathlib import Path
class CvBridge:
    def imgmsg_to_cv2(self, msg, desired_encoding):
        assert desired_encoding == "rgb8"
        Path(__file__).with_name("asked").write_text(msg.encoding)
        data = np.frombuffer(msg.data, np.uint8)
        if msg.encoding == "rgb8":
            return data.reshape(msg.height, msg.width, 3).copy()
        if msg.encoding == "bgr8":
            return np.ascontiguousarray(data.reshape(msg.height, msg.width, 3)[..., ::-1])
        if msg.encoding == "mono8":
            return np.repeat(data.reshape(msg.height, msg.width, 1), 3, axis=2)
        if msg.encoding == "mono16":
            return np.repeat(data.reshape(msg.height, -1, 1)[:, ::2], 3, axis=2)
        raise RuntimeError(f"Unrecognized image encoding [{msg.encoding}]")
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a cv_bridge of this source, for this process and its children; return its folder."""

    def do(source: str) -> Path:
        (tmp_path / "cv_bridge").mkdir()
        (tmp_path / "cv_bridge" / "__init__.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "cv_bridge", raising=False)
        bridge.trusted_encodings.cache_clear()
        return tmp_path / "cv_bridge"

    yield do
    sys.modules.pop("cv_bridge", None)
    bridge.trusted_encodings.cache_clear()
    importlib.invalidate_caches()


def noise(encoding: str, padding: int = 0, big_endian: bool = False) -> Image:
    step = raw.ENCODINGS[encoding].row_bytes(40) + padding
    data = np.random.default_rng(1).integers(0, 256, int(30 * raw.ENCODINGS[encoding].planes) * step, np.uint8)
    return Image(
        width=40,
        height=30,
        encoding=encoding,
        step=step,
        is_bigendian=int(big_endian),
        data=array.array("B", data.tobytes()),
    )


def test_only_equal_encodings_are_left_to_it(install):
    folder = install(PARTLY_RIGHT)
    assert bridge.trusted_encodings() == {"rgb8", "bgr8", "mono8"}
    (folder / "asked").unlink()
    for encoding in raw.ENCODINGS:
        msg = noise(encoding)
        assert np.array_equal(decode_image(msg), raw.decode(msg))
        assert (folder / "asked").exists() == (encoding in ("bgr8", "mono8"))
        (folder / "asked").unlink(missing_ok=True)


def test_what_it_would_misread_or_only_copy_is_not_given_to_it(install):
    folder = install(PARTLY_RIGHT)
    assert "bgr8" in bridge.trusted_encodings()
    (folder / "asked").unlink()
    decode_image(noise("bgr8", padding=4))
    decode_image(noise("bgr8", big_endian=True))
    decode_image(noise("rgb8"))  # is RGB as it comes
    assert not (folder / "asked").exists()


@pytest.mark.parametrize(
    "source",
    [
        "raise ImportError('numpy.core.multiarray failed to import')",
        "raise AttributeError('_ARRAY_API not found')",
        "import os; os.abort()",
        "import time; time.sleep(60)",
        "",
    ],
    ids=["no import", "no NumPy 2", "abort", "hang", "empty"],
)
def test_a_broken_one_is_replaced(install, source: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bridge, "_TRIAL_SECONDS", 5)
    install(source)
    assert bridge.trusted_encodings() == frozenset()
    msg = noise("bgr8")
    assert np.array_equal(decode_image(msg), raw.decode(msg))


def test_the_one_installed_here_agrees():
    if not bridge.trusted_encodings():
        pytest.skip("no cv_bridge that works is installed here")
    from cv_bridge import CvBridge

    common = {"bgr8", "rgba8", "bgra8", "mono8", "mono16", "yuv422", "yuv422_yuy2"}
    for encoding in common | {name for name in raw.ENCODINGS if name.startswith("bayer")}:
        msg = noise(encoding)
        assert np.array_equal(CvBridge().imgmsg_to_cv2(msg, "rgb8"), raw.decode(msg)), encoding
