"""The tables of a collection on a server, as numbered migrations: those of a folder's catalogue, and of vectors.

Names, columns and keys are the catalogue's (:mod:`retrieval.collection.schema`; tests compare them), so that the same
statements read both. What belongs to files is not here (segments, accelerators, regions). Texts compare by their bytes,
as SQLite's do. Vectors lie in a table for each kind, since a search looks for one; ``last_ids`` are the last ids ever
used, so that none is used again. What conditions compare is derived from the rows by the writer (:data:`DERIVED`):
values of attributes, and of fields that this program computes; a server has none of its functions.
"""

from __future__ import annotations

from retrieval.collection.filters.field_sql import INDEXED_CHARACTERS
from retrieval.types import Kind

CATALOGUE_SCHEMA = 8
"""The schema of a folder's catalogue whose tables these are."""

LARGEST_DIMENSION = 16_000  # of pgvector's type

VECTORS: dict[Kind, str] = {"image": "image_vectors", "text": "text_vectors"}
"""The tables of vectors, by the kind of their contents."""

_M001_FIRST_TABLES = """
CREATE TABLE migrations (
    number bigint PRIMARY KEY
);
CREATE TABLE settings (
    name text COLLATE "C" PRIMARY KEY,
    value text COLLATE "C" NOT NULL
);
CREATE TABLE last_ids (
    name text COLLATE "C" PRIMARY KEY,
    number bigint NOT NULL
);
CREATE TABLE encoders (
    id bigint PRIMARY KEY,
    digest text COLLATE "C" NOT NULL UNIQUE,
    identity text COLLATE "C" NOT NULL
);
CREATE TABLE sources (
    id bigint PRIMARY KEY,
    uri text COLLATE "C" NOT NULL,
    format text COLLATE "C" NOT NULL
);
CREATE TABLE contents (
    id bigint PRIMARY KEY,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('image', 'text')),
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    text text COLLATE "C",
    width bigint,
    height bigint,
    UNIQUE (sha256, kind)
);
CREATE TABLE encodings (
    id bigint PRIMARY KEY,
    content_id bigint NOT NULL REFERENCES contents (id),
    encoder_id bigint NOT NULL REFERENCES encoders (id),
    part bigint NOT NULL,
    UNIQUE (content_id, encoder_id, part)
);
CREATE TABLE items (
    id bigint PRIMARY KEY,
    content_id bigint NOT NULL REFERENCES contents (id),
    source_id bigint NOT NULL REFERENCES sources (id),
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('image', 'text')),
    uri text COLLATE "C" NOT NULL,
    key text COLLATE "C",
    lang text COLLATE "C",
    attributes text COLLATE "C" NOT NULL,
    stamp text COLLATE "C",
    extent text COLLATE "C",
    indexed bigint
);
CREATE INDEX items_by_uri ON items USING hash (uri);
CREATE INDEX items_by_key ON items USING hash (key);
CREATE INDEX items_by_content ON items (content_id);
CREATE INDEX items_by_kind ON items (kind, id);
CREATE TABLE listings (
    item_id bigint NOT NULL REFERENCES items (id),
    source_id bigint NOT NULL REFERENCES sources (id),
    PRIMARY KEY (item_id, source_id)
);
CREATE TABLE links (
    image_item bigint NOT NULL REFERENCES items (id),
    text_item bigint NOT NULL REFERENCES items (id),
    source_id bigint NOT NULL REFERENCES sources (id),
    rank bigint NOT NULL,
    PRIMARY KEY (image_item, text_item)
);
CREATE INDEX links_by_text ON links (text_item);
CREATE TABLE image_texts (
    content_id bigint NOT NULL REFERENCES contents (id),
    origin text COLLATE "C" NOT NULL,
    maker text COLLATE "C" NOT NULL,
    text text COLLATE "C" NOT NULL,
    boxes text COLLATE "C" NOT NULL,
    PRIMARY KEY (content_id, origin)
);
CREATE TABLE failures (
    id bigint PRIMARY KEY,
    source_id bigint NOT NULL REFERENCES sources (id),
    uri text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    stamp text COLLATE "C"
);
CREATE TABLE dead (
    encoding_id bigint PRIMARY KEY REFERENCES encodings (id)
);
CREATE TABLE hidden (
    uri text COLLATE "C" NOT NULL,
    sha256 bytea CHECK (length(sha256) = 32)
);
CREATE INDEX hidden_by_uri ON hidden USING hash (uri);
CREATE TABLE albums (
    id bigint PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    request text COLLATE "C" NOT NULL
);
CREATE TABLE attribute_names (
    id bigint PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL CHECK (type IN ('boolean', 'date', 'list', 'number', 'text'))
);
CREATE INDEX attribute_names_by_name ON attribute_names USING hash (name);
CREATE TABLE attribute_texts (
    item_id bigint NOT NULL,
    name_id bigint NOT NULL REFERENCES attribute_names (id),
    value text COLLATE "C" NOT NULL
);
CREATE INDEX attribute_texts_by_value ON attribute_texts (name_id, left(value, {prefix}), item_id);
CREATE INDEX attribute_texts_by_item ON attribute_texts (item_id);
CREATE TABLE attribute_numbers (
    item_id bigint NOT NULL,
    name_id bigint NOT NULL REFERENCES attribute_names (id),
    value numeric NOT NULL
);
CREATE INDEX attribute_numbers_by_value ON attribute_numbers (name_id, value, item_id);
CREATE INDEX attribute_numbers_by_item ON attribute_numbers (item_id);
CREATE TABLE item_fields (
    item_id bigint PRIMARY KEY,
    kind text COLLATE "C" NOT NULL,
    folder text COLLATE "C",
    name text COLLATE "C",
    key text COLLATE "C",
    lang text COLLATE "C",
    bytes bigint
);
CREATE TABLE source_fields (
    source_id bigint PRIMARY KEY,
    corpus text COLLATE "C"
);
""".replace("{prefix}", str(INDEXED_CHARACTERS))
# Uris and keys have hash indexes: a tree of PostgreSQL's takes values up to 2,704 bytes, and uris may be longer; of
# attributes' texts the beginning is indexed.

