"""Folders that are replaced whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from indexer.training.messages import writing


def replace_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Fill a new folder and replace the old one by it.

    A kill leaves the old or the new one, or, between two renames, neither; then the next call makes it anew.

    Raises:
        TrainingError: the new one cannot be written; the old one stays.
    """
    fresh, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for left_over in (fresh, old):
        shutil.rmtree(left_over, ignore_errors=True)
    with writing(folder):
        fresh.mkdir(parents=True)
        fill(fresh)
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
