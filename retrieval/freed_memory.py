"""What glibc does with freed memory: keep it, so that activations are not mapped anew, or give it to the system."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # mallopt(3), malloc.h


def retain_freed_memory() -> bool:
    """Raise the thresholds of glibc for the whole process; a program calls it once, a library does not.

    Returns whether it took effect: False on other C libraries, where nothing is changed. The process then
    holds on to the most memory it ever used.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is None:
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 256 * 2**20))
    took = [bool(mallopt(option, value)) for option, value in settings]  # all three, whatever the first says
    return all(took)


def return_freed_memory() -> None:
    """Give the system back what has been freed, also where it is retained; elsewhere than on glibc, do nothing."""
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_glibc(name: str) -> Any:
    """Give a function of the C library; None where it has none of that name."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
