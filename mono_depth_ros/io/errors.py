"""What cannot be read."""

from mono_depth_ros.errors import MonoDepthError


class SourceError(MonoDepthError, ValueError):
    """A source that cannot be read; the text names it, says what was found and what was expected."""


class ImageError(SourceError):
    """One image, of a file or a message, that cannot be decoded."""
