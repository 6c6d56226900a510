"""The words of items for full text, kept equal to the items in every commit; built where a collection has none yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import NoneType

from sqlalchemy import Connection

from retrieval.collection import fulltext
from retrieval.collection.engine import driver_connection
from retrieval.collection.migrations import IMAGE_TEXTS_SINCE
from retrieval.collection.schema import schema_version
from retrieval.collection.statement import id_list
from retrieval.collection.stored_values import WrongValue, parse_attributes
from retrieval.errors import CollectionError
from retrieval.types import Kind

PAGE_ITEMS = 1000

_DOCUMENTS = (
    "SELECT items.id, items.kind, items.uri, contents.text, items.attributes, {} FROM items "
    "JOIN contents ON contents.id = items.content_id WHERE items.id "
)
_TEXTS = (
    "(SELECT group_concat(text, char(10)) FROM (SELECT text FROM image_texts "
    "WHERE content_id = contents.id AND text <> '' ORDER BY origin))"
)


def ensure_words(connection: Connection, collection: Path) -> None:
    """Build the full text where there is none and SQLite can.

    Raises:
        CollectionError: there is one, and this SQLite cannot keep it.
    """
    driver = driver_connection(connection)
    can, has = fulltext.has_fts5(driver), fulltext.has_words(driver)
    if has and not can:
        raise CollectionError(
            f"collection {collection} has an index of words, which the SQLite of this Python cannot keep (it lacks "
            "FTS5); write to it with another Python"
        )
    if can and not has:
        connection.exec_driver_sql(fulltext.CREATE)
        _fill(connection)


def replace_words(connection: Connection, ids: Iterable[int]) -> None:
    """Make the words of some items those that they have now; items that are gone have none."""
    changed = id_list(ids)
    if changed == "[]" or not fulltext.has_words(driver_connection(connection)):
        return
    connection.exec_driver_sql(
        "DELETE FROM words WHERE rowid IN (SELECT value FROM json_each(?))", (changed,)
    )
    _insert(connection, _read(connection, "IN (SELECT value FROM json_each(?))", changed))


def rebuild_words(connection: Connection) -> None:
    """Make the words of all items those that they have."""
    if fulltext.has_words(driver_connection(connection)):
        connection.exec_driver_sql("DROP TABLE words")
        connection.exec_driver_sql(fulltext.CREATE)
        _fill(connection)


def items_with_other_words(connection: Connection) -> int | None:
    """Count the items whose words are not those that they have; None where there is no full text to look at."""
    driver = driver_connection(connection)
    if not (fulltext.has_fts5(driver) and fulltext.has_words(driver)):
        return None
    wrong, last = 0, 0
    while page := _page(connection, last):
        rows = connection.exec_driver_sql(
            "SELECT rowid, text FROM words WHERE rowid > ? AND rowid <= ?", (last, page[-1][0])
        )
        have = {row[0]: row[1] for row in rows}
        wrong += len(have.keys() - {item for item, _ in page})
        wrong += sum(have.get(item) != document for item, document in page)
        last = page[-1][0]
    more = connection.exec_driver_sql("SELECT count(*) FROM words WHERE rowid > ?", (last,)).scalar_one()
    return wrong + int(more)


def _fill(connection: Connection) -> None:
    last = 0
    while page := _page(connection, last):
        _insert(connection, page)
        last = page[-1][0]


def _page(connection: Connection, last: int) -> list[tuple[int, str]]:
    return list(_read(connection, f"> ? ORDER BY items.id LIMIT {PAGE_ITEMS}", last))


def _read(connection: Connection, condition: str, parameter: int | str) -> Iterator[tuple[int, str]]:
    texts = _TEXTS if schema_version(connection) >= IMAGE_TEXTS_SINCE else "NULL"
    for item, kind, uri, text, attributes, other in connection.exec_driver_sql(
        _DOCUMENTS.format(texts) + condition, (parameter,)
    ).all():
        if isinstance(uri, str) and isinstance(text, (str, NoneType)) and isinstance(other, (str, NoneType)):
            yield item, document_from(kind, uri, text, attributes, other)
        else:
            yield item, ""


def document_from(kind: Kind, uri: str, text: str | None, attributes: str, texts: str | None) -> str:
    """Give what the words of an item are taken from, by its row."""
    try:
        found = parse_attributes(attributes)
    except (WrongValue, TypeError):  # the doctor names them
        found = {}
    return fulltext.document_of(kind, uri, text, found, texts)


def _insert(connection: Connection, documents: Iterable[tuple[int, str]]) -> None:
    rows = list(documents)
    if rows:
        connection.exec_driver_sql("INSERT INTO words (rowid, text) VALUES (?, ?)", rows)
