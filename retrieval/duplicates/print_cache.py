"""Fingerprints of pictures that were made before, by the digest of their bytes, in the user's cache folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from retrieval.duplicates.fingerprint import SIDE, Fingerprint
from retrieval.sqlite_cache import cache_folder, ignoring_faults, is_own_file, make_own_file, open_cache

FILE = "fingerprints-1.sqlite"
"""Its number rises with every change of what a fingerprint is."""

MOST_ROWS = 250_000  # a fingerprint takes 4 to 8 kB

_TABLE = "CREATE TABLE fingerprints (sha256 BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
_LONGEST = 4 * SIDE * SIDE + 1024


def cache_file() -> Path | None:
    """Give the file, which need not exist; None where there shall be none."""
    folder = cache_folder()
    return None if folder is None else folder / FILE


def find_fingerprints(digests: Iterable[bytes]) -> dict[bytes, Fingerprint]:
    """Look fingerprints up by the sha256 of a picture's bytes; what is not known is left out."""
    file = cache_file()
    found: dict[bytes, Fingerprint] = {}
    if file is None or not is_own_file(file):
        return found
    with ignoring_faults(file), closing(open_cache(file, _TABLE, _LONGEST)) as cache:
        for digest in digests:
            row = cache.execute("SELECT value FROM fingerprints WHERE sha256 = ?", [digest]).fetchone()
            known = None if row is None or not isinstance(row[0], bytes) else Fingerprint.from_bytes(row[0])
            if known is not None:
                found[digest] = known
    return found


def keep_fingerprints(fingerprints: Mapping[bytes, Fingerprint]) -> None:
    """Keep fingerprints by the sha256 of the picture's bytes; a full cache takes no more."""
    file = cache_file()
    if file is None or not fingerprints:
        return
    with ignoring_faults(file):
        make_own_file(file)
        if not is_own_file(file):
            return
        with closing(open_cache(file, _TABLE, _LONGEST)) as cache:
            if cache.execute("SELECT count(*) FROM fingerprints").fetchone()[0] >= MOST_ROWS:
                return
            cache.execute("BEGIN IMMEDIATE")
            rows = [(digest, one.to_bytes()) for digest, one in fingerprints.items()]
            cache.executemany("INSERT OR REPLACE INTO fingerprints VALUES (?, ?)", rows)
            cache.execute("COMMIT")
