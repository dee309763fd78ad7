"""The clip that ships as a source, beside those of `mono_depth_ros.io`."""

from pathlib import Path

from mono_depth_ros import io
from mono_depth_ros.io import Source

CLIP = "clip"
KINDS = f"{CLIP} (a real room, which ships), {io.KINDS}"

_FOLDER = Path(__file__).parent / CLIP


def parse_source(text: str) -> Source:
    """The source that a text names: one of KINDS. Raises SourceError."""
    return io.parse_source(str(_FOLDER) if text == CLIP else text)
