"""Values as people wrote them: conditions compare folded ones, and lists of values show the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from retrieval.collection.filters.fields import place_of
from retrieval.collection.filters.values import Stored, typed_values
from retrieval.collection.statement import ReadConnection, Select, id_list
from retrieval.collection.stored_values import parse_attributes
from retrieval.texts import fold
from retrieval.uris import display


class _Row(NamedTuple):
    id: int
    uri: str
    key: str | None
    lang: str | None
    attributes: str
    corpus: str


_ROWS = Select(
    _Row,
    "SELECT items.id, items.uri, items.key, items.lang, items.attributes, sources.uri FROM items "
    "JOIN sources ON sources.id = items.source_id WHERE items.id IN (SELECT value FROM json_each(?))",
)


def as_written(connection: ReadConnection, name: str, examples: Mapping[Stored, int]) -> dict[Stored, str]:
    """Give values of a field as some item has them.

    Args:
        connection: in a read transaction.
        name: of the field.
        examples: folded values, each with the id of an item that has it.
    """
    rows = {row.id: row for row in _ROWS.rows(connection, id_list(set(examples.values())))}
    written: dict[Stored, str] = {}
    for value, item in examples.items():
        if item in rows:
            found = (text for folded, text in _values(rows[item], name) if folded == value)
            written[value] = next(found, str(value))
    return written


def _values(row: _Row, name: str) -> Iterator[tuple[Stored, str]]:
    """Yield the values of a field of an item, folded and as they are written."""
    place = place_of(row.uri) or (None, None)
    own = {
        "folder": place[0],
        "name": place[1],
        "key": row.key,
        "lang": row.lang,
        "corpus": display(row.corpus),
    }
    if (text := own.get(name.lower())) is not None:
        yield fold(text), text
    for attribute, value in parse_attributes(row.attributes).items():
        if fold(attribute) == fold(name):
            for one in value if isinstance(value, list) else [value]:
                shown = str(one).lower() if isinstance(one, bool) else str(one)
                for typed in typed_values({attribute: [one] if isinstance(value, list) else one}):
                    yield typed.value, shown
