"""Maps that were made before, by all that they depend on, in the user's cache folder: one takes seconds to minutes."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.analysis.plane import MOST, MapMethod
from retrieval.sqlite_cache import cache_folder, ignoring_faults, is_own_file, make_own_file, open_cache

FILE = "maps-1.sqlite"
"""Its number rises with every change of how points are laid out."""

MOST_MAPS = 24
LARGEST_BYTES = 32 * 2**20  # of one map: four million points
SMALLEST_ROWS = 1000
"""Of fewer rows a map is made in a second, and not kept."""

_TABLE = (
    "CREATE TABLE maps (key BLOB PRIMARY KEY, number INTEGER NOT NULL, points BLOB NOT NULL) WITHOUT ROWID"
)

Points = NDArray[np.float32]


def cache_file() -> Path | None:
    """Give the file, which need not exist; None where there shall be none."""
    folder = cache_folder()
    return None if folder is None else folder / FILE


def key_of(vectors: NDArray[np.float32], method: MapMethod) -> bytes:
    """Digest what a map depends on: the vectors, how they are laid out, and by which version of what."""
    try:
        library = version("openTSNE") if method == "tsne" else ""
    except PackageNotFoundError:
        library = ""
    facts = json.dumps([method, MOST, library, np.__version__, vectors.shape])
    return hashlib.sha256(facts.encode() + b"\0" + np.ascontiguousarray(vectors).data).digest()


def find_map(key: bytes, rows: int) -> Points | None:
    """Look a map of so many rows up; None where it is not known, or is not one."""
    file = cache_file()
    if file is None or not is_own_file(file):
        return None
    with ignoring_faults(file), closing(open_cache(file, _TABLE, 2 * LARGEST_BYTES)) as cache:
        row = cache.execute("SELECT points FROM maps WHERE key = ?", [key]).fetchone()
        return None if row is None else _points(row[0], rows)
    return None


def keep_map(key: bytes, points: Points) -> None:
    """Keep a map; the oldest make room."""
    file = cache_file()
    if file is None or len(points) < SMALLEST_ROWS or points.nbytes > LARGEST_BYTES:
        return
    with ignoring_faults(file):
        make_own_file(file)
        if not is_own_file(file):
            return
        with closing(open_cache(file, _TABLE, 2 * LARGEST_BYTES)) as cache:
            cache.execute("BEGIN IMMEDIATE")
            cache.execute(
                "INSERT OR REPLACE INTO maps SELECT ?, coalesce(max(number), 0) + 1, ? FROM maps",
                [key, points.tobytes()],
            )
            cache.execute(
                "DELETE FROM maps WHERE key NOT IN (SELECT key FROM maps ORDER BY number DESC LIMIT ?)",
                [MOST_MAPS],
            )
            cache.execute("COMMIT")


def _points(stored: object, rows: int) -> Points | None:
    if not isinstance(stored, bytes) or len(stored) != 8 * rows:
        return None
    points = np.frombuffer(stored, "<f4").astype(np.float32).reshape(rows, 2)
    return points if bool(((points >= 0) & (points <= 1)).all()) else None
