"""The catalogue's tables (SQLAlchemy Core) and the numbered migrations that make them.

``PRAGMA user_version`` holds the number of the last migration. The tables describe the current schema, for queries;
a migration is never edited once it is released. A test checks that the migrations together make exactly these tables.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from sqlalchemy import (
    Column,
    Connection,
    ForeignKey,
    Index,
    MetaData,
    Table,
    UniqueConstraint,
    create_engine,
    text,
)

from retrieval.collection.column_types import (
    Digest,
    KindName,
    Number,
    OptionalDigest,
    OptionalNumber,
    OptionalText,
    Text,
)

metadata = MetaData()

settings = Table(
    "settings",
    metadata,
    Column("name", Text(), primary_key=True),
    Column("value", Text(), nullable=False),
)
"""``generation`` (decimal), ``active_encoder`` (id, absent until the first commit)."""

encoders = Table(
    "encoders",
    metadata,
    Column("id", Number(), primary_key=True),
    Column("digest", Text(), nullable=False, unique=True),
    Column("identity", Text(), nullable=False),
    sqlite_autoincrement=True,
)
"""Identities, as canonical JSON; ``digest`` leaves out the name."""

sources = Table(
    "sources",
    metadata,
    Column("id", Number(), primary_key=True),
    Column("uri", Text(), nullable=False, unique=True),
    Column("format", Text(), nullable=False),
    sqlite_autoincrement=True,
)

contents = Table(
    "contents",
    metadata,
    Column("id", Number(), primary_key=True),
    Column("kind", KindName(), nullable=False),
    Column("sha256", Digest(), nullable=False),
    Column("text", OptionalText()),
    Column("width", OptionalNumber()),
    Column("height", OptionalNumber()),
    UniqueConstraint("sha256", "kind"),
    sqlite_autoincrement=True,
)
"""Distinct bytes (images) or NFC-normalised, stripped text; ``width`` and ``height`` as shown, upright."""

segments = Table(
    "segments",
    metadata,
    Column("id", Number(), primary_key=True),
    Column("kind", KindName(), nullable=False),
    Column("encoder_id", Number(), ForeignKey("encoders.id"), nullable=False),
    Column("rows", Number(), nullable=False),
    Column("vectors_name", Text(), nullable=False, unique=True),
    Column("vectors_size", Number(), nullable=False),
    Column("vectors_sha256", Text(), nullable=False),
    Column("ids_name", Text(), nullable=False, unique=True),
    Column("ids_size", Number(), nullable=False),
    Column("ids_sha256", Text(), nullable=False),
    sqlite_autoincrement=True,
)

encodings = Table(
    "encodings",
    metadata,
    Column("id", Number(), primary_key=True),
    Column("content_id", Number(), ForeignKey("contents.id"), nullable=False),
    Column("encoder_id", Number(), ForeignKey("encoders.id"), nullable=False),
    Column("part", Number(), nullable=False),
    Column("segment_id", Number(), ForeignKey("segments.id"), nullable=False),
    Column("row", Number(), nullable=False),
    UniqueConstraint("content_id", "encoder_id", "part"),
    Index("encodings_by_segment", "segment_id", "row"),
    sqlite_autoincrement=True,
)

items = Table(
    "items",
    metadata,
    Column("id", Number(), primary_key=True),
    Column("content_id", Number(), ForeignKey("contents.id"), nullable=False),
    Column("source_id", Number(), ForeignKey("sources.id"), nullable=False),
    Column("kind", KindName(), nullable=False),
    Column("uri", Text(), nullable=False, unique=True),
    Column("key", OptionalText(), unique=True),
    Column("lang", OptionalText()),
    Column("attributes", Text(), nullable=False),
    Column("stamp", OptionalText()),
    Column("extent", OptionalText()),
    Index("items_by_content", "content_id"),
    Index("items_by_source", "source_id"),
    Index("items_by_kind", "kind"),
    sqlite_autoincrement=True,
)
"""``attributes``: JSON; ``stamp``: what tells that the bytes are unchanged; ``extent``: ``offset+size`` in a tar.

