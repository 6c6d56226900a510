"""What fields there are, for people who write conditions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from retrieval.collection.filters.evaluate import WORDS
from retrieval.collection.filters.field_sql import field_sql, key_of
from retrieval.collection.filters.fields import ITEM_FIELDS
from retrieval.collection.filters.values import Stored, Type
from retrieval.collection.filters.written import as_written
from retrieval.collection.migrations import ATTRIBUTES_SINCE
from retrieval.collection.statement import Number, ReadConnection, Select
from retrieval.collection.stored_values import WrongValue
from retrieval.machine_tags import PROBABILITY

EXAMPLES = 3
MOST_ATTRIBUTES = 1000


@dataclass(frozen=True, slots=True)
class FieldFacts:
    """A field that a condition can name.

    Attributes:
        name: of the field.
        type: of its values: ``boolean``, ``date``, ``list``, ``number`` or ``text``.
        meaning: of a field of every item; empty for an attribute.
        values: how many an attribute has, over all items; None for a field of every item.
        least, greatest: of an attribute's values, as they are compared; None for a field of every item.
        examples: some of an attribute's values, as they are written.
    """

    name: str
    type: Type
    meaning: str = ""
    values: int | None = None
    least: Stored | None = None
    greatest: Stored | None = None
    examples: tuple[str, ...] = ()


class _Name(NamedTuple):
    id: int
    name: str
    type: Type


_NAMES = (
    "SELECT id, name, type FROM attribute_names WHERE (type <> 'number' OR substr(name, 1, ?) <> ?) "
    "AND {used} ORDER BY name, type LIMIT ?"
)
_TAGS = "SELECT count(*) FROM attribute_names WHERE type = 'number' AND substr(name, 1, ?) = ? AND {used}"
_COUNT = "SELECT count(*) FROM {values} WHERE name_id = ?"
_ENDS = "SELECT min(value), max(value) FROM {values} WHERE name_id = ?"
_NEXT = "SELECT value, item_id FROM {values} WHERE name_id = ? AND value > ? ORDER BY value, item_id LIMIT 1"


def describe_fields(connection: ReadConnection, schema: int) -> list[FieldFacts]:
    """List the fields of every item, then the attributes by name with what their values are."""
    own = [FieldFacts(name, field.type, field.meaning) for name, field in ITEM_FIELDS.items()]
    own.append(
        FieldFacts(WORDS, "text", "full text of an item and of the texts linked to it; only with contains")
    )
    if schema < ATTRIBUTES_SINCE:
        return own
    prefix = len(PROBABILITY), PROBABILITY
    used = field_sql(connection).is_used
    names = Select(_Name, _NAMES.format(used=used)).rows(connection, *prefix, MOST_ATTRIBUTES)
    found = [_describe(connection, row) for row in names]
    if tags := Select(Number, _TAGS.format(used=used)).rows(connection, *prefix)[0].number:
        meaning = f"probability of a tag NAME, as in {PROBABILITY}dog >= 0.8; there are {tags:,} names"
        found.append(FieldFacts(f"{PROBABILITY}NAME", "number", meaning))
    return own + found


def _describe(connection: ReadConnection, row: _Name) -> FieldFacts:
    table = field_sql(connection).table(row.type)
    count = Select(Number, _COUNT.format(values=table)).rows(connection, row.id)[0].number
    ((least, greatest),) = connection.execute(_ENDS.format(values=table), (row.id,)).fetchall()
    if not all(isinstance(value, (int, float, str)) for value in (least, greatest)):
        raise WrongValue("the catalogue holds something else where a value of an attribute belongs")
    examples: dict[Stored, int] = {}
    before: Stored = "" if isinstance(least, str) else -float("inf")
    while len(examples) < EXAMPLES:
        found = connection.execute(
            _NEXT.format(values=table), (row.id, key_of(connection, before))
        ).fetchone()
        if found is None or type(found[1]) is not int:
            break
        before = found[0]
        examples[before] = found[1]
    shown = as_written(connection, row.name, examples)
    return FieldFacts(row.name, row.type, "", count, least, greatest, tuple(shown.values()))
