"""Where frames are: in ``data/`` of the checkout, or in the folder that MONO_DEPTH_DATA names in its place."""

import os
from pathlib import Path


def locate(path: str | os.PathLike[str]) -> Path:
    """The file or folder that a configuration means.

    Args:
        path: ``data/...`` lies in the folder that MONO_DEPTH_DATA names, where that is set; any other path is itself.

    Raises:
        FileNotFoundError: it is not there.
    """
    given, elsewhere = Path(path).expanduser(), os.environ.get("MONO_DEPTH_DATA")
    found = Path(elsewhere, *given.parts[1:]) if elsewhere and given.parts[:1] == ("data",) else given
    if not found.exists():
        raise FileNotFoundError(
            f"{found}: no such file or folder; docs/data.md says how to get and prepare a set. MONO_DEPTH_DATA "
            f"({elsewhere or 'not set'}) names the folder that stands for data/"
        )
    return found
