"""The base of this package's errors: catch it, and you have caught them all."""


class MonoDepthError(Exception):
    """What went wrong, with what was found, what was expected and what to do about it."""
