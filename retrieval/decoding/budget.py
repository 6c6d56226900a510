"""The memory budget of a run, and its division among the processes that decode."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

LEAST_BUDGET_BYTES = 2**30
"""The smallest budget that a run may have."""

PROCESS_BYTES = 96 * 2**20
"""What a worker process takes before it decodes anything (measured: 45 MB), and keeps between two images."""

# Fewer workers rather than less: a 12-megapixel photograph of any format takes so much.
_LEAST_SHARE_BYTES = PROCESS_BYTES + 160 * 2**20
_MOST_KEPT_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class Division:
    """How a budget is divided.

    Attributes:
        budget: bytes in all.
        workers: processes that decode at a time.
        share: bytes that each may take while others decode beside it.
        alone: bytes that one may take while the others wait.
    """

    budget: int
    workers: int
    share: int
    alone: int


def divide(budget: int, workers: int) -> Division:
    """Divide a budget: a quarter, at most 1 GiB, stays with the process that asks; the rest is for the workers.

    There are as many workers as were asked for, or as have 256 MiB each. An image that takes more than a worker's
    share is decoded alone, with all but what idle workers keep.
    """
    shared = budget - min(budget // 4, _MOST_KEPT_BYTES)
    workers = max(1, min(workers, shared // _LEAST_SHARE_BYTES))
    return Division(budget, workers, shared // workers, shared - (workers - 1) * PROCESS_BYTES)


def default_budget() -> int:
    """Give a quarter of the memory of this machine or of this process's control group, at least 1 GiB."""
    return max(LEAST_BUDGET_BYTES, min([_physical(), *_group_limits()]) // 4)


def _physical() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return _windows_physical()


def _windows_physical() -> int:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            ("total", ctypes.c_ulonglong),
            ("others", ctypes.c_ulonglong * 6),
        )

    status = Status(length=ctypes.sizeof(Status))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - not known to type checkers elsewhere
    return int(status.total) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else 4 * LEAST_BUDGET_BYTES


def _group_limits() -> list[int]:
    """Read the limits of the control groups above this process, version 2 and 1, in bytes."""
    limits = []
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers == "":
            root, name = Path("/sys/fs/cgroup"), "memory.max"
        elif "memory" in controllers.split(","):
            root, name = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
        else:
            continue
        inside = root / group.lstrip("/")
        for folder in (inside, *inside.parents):
            limits += _read_limit(folder / name)
            if folder == root:
                break
    return limits


def _read_limit(path: Path) -> list[int]:
    try:
        said = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return []
    return [int(said)] if said.isdigit() and int(said) > 0 else []