_M002_WORDS = """
CREATE TABLE word_tokens (
    id integer PRIMARY KEY,
    token text COLLATE "C" NOT NULL,
    EXCLUDE USING hash (token WITH =)
);
CREATE TABLE item_words (
    item_id bigint PRIMARY KEY,
    tokens integer[] NOT NULL
);
CREATE INDEX item_words_by_token ON item_words USING gin (tokens) WITH (fastupdate = off);
CREATE TABLE word_totals (
    items bigint NOT NULL,
    tokens bigint NOT NULL
);
INSERT INTO word_totals (items, tokens) VALUES (0, 0);
"""
# No two tokens are equal; that is excluded by a hash because a token may be longer than a tree of PostgreSQL's takes.

MIGRATIONS: tuple[str, ...] = (_M001_FIRST_TABLES, _M002_WORDS)
"""SQL scripts; the first makes schema 1."""

SERVER_SCHEMA = len(MIGRATIONS)

WORDS_SINCE = 2
WORD_TABLES = ("word_tokens", "item_words", "word_totals")
"""Tables of the words of items: tokens by id, those of each item in their order, and the numbers of all together."""

DERIVED = (
    "attribute_names",
    "attribute_texts",
    "attribute_numbers",
    "item_fields",
    "source_fields",
    *WORD_TABLES,
)
"""Tables that are made of the others (:mod:`indexer.store.postgres.derived`)."""

CATALOGUE_TABLES = (
    "settings",
    "encoders",
    "sources",
    "contents",
    "encodings",
    "items",
    "listings",
    "links",
    "image_texts",
    "failures",
    "dead",
    "hidden",
    "albums",
)
"""Those that a folder's catalogue has as well, in an order in which each refers to those before it."""

TABLES = ("migrations", "last_ids", *CATALOGUE_TABLES, *VECTORS.values(), *DERIVED)
"""All of them."""


def vector_tables(dimension: int, extension: str, names: dict[Kind, str] = VECTORS) -> str:
    """Write the statements that make the tables of vectors.

    Args:
        dimension: of the vectors, 1 to :data:`LARGEST_DIMENSION`.
        extension: the schema, quoted, that pgvector is installed in.
        names: of the tables, made of the program's own constants.

    A row of 512 dimensions is longer than what PostgreSQL moves out of the table by itself; a scan reads it where it
    lies if it stays.
    """
    assert 1 <= dimension <= LARGEST_DIMENSION
    # more than fits into a page of 8 KiB has to be moved out
    storage = "PLAIN" if dimension <= 1900 else "EXTERNAL"
    return "".join(
        f"CREATE TABLE {table} (\n"
        "    encoding_id bigint PRIMARY KEY REFERENCES encodings (id),\n"
        f"    vector {extension}.vector({dimension:d}) STORAGE {storage} NOT NULL\n"
        ");\n"
        for table in names.values()
    )
