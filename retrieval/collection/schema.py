"""The catalogue's tables in SQLAlchemy Core, for the statements of the write side.

They describe the newest schema; tests check that :mod:`~retrieval.collection.migrations` make exactly these tables, and
that the statements of the read side, which are SQL, ask for columns that are there.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    MetaData,
    Table,
    UniqueConstraint,
)

from retrieval.collection import migrations
from retrieval.collection.column_types import (
    Comparable,
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
    Column("indexed", OptionalNumber()),
    Index("items_by_content", "content_id"),
    Index("items_by_source", "source_id"),
    Index("items_by_kind", "kind"),
    sqlite_autoincrement=True,
)
"""``attributes``: JSON; ``stamp``: what tells that the bytes are unchanged; ``extent``: ``offset+size`` in a tar;
``indexed``: when the item came, in seconds since 1970, or null where an earlier version wrote it.

``source_id`` is one source that lists the item; others, which few items have, stand in ``listings``."""

attribute_names = Table(
    "attribute_names",
    metadata,
    Column("id", Number(), primary_key=True),
    Column("name", Text(), nullable=False),
    Column("type", Text(), nullable=False),
    UniqueConstraint("name", "type"),
    sqlite_autoincrement=True,
)
"""Attributes by name, once for each type of values that they have."""

attribute_values = Table(
    "attribute_values",
    metadata,
    Column("item_id", Number(), ForeignKey("items.id", ondelete="CASCADE"), primary_key=True),
    Column("name_id", Number(), ForeignKey("attribute_names.id"), primary_key=True),
    Column("value", Comparable(), primary_key=True),
    Index("attribute_values_by_value", "name_id", "value", "item_id"),
    sqlite_with_rowid=False,
)
"""Values of ``items.attributes`` as conditions compare them; a list has a row for each of its elements."""

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

image_texts = Table(
    "image_texts",
    metadata,
    Column("content_id", Number(), ForeignKey("contents.id", ondelete="CASCADE"), primary_key=True),
    Column("origin", Text(), primary_key=True),
    Column("maker", Text(), nullable=False),
    Column("text", Text(), nullable=False),
    Column("boxes", Text(), nullable=False),
    sqlite_with_rowid=False,
)
"""Texts of images that are no captions, by content: read in them, of a document's page, or written by a model.

``maker`` is the reader or the model with its version; ``text`` has a line for each of ``boxes`` (JSON), if it has any,
and is empty where nothing was found."""

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

regions = Table(
    "regions",
    metadata,
    Column("id", Number(), primary_key=True),
    Column("encoder_id", Number(), ForeignKey("encoders.id"), nullable=False),
    Column("rule", Text(), nullable=False),
    Column("rows", Number(), nullable=False),
    Column("windows", Number(), nullable=False),
    Column("name", Text(), nullable=False, unique=True),
    Column("size", Number(), nullable=False),
    Column("sha256", Text(), nullable=False),
    sqlite_autoincrement=True,
)
"""Files with ``windows`` vectors of regions for each of ``rows`` image encodings, made by ``rule`` (canonical JSON)."""


albums = Table(
    "albums",
    metadata,
    Column("id", Number(), primary_key=True),
    Column("name", Text(), nullable=False, unique=True),
    Column("request", Text(), nullable=False),
    sqlite_autoincrement=True,
)
"""Searches under a name; ``request`` is canonical JSON (:mod:`retrieval.collection.albums`)."""


def schema_version(connection: Connection) -> int:
    """Read the number of the last migration applied; 0 for a file that is not a collection yet."""
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def migrate(connection: Connection) -> None:
    """Bring the tables up to date, inside the caller's transaction: all of it happens or none."""
    version = schema_version(connection)
    for number, script in enumerate(migrations.MIGRATIONS[version:], start=version + 1):
        for statement in migrations.statements_of(script):
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql(f"PRAGMA user_version = {number}")


def is_inside(uri: ColumnElement[str], place: str, mark: str) -> ColumnElement[bool]:
    """Whether a uri lies inside a folder (mark ``/``) or an archive (mark ``#``).

    A range, not LIKE: LIKE takes ``Photos`` for ``photos``, and walks the whole table.
    """
    start = f"{place.rstrip('/')}{mark}"
    return (uri >= start) & (uri < start[:-1] + chr(ord(mark) + 1))
