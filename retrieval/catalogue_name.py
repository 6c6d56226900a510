"""The name by which a folder is recognised as a collection, also by those who must leave collections alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

CATALOGUE = "catalogue.sqlite"


def is_collection(folder: str | Path) -> bool:
    """Whether a folder holds a file, or a link to anywhere or nowhere, by the name of a catalogue.

    Nothing is opened: closing a second handle on the file would drop SQLite's locks.
    """
    try:
        return not stat.S_ISDIR(os.lstat(os.path.join(folder, CATALOGUE)).st_mode)  # noqa: PTH118  walkers ask
    except (OSError, ValueError):
        return False
