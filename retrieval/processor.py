"""What the processor can do, without importing a runtime to ask it."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_FLAGS = re.compile(r"^flags\s*:(.*)$", re.MULTILINE)
_MULTIPLIES_BYTES = {"amx_int8", "avx512_vnni", "avx_vnni"}
_MULTIPLIES_BFLOAT16 = {"amx_bf16", "avx512_bf16"}  # two to five times as fast as float32


def multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for products of bfloat16; False where the system is not Linux."""
    return bool(_MULTIPLIES_BFLOAT16 & _flags())


def multiplies_bytes() -> bool:
    """Whether the processor has instructions for sums of products of bytes; False where the system is not Linux."""
    return bool(_MULTIPLIES_BYTES & _flags())


@cache
def _flags() -> frozenset[str]:
    try:
        found = _FLAGS.search(_CPUINFO.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return frozenset()
    return frozenset(found[1].split()) if found else frozenset()


def usable_cores() -> int:
    """How many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
