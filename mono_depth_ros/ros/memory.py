"""Memory that nobody uses any more, back to the system."""

import ctypes
import gc


def give_back() -> None:
    """Collect what is garbage, and have glibc return the pages of all that is free; other C libraries keep theirs.

    By itself, glibc returns free memory only from the end of its heap: anything small that lives there keeps the rest.
    """
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
