"""Caches in SQLite files in the user's cache folder, of what can be computed again.

Nothing depends on a cache: where its file cannot be read, is damaged or belongs to somebody else, it is as if it were
not there. ``$VLSEARCH_QUERY_CACHE`` names another folder, or is ``off``.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "VLSEARCH_QUERY_CACHE"
OFF = "off"

_WAIT_S = 0.05  # for another process: longer than that, and computing is as good


def cache_folder() -> Path | None:
    """Give the folder of the caches, which need not exist; None where there shall be none."""
    named = os.environ.get(VARIABLE)
    if named == OFF:
        return None
    if named:
        return Path(named).expanduser()
    from platformdirs import user_cache_path  # late: not where the variable says where

    return Path(user_cache_path("vlsearch", appauthor=False))


def make_own_file(file: Path) -> None:
    """Make a file, readable by its owner alone; what is there stays."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def is_own_file(file: Path) -> bool:
    """Whether it is a regular file that nobody but this user can have written."""
    try:
        facts = file.lstat()
    except OSError:
        return False
    own = not hasattr(os, "getuid") or (facts.st_uid == os.getuid() and not facts.st_mode & 0o022)
    return stat.S_ISREG(facts.st_mode) and own


def open_cache(file: Path, table: str, longest: int) -> sqlite3.Connection:
    """Open a cache of one table; an empty file becomes one.

    Args:
        file: it exists.
        table: the statement that makes its table.
        longest: bytes of a value or a statement that are accepted.

    Raises:
        sqlite3.Error: it is something else.
    """
    cache = sqlite3.connect(file, timeout=_WAIT_S, isolation_level=None)
    try:
        cache.execute("PRAGMA trusted_schema = OFF")
        cache.execute("PRAGMA synchronous = OFF")  # a file that a power cut damages is made anew
        cache.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, longest)
        schema = cache.execute("SELECT sql FROM sqlite_master").fetchall()
        if not schema:
            cache.execute(table.replace("TABLE", "TABLE IF NOT EXISTS", 1))
        elif schema != [(table,)]:
            raise sqlite3.DatabaseError("it has another schema")
    except BaseException:
        cache.close()
        raise
    return cache


@contextmanager
def ignoring_faults(file: Path) -> Iterator[None]:
    """Run the block as far as the cache lets it; a damaged file is removed, so that the next one is whole."""
    try:
        yield
    except sqlite3.OperationalError:  # busy, read-only, full: it may be better another time
        return
    except sqlite3.Error:
        with contextlib.suppress(OSError):
            if is_own_file(file):
                file.unlink()
    except OSError:
        return
