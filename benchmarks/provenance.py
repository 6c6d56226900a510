"""Where a benchmark's table comes from (date, commit, machine, versions, data, command), and the table's file."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("numpy", "torch", "faiss-cpu", "pillow")
TABLES = (".md", ".json", ".png")
"""Suffixes of what benchmarks write; a change of these under ``benchmarks/`` is not a change of the code measured."""


def provenance(
    command: str, *, files: Iterable[Path] = (), packages: Sequence[str] = PACKAGES, note: str = ""
) -> Iterator[str]:
    """Lines of Markdown to stand above a table; ask for them after the measurement, which the load belongs to.

    Args:
        command: what anybody may type to make the table again.
        files: the data, named with size and digest.
        packages: distributions whose versions bear on the figures.
        note: what else a reader must know of the conditions, in one clause.
    """
    yield f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    yield f"- commit: {commit()}"
    yield f"- machine: {_processor()}, {os.cpu_count()} cores, {_memory()}; load at the end {os.getloadavg()[0]:.1f}"
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    yield f"- versions: Python {platform.python_version()}, {versions}"
    for path in files:
        size = f"{path.stat().st_size:,} bytes"
        with path.open("rb") as file:
            yield f"- data: {path.name}, {size}, sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
    if note:
        yield f"- conditions: {note}"
    yield f"- command: `{command}`"


def introduction(docstring: str | None) -> str:
    """Give what a benchmark's docstring says of the measurement: its third paragraph, up to what is rewritten."""
    return re.split(r"\s+Rewrites\s", (docstring or "").split("\n\n")[2])[0].strip()


def write_table(path: Path, lines: Iterable[str]) -> None:
    """Rewrite a committed table, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.replace(path)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """A Markdown table, a line at a time; columns but the first stand to the right."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(['---', *['--:'] * (len(head) - 1)])}|"
    for row in rows:
        yield f"| {' | '.join(str(cell) for cell in row)} |"


def commit() -> str:
    """Name the commit that is checked out, and whether the code was changed since."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    changed = [
        line
        for line in git("status", "--porcelain").splitlines()
        if not (line[3:].startswith("benchmarks/") and line.endswith(TABLES))
    ]
    return git("rev-parse", "--short=10", "HEAD") + (
        " with changes that are not committed" if changed else ""
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _memory() -> str:
    if not hasattr(os, "sysconf"):
        return "memory unknown"
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB"
