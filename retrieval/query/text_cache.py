"""Vectors of texts that were asked before, in the user's cache folder, so that asking again loads no model.

Nothing depends on it: where the file cannot be read, is damaged or belongs to somebody else, it is as if it were not
there. A vector is found by all that its bits depend on (encoder, runtime, machine, installed packages), so it is what
the encoder would give now. The texts do not stand there, only their digests. ``$VLSEARCH_QUERY_CACHE`` names another
folder, or is ``off``.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import astuple
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.runtimes.choice import chosen_computation
from retrieval.identity import Identity
from retrieval.sqlite_cache import cache_folder, ignoring_faults, is_own_file, make_own_file, open_cache
from retrieval.unit_rows import first_not_unit

FILE = "query-vectors.sqlite"
MOST_ROWS = 10_000
MOST_BYTES = 40 * 2**20  # of vectors; the file has some bytes a row beside them
LARGEST_VECTOR_BYTES = 64 * 2**10
ARITHMETIC = 2  # to be raised when a version computes texts with other last bits

_TABLE = (
    "CREATE TABLE vectors (key BLOB PRIMARY KEY, day INTEGER NOT NULL, vector BLOB NOT NULL) WITHOUT ROWID"
)
_SECONDS_A_DAY = 86_400

Row = NDArray[np.float32]


def cache_file() -> Path | None:
    """Give the file that holds the vectors, which need not exist; None where there shall be none."""
    folder = cache_folder()
    return None if folder is None else folder / FILE


def find_vectors(identity: Identity, texts: Iterable[str]) -> dict[str, Row]:
    """Look up vectors, (d,) float32, of texts by an encoder; what is not known, or not a vector, is left out."""
    file = cache_file()
    if file is None or not is_own_file(file):
        return {}
    found: dict[str, Row] = {}
    with ignoring_faults(file), closing(open_cache(file, _TABLE, 2 * LARGEST_VECTOR_BYTES)) as cache:
        for text, key in _keys(identity, texts):
            row = cache.execute("SELECT day, vector FROM vectors WHERE key = ?", [key]).fetchone()
            vector = None if row is None else _vector(row[1], identity.dimension)
            if vector is not None:
                found[text] = vector
                if row[0] != _today():  # written once a day, so that most look-ups write nothing
                    cache.execute("UPDATE vectors SET day = ? WHERE key = ?", [_today(), key])
    return found


def keep_vectors(identity: Identity, vectors: Mapping[str, Row]) -> None:
    """Keep vectors of texts by an encoder; those that were not asked for longest make room."""
    file = cache_file()
    if file is None or not vectors or 4 * identity.dimension > LARGEST_VECTOR_BYTES:
        return
    with ignoring_faults(file):
        make_own_file(file)
        if not is_own_file(file):
            return
        rows = [(key, _today(), vectors[text].tobytes()) for text, key in _keys(identity, vectors)]
        with closing(open_cache(file, _TABLE, 2 * LARGEST_VECTOR_BYTES)) as cache:
            cache.execute("BEGIN IMMEDIATE")
            cache.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
            _make_room(cache)
            cache.execute("COMMIT")


def forget_vectors() -> Path | None:
    """Delete the file of kept vectors; give its path, or None where there was none.

    Raises:
        OSError: it cannot be deleted.
    """
    file = cache_file()
    if file is None or not file.exists():
        return None
    file.unlink()
    return file


def _make_room(cache: sqlite3.Connection) -> None:
    count, size = cache.execute("SELECT count(*), coalesce(sum(length(vector)), 0) FROM vectors").fetchone()
    if count > MOST_ROWS or size > MOST_BYTES:
        # More than must go, so that not every new text has to make room.
        share = min(MOST_ROWS / count, MOST_BYTES / size)
        leave = int(0.9 * share * count)
        cache.execute(
            "DELETE FROM vectors WHERE key IN (SELECT key FROM vectors ORDER BY day, key LIMIT ?)",
            [count - leave],
        )


def _vector(stored: object, dimension: int) -> Row | None:
    """Decode a vector; None where it is not a finite unit vector of the dimension."""
    if not isinstance(stored, bytes) or len(stored) != 4 * dimension:
        return None
    vector = np.frombuffer(stored, "<f4").astype(np.float32)
    return None if first_not_unit(vector[None]) else vector


def _keys(identity: Identity, texts: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Give each text with the digest of all that its vector's bits depend on."""
    asked = astuple(chosen_computation(None, None))
    origin = json.dumps([ARITHMETIC, identity.digest, asked, *_machine()], sort_keys=True).encode()
    for text in texts:
        yield text, hashlib.sha256(origin + b"\0" + text.encode()).digest()


def _machine() -> list[object]:
    """Describe what computes: processor and packages, which another machine with this home may have others of."""
    features = getattr(getattr(np, "_core", None), "_multiarray_umath", None)
    return [
        list(os.uname()) if hasattr(os, "uname") else os.environ.get("COMPUTERNAME"),
        sys.version,
        np.__version__,
        getattr(features, "__cpu_features__", {}),
        [_changed(place) for place in sys.path],
    ]


def _changed(place: str) -> int:
    """Give when something was last installed in a folder of packages or removed from it; 0 for no folder."""
    try:
        return Path(place).stat().st_mtime_ns if place else 0
    except OSError:
        return 0


def _today() -> int:
    return int(time.time() // _SECONDS_A_DAY)
