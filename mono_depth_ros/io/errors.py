"""What cannot be read, and who hears of it."""

from mono_depth_ros.errors import MonoDepthError


class SourceError(MonoDepthError, ValueError):
    """A source that cannot be read; the text names it, says what was found and what was expected."""


class ImageError(SourceError):
    """One image, of a file or a message, that cannot be decoded."""


def raised(error: ImageError) -> None:
    """Raise it: who reads images and has no better use for a bad one stops at the first."""
    raise error
