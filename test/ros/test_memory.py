"""Memory that is free goes back to the system, also from the middle of the heap."""

import platform
import subprocess
import sys

import pytest

# Blocks too small for pages of their own; the last one stays, and with it the heap up to there.
FREES_ALL_BUT_THE_LAST = """
import ctypes
import psutil
from mono_depth_ros.ros import memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
blocks = [libc.malloc(60_000) for _ in range(1000)]
for block in blocks:
    ctypes.memset(block, 1, 60_000)
for block in blocks[:-1]:
    libc.free(block)
process = psutil.Process()
held = process.memory_info().rss
memory.give_back()
print(held - process.memory_info().rss)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no malloc_trim")
def test_what_is_free_below_what_is_in_use_is_given_back():
    done = subprocess.run(
        [sys.executable, "-c", FREES_ALL_BUT_THE_LAST], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) > 55_000_000
