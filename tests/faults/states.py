"""What a collection holds, read by a naive twin: straight from the catalogue and the files, for comparisons."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np


@dataclass(frozen=True)
class State:
    """One generation; equal states answer every query alike."""

    generation: int
    items: frozenset[tuple[object, ...]] = frozenset()
    links: frozenset[tuple[object, ...]] = frozenset()
    failures: frozenset[tuple[object, ...]] = frozenset()
    vectors: frozenset[tuple[str, str, bytes]] = frozenset()
    hidden: frozenset[tuple[object, ...]] = frozenset()

    @property
    def holdings(self) -> tuple[frozenset[tuple[object, ...]], ...]:
        """All but the number."""
        return (self.items, self.links, self.failures, self.vectors, self.hidden)


NOTHING = State(0)


def state_of(collection: Path) -> State:
    """The committed state; :data:`NOTHING` where there is no collection yet."""
    catalogue = collection / "catalogue.sqlite"
    if not catalogue.exists():
        return NOTHING
    with closing(sqlite3.connect(catalogue)) as connection:
        if connection.execute("PRAGMA user_version").fetchone() == (0,):
            return NOTHING

        def rows(statement: str) -> frozenset[tuple[object, ...]]:
            return frozenset(connection.execute(statement))

        return State(
            int(connection.execute("SELECT value FROM settings WHERE name = 'generation'").fetchone()[0]),
            rows(
                "SELECT items.id, uri, items.kind, hex(sha256), text, width, height, key, lang, attributes, stamp,"
                " source_id, (SELECT group_concat(source_id) FROM listings WHERE item_id = items.id)"
                " FROM items JOIN contents ON contents.id = content_id"
            ),
            rows(
                "SELECT i.uri, t.uri, rank FROM links JOIN items i ON i.id = image_item"
                " JOIN items t ON t.id = text_item"
            ),
            rows("SELECT uri, reason, stamp, source_id FROM failures"),
            _vectors(connection, collection),
            rows("SELECT uri, hex(sha256) FROM hidden"),
        )


def _vectors(connection: sqlite3.Connection, collection: Path) -> frozenset[tuple[str, str, bytes]]:
    """Kind, content and bits of every vector that is not masked."""
    indexes = {
        number: faiss.read_index(str(collection / "segments" / name))
        for number, name in connection.execute("SELECT id, vectors_name FROM segments")
    }
    return frozenset(
        (kind, digest, np.asarray(indexes[segment].reconstruct(row)).tobytes())
        for kind, digest, segment, row in connection.execute(
            "SELECT kind, hex(sha256), segment_id, row FROM encodings JOIN contents ON contents.id = content_id"
            " WHERE encodings.id NOT IN (SELECT encoding_id FROM dead)"
        )
    )
