"""A calibration file by its URL, as camera drivers take it (camera_info_url)."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from mono_depth_ros.camera import CameraModel


def load(url: str) -> CameraModel:
    """The camera of a file that camera_calibration wrote: a path, file:///path or package://package/path.

    Raises ValueError, which names the file, for another scheme, a file that is not there or not a calibration.
    """
    parts = urlsplit(url)
    if parts.scheme == "package":
        path = _share_of(parts.netloc) / unquote(parts.path).lstrip("/")
    elif parts.scheme in ("", "file"):
        path = Path(unquote(parts.path)).expanduser()
    else:
        raise ValueError(f"camera_info_url: found {url!r}, expected a path, file:///path or package://package/path")
    try:
        return CameraModel.from_yaml(path)
    except OSError as error:
        raise ValueError(f"camera_info_url: {path} cannot be read: {error.strerror}") from error


def _share_of(package: str) -> Path:
    """The share folder of a ROS package."""
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    try:
        return Path(get_package_share_directory(package))
    except (PackageNotFoundError, LookupError, OSError, ValueError) as error:  # OSError: AMENT_PREFIX_PATH is not set
        raise ValueError(f"camera_info_url: the package {package!r} is not installed") from error
