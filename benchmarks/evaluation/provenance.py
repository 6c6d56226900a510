"""Where a table comes from: date, commit, machine, versions, data."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

PACKAGES = ("numpy", "torch", "faiss-cpu", "pillow")


def provenance(files: Iterable[Path], command: str) -> Iterator[str]:
    """Lines of Markdown to stand above a table."""
    yield f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    yield f"- commit: {_commit()}"
    yield f"- machine: {_processor()}, {os.cpu_count()} cores, {_memory()}; load at the end {os.getloadavg()[0]:.1f}"
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    yield f"- versions: Python {platform.python_version()}, {versions}"
    for path in files:
        size = f"{path.stat().st_size:,} bytes"
        with path.open("rb") as file:
            yield f"- data: {path.name}, {size}, sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
    yield f"- command: `{command}`"


def _commit() -> str:
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True).stdout.strip()

    written = ("results.md", "speed.json")  # by the measurement itself
    changed = [line for line in git("status", "--porcelain").splitlines() if not line.endswith(written)]
    return git("rev-parse", "--short=10", "HEAD") + (
        " with changes that are not committed" if changed else ""
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB"
