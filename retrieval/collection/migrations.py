"""The catalogue's schema as SQL: numbered migrations, which make it and bring older ones up to date.

``PRAGMA user_version`` holds the number of the last migration. A migration is never edited once it is released.
:mod:`retrieval.collection.schema` has the same tables for the statements of the write side; tests compare the two.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import cache

_M001_FIRST_TABLES = """
CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
CREATE TABLE encoders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest TEXT NOT NULL UNIQUE,
    identity TEXT NOT NULL
);
CREATE TABLE sources (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uri TEXT NOT NULL UNIQUE,
    format TEXT NOT NULL
);
CREATE TABLE contents (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('image', 'text')),
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    text TEXT,
    width INTEGER,
    height INTEGER,
    UNIQUE (sha256, kind)
);
CREATE TABLE segments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('image', 'text')),
    encoder_id INTEGER NOT NULL REFERENCES encoders (id),
    rows INTEGER NOT NULL CHECK (rows > 0),
    vectors_name TEXT NOT NULL UNIQUE,
    vectors_size INTEGER NOT NULL,
    vectors_sha256 TEXT NOT NULL,
    ids_name TEXT NOT NULL UNIQUE,
    ids_size INTEGER NOT NULL,
    ids_sha256 TEXT NOT NULL
);
CREATE TABLE encodings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    content_id INTEGER NOT NULL REFERENCES contents (id),
    encoder_id INTEGER NOT NULL REFERENCES encoders (id),
    part INTEGER NOT NULL,
    segment_id INTEGER NOT NULL REFERENCES segments (id),
    row INTEGER NOT NULL,
    UNIQUE (content_id, encoder_id, part)
);
CREATE INDEX encodings_by_segment ON encodings (segment_id, row);
CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    content_id INTEGER NOT NULL REFERENCES contents (id),
    source_id INTEGER NOT NULL REFERENCES sources (id),
    kind TEXT NOT NULL CHECK (kind IN ('image', 'text')),
    uri TEXT NOT NULL UNIQUE,
    key TEXT UNIQUE,
    lang TEXT,
    attributes TEXT NOT NULL,
    stamp TEXT,
    extent TEXT
);
CREATE INDEX items_by_content ON items (content_id);
CREATE INDEX items_by_source ON items (source_id);
CREATE INDEX items_by_kind ON items (kind);
CREATE TABLE links (
    image_item INTEGER NOT NULL REFERENCES items (id) ON DELETE CASCADE,
    text_item INTEGER NOT NULL REFERENCES items (id) ON DELETE CASCADE,
    source_id INTEGER NOT NULL REFERENCES sources (id),
    rank INTEGER NOT NULL,
    PRIMARY KEY (image_item, text_item)
) WITHOUT ROWID;
CREATE INDEX links_by_text ON links (text_item);
CREATE TABLE failures (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source_id INTEGER NOT NULL REFERENCES sources (id),
    uri TEXT NOT NULL UNIQUE,
    reason TEXT NOT NULL,
    stamp TEXT
);
CREATE INDEX failures_by_source ON failures (source_id);
CREATE TABLE dead (
    encoding_id INTEGER PRIMARY KEY REFERENCES encodings (id)
);
INSERT INTO settings (name, value) VALUES ('generation', '0');
"""

_M002_LISTINGS = """
CREATE TABLE listings (
    item_id INTEGER NOT NULL REFERENCES items (id) ON DELETE CASCADE,
    source_id INTEGER NOT NULL REFERENCES sources (id),
    PRIMARY KEY (item_id, source_id)
) WITHOUT ROWID;
CREATE INDEX listings_by_source ON listings (source_id);
"""

_M003_HIDDEN = """
CREATE TABLE hidden (
    uri TEXT NOT NULL PRIMARY KEY,
    sha256 BLOB CHECK (length(sha256) = 32)
) WITHOUT ROWID;
CREATE INDEX hidden_by_sha256 ON hidden (sha256);
"""

_M004_ACCELERATORS = """
CREATE TABLE accelerators (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('image', 'text')),
    encoder_id INTEGER NOT NULL REFERENCES encoders (id),
    rows INTEGER NOT NULL CHECK (rows > 0),
    last_encoding INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    measured TEXT NOT NULL,
    UNIQUE (kind, encoder_id)
);
"""

_M005_FIELDS = """
ALTER TABLE items ADD COLUMN indexed INTEGER;
CREATE TABLE attribute_names (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    type TEXT NOT NULL CHECK (type IN ('boolean', 'date', 'list', 'number', 'text')),
    UNIQUE (name, type)
);
CREATE TABLE attribute_values (
    item_id INTEGER NOT NULL REFERENCES items (id) ON DELETE CASCADE,
    name_id INTEGER NOT NULL REFERENCES attribute_names (id),
    value BLOB NOT NULL,
    PRIMARY KEY (item_id, name_id, value)
) WITHOUT ROWID;
CREATE INDEX attribute_values_by_value ON attribute_values (name_id, value, item_id);
"""

_M006_IMAGE_TEXTS = """
CREATE TABLE image_texts (
    content_id INTEGER NOT NULL REFERENCES contents (id) ON DELETE CASCADE,
    origin TEXT NOT NULL CHECK (origin IN ('page', 'read', 'written')),
    maker TEXT NOT NULL,
    text TEXT NOT NULL,
    boxes TEXT NOT NULL,
    PRIMARY KEY (content_id, origin)
) WITHOUT ROWID;
"""

_M007_ALBUMS = """
CREATE TABLE albums (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    request TEXT NOT NULL
);
"""

_M008_REGIONS = """
CREATE TABLE regions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    encoder_id INTEGER NOT NULL REFERENCES encoders (id),
    rule TEXT NOT NULL,
    rows INTEGER NOT NULL CHECK (rows > 0),
    windows INTEGER NOT NULL CHECK (windows > 0),
    name TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL
);
"""

MIGRATIONS: tuple[str, ...] = (
    _M001_FIRST_TABLES,
    _M002_LISTINGS,
    _M003_HIDDEN,
    _M004_ACCELERATORS,
    _M005_FIELDS,
    _M006_IMAGE_TEXTS,
    _M007_ALBUMS,
    _M008_REGIONS,
)
"""SQL scripts, each statement ended by a semicolon; the first makes schema 1."""

SCHEMA_VERSION = len(MIGRATIONS)
# The schemas that added a table: readers of older collections must not ask for it.
LISTINGS_SINCE = 2
HIDDEN_SINCE = 3
ACCELERATORS_SINCE = 4
ATTRIBUTES_SINCE = 5
IMAGE_TEXTS_SINCE = 6
ALBUMS_SINCE = 7
REGIONS_SINCE = 8


def statements_of(script: str) -> Iterator[str]:
    """Cut a script into its statements; a semicolon inside one (of a trigger) does not end it."""
    statement = ""
    for line in script.strip().splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip().removesuffix(";")
            statement = ""
    assert not statement.strip(), "the last statement of a migration has no semicolon"


@cache
def objects_of(version: int) -> frozenset[tuple[str, str, str, str | None]]:
    """List what the catalogue of a schema holds: type, name, table and SQL of tables and indexes, SQLite's own too."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for script in MIGRATIONS[:version]:
            connection.executescript(script)
        return frozenset(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))
    finally:
        connection.close()
