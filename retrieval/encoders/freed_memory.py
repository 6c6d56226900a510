"""Keep freed memory in the process, on glibc, so that convolutions do not map memory anew for every activation."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # mallopt(3), malloc.h


def retain_freed_memory() -> bool:
    """Raise the thresholds of glibc for the whole process; a program calls it once, a library does not.

    Returns whether it took effect: False on other C libraries, where nothing is changed. The process then
    holds on to the most memory it ever used.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 256 * 2**20))
    took = [bool(mallopt(option, value)) for option, value in settings]  # all three, whatever the first says
    return all(took)