``source_id`` is one source that lists the item; others, which few items have, stand in ``listings``."""

listings = Table(
    "listings",
    metadata,
    Column("item_id", Number(), ForeignKey("items.id", ondelete="CASCADE"), primary_key=True),
    Column("source_id", Number(), ForeignKey("sources.id"), primary_key=True),
    Index("listings_by_source", "source_id"),
    sqlite_with_rowid=False,
)
"""Further sources that list an item, beside its own."""

links = Table(
    "links",
    metadata,
    Column("image_item", Number(), ForeignKey("items.id", ondelete="CASCADE"), primary_key=True),
    Column("text_item", Number(), ForeignKey("items.id", ondelete="CASCADE"), primary_key=True),
    Column("source_id", Number(), ForeignKey("sources.id"), nullable=False),
    Column("rank", Number(), nullable=False),
    Index("links_by_text", "text_item"),
    sqlite_with_rowid=False,
)

failures = Table(
    "failures",
    metadata,
    Column("id", Number(), primary_key=True),
    Column("source_id", Number(), ForeignKey("sources.id"), nullable=False),
    Column("uri", Text(), nullable=False, unique=True),
    Column("reason", Text(), nullable=False),
    Column("stamp", OptionalText()),
    Index("failures_by_source", "source_id"),
    sqlite_autoincrement=True,
)

dead = Table(
    "dead",
    metadata,
    Column("encoding_id", Number(), ForeignKey("encodings.id"), primary_key=True),
)
"""Encodings that no item uses any more: masked in search until compaction drops their rows."""

hidden = Table(
    "hidden",
    metadata,
    Column("uri", Text(), primary_key=True),
    Column("sha256", OptionalDigest()),
    Index("hidden_by_sha256", "sha256"),
    sqlite_with_rowid=False,
)
"""Uris that no search finds, whether an item has them now or not.

``sha256`` is that of the image whose item was removed: if it comes back elsewhere, the hiding goes with it."""

accelerators = Table(
    "accelerators",
    metadata,
    Column("id", Number(), primary_key=True),
    Column("kind", KindName(), nullable=False),
    Column("encoder_id", Number(), ForeignKey("encoders.id"), nullable=False),
    Column("rows", Number(), nullable=False),
    Column("last_encoding", Number(), nullable=False),
    Column("name", Text(), nullable=False, unique=True),
    Column("size", Number(), nullable=False),
    Column("sha256", Text(), nullable=False),
    Column("measured", Text(), nullable=False),
    UniqueConstraint("kind", "encoder_id"),
    sqlite_autoincrement=True,
)
"""Approximate indexes. One covers the encodings of its kind and encoder up to ``last_encoding``, of which it holds
``rows``; ``measured`` is JSON: how much a search looks at, and the recall and time that this was measured to give."""

ACCELERATORS_SINCE = 4
HIDDEN_SINCE = 3  # the schema that added the table: readers of older collections must not ask for it


def _m001_first_tables(connection: Connection) -> None:
    for statement in _M001.strip().split(";\n"):
        connection.execute(text(statement))


def _m002_listings(connection: Connection) -> None:
    for statement in _M002.strip().split(";\n"):
        connection.execute(text(statement))


def _m003_hidden(connection: Connection) -> None:
    for statement in _M003.strip().split(";\n"):
        connection.execute(text(statement))


def _m004_accelerators(connection: Connection) -> None:
    for statement in _M004.strip().split(";\n"):
        connection.execute(text(statement))


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    _m001_first_tables,
    _m002_listings,
    _m003_hidden,
    _m004_accelerators,
)
SCHEMA_VERSION = len(MIGRATIONS)


def schema_version(connection: Connection) -> int:
    """Read the number of the last migration applied; 0 for a file that is not a collection yet."""
    return int(connection.execute(text("PRAGMA user_version")).scalar_one())


def migrate(connection: Connection) -> None:
    """Bring the tables up to date, inside the caller's transaction: all of it happens or none."""
    version = schema_version(connection)
    for number, migration in enumerate(MIGRATIONS[version:], start=version + 1):
        migration(connection)
        connection.execute(text(f"PRAGMA user_version = {number}"))


@cache
def objects_of(version: int) -> frozenset[tuple[str, str, str, str | None]]:
    """List what the catalogue of a schema holds: type, name, table and SQL of tables and indexes, SQLite's own too."""
    engine = create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            for migration in MIGRATIONS[:version]:
                migration(connection)
            rows = connection.execute(text("SELECT type, name, tbl_name, sql FROM sqlite_master"))
            return frozenset((row.type, row.name, row.tbl_name, row.sql) for row in rows)
    finally:
        engine.dispose()


_M001 = """
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
INSERT INTO settings (name, value) VALUES ('generation', '0')
"""

_M002 = """
CREATE TABLE listings (
    item_id INTEGER NOT NULL REFERENCES items (id) ON DELETE CASCADE,
    source_id INTEGER NOT NULL REFERENCES sources (id),
    PRIMARY KEY (item_id, source_id)
) WITHOUT ROWID;
CREATE INDEX listings_by_source ON listings (source_id)
"""

_M003 = """
CREATE TABLE hidden (
    uri TEXT NOT NULL PRIMARY KEY,
    sha256 BLOB CHECK (length(sha256) = 32)
) WITHOUT ROWID;
CREATE INDEX hidden_by_sha256 ON hidden (sha256)
"""

_M004 = """
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
)
"""
