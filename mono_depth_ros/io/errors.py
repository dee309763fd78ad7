"""What cannot be read, and who hears of it."""

from collections.abc import Iterator
from contextlib import contextmanager

from mono_depth_ros.errors import MonoDepthError


class SourceError(MonoDepthError, ValueError):
    """A source that cannot be read; the text names it, says what was found and what was expected."""


class ImageError(SourceError):
    """One image, of a file or a message, that cannot be decoded."""


@contextmanager
def naming(what: object) -> Iterator[None]:
    """Put what it is about before the text of an ImageError or OSError from within, and make it an ImageError."""
    try:
        yield
    except OSError as error:
        raise ImageError(f"{what}: {(error.strerror or str(error)).lower()}") from error
    except ImageError as error:
        raise ImageError(f"{what}: {error}") from error


def raised(error: ImageError) -> None:
    """Raise it: who reads images and has no better use for a bad one stops at the first."""
    raise error
