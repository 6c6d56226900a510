"""Decisions to keep duplicates, by the digests of contents; kept in the catalogue's settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from retrieval.collection.statement import ReadConnection, Select, Setting

KEPT = "kept_duplicates:"
"""Prefix of the setting's name, followed by the sha256 of the digests; its value is a JSON list of them, as hex."""

_LIMIT = 2**17  # characters of a value: a collection may come from strangers
_DIGEST_CHARACTERS = 64


def note_of(digests: Iterable[bytes]) -> tuple[str, str]:
    """Give the name and the value of the setting that says that contents are all kept."""
    hexes = sorted({digest.hex() for digest in digests})
    return f"{KEPT}{hashlib.sha256(' '.join(hexes).encode()).hexdigest()}", json.dumps(hexes)


def digests_in(value: str) -> frozenset[bytes]:
    """Read the digests of a setting; empty for what is not ours."""
    if len(value) > _LIMIT:
        return frozenset()
    try:
        hexes = json.loads(value)
        found = frozenset(bytes.fromhex(one) for one in hexes if len(one) == _DIGEST_CHARACTERS)
    except (ValueError, TypeError, RecursionError):
        return frozenset()
    return found if len(found) == len(hexes) else frozenset()


def read_kept(connection: ReadConnection) -> list[frozenset[bytes]]:
    """Read the sets of contents, by sha256, that are to be kept, all of each; settings not ours are left out."""
    found = (digests_in(row.value) for row in _SETTINGS.rows(connection, len(KEPT), KEPT))
    return [digests for digests in found if digests]


_SETTINGS = Select(Setting, "SELECT name, value FROM settings WHERE substr(name, 1, ?) = ?")
