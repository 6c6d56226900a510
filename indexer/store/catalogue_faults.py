"""What can be wrong with the rows of a catalogue: values, references, rules of items, albums and texts.

Rows are read from the tables themselves, since a :class:`~retrieval.collection.View` needs a sound catalogue.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, Connection, Table, select

from indexer.store.attribute_rows import items_with_other_values
from indexer.store.item_rules import image_text_fault, stored_item_fault
from indexer.store.word_rows import items_with_other_words
from retrieval.collection import schema
from retrieval.collection.albums import album_in
from retrieval.collection.encoder_rows import active_encoder_id, read_identity
from retrieval.collection.engine import DATABASE_ERRORS, driver_connection
from retrieval.collection.image_texts import parse_boxes
from retrieval.collection.migrations import ALBUMS_SINCE, ATTRIBUTES_SINCE, IMAGE_TEXTS_SINCE
from retrieval.collection.stored_values import WrongValue
from retrieval.errors import CollectionDamaged
from retrieval.places import CollectionPlace

FAULTS = 20  # kinds of them that are told apart
READ_ROWS = 1000  # of a table that are held at a time


def catalogue_faults(connection: Connection) -> Iterator[str]:
    """Find rows that break a rule, or contradict each other."""
    for (said,) in connection.exec_driver_sql("PRAGMA integrity_check(20)"):
        if said != "ok":
            yield f"the catalogue: {said}"
    for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"row {row} of {table} refers to a row of {parent} that is not there"
    checks = {
        "items whose kind is not their content's": "SELECT count(*) FROM items JOIN contents ON"
        " contents.id = items.content_id WHERE items.kind <> contents.kind",
        "links that do not join a picture to a text": "SELECT count(*) FROM links JOIN items i ON i.id = image_item"
        " JOIN items t ON t.id = text_item WHERE i.kind <> 'image' OR t.kind <> 'text'",
        "encodings in use that are masked": "SELECT count(*) FROM dead JOIN encodings ON encodings.id = encoding_id"
        " WHERE EXISTS (SELECT 1 FROM items WHERE items.content_id = encodings.content_id)",
        "encodings of no item that are not masked": "SELECT count(*) FROM encodings WHERE NOT EXISTS (SELECT 1 FROM"
        " items WHERE items.content_id = encodings.content_id) AND id NOT IN (SELECT encoding_id FROM dead)",
        "text contents without their text": "SELECT count(*) FROM contents WHERE kind = 'text' AND text IS NULL",
    }
    for what, statement in checks.items():
        number = connection.exec_driver_sql(statement).scalar_one()
        if number:
            yield f"{number} {what}"
    yield from _item_faults(connection)
    if schema.schema_version(connection) >= IMAGE_TEXTS_SINCE:
        yield from _image_text_faults(connection)
    if schema.schema_version(connection) >= ALBUMS_SINCE:
        yield from _album_faults(connection)


def lookup_faults(connection: Connection) -> Iterator[str]:
    """Find out whether conditions and words find the items that they should."""
    with contextlib.suppress(*DATABASE_ERRORS):  # of values that the look at all of them names
        yield from _lookup_faults(connection)


def _lookup_faults(connection: Connection) -> Iterator[str]:
    if schema.schema_version(connection) >= ATTRIBUTES_SINCE:
        number = items_with_other_values(connection)
        if number:
            yield f"{number} items are found by other attributes than they have"
    if number := items_with_other_words(connection) or 0:
        yield f"{number} items are found by other words than they have"


def _item_faults(connection: Connection) -> Iterator[str]:
    """Find items that break a rule, counted by rule, each with the first such item."""
    items, contents = schema.items, schema.contents
    there = _columns_there(connection, items)
    rows = select(*there, contents.c.text, contents.c.width, contents.c.height).join(
        contents, contents.c.id == items.c.content_id
    )
    counts: dict[str, int] = {}
    first: dict[str, str] = {}
    with contextlib.suppress(WrongValue):  # which the look at all values names
        for item in connection.execute(rows.order_by(items.c.id).execution_options(yield_per=READ_ROWS)):
            fault = stored_item_fault(item)
            if fault is not None and (fault in counts or len(counts) < FAULTS):
                counts[fault] = counts.get(fault, 0) + 1
                first.setdefault(fault, item.uri)
    for fault, number in counts.items():
        yield f"{number} items break a rule, the first being {first[fault]!a}: {fault}"


def _image_text_faults(connection: Connection) -> Iterator[str]:
    """Find texts of images that break a rule, counted, with what is wrong with the first."""
    texts, contents = schema.image_texts, schema.contents
    rows = select(texts, contents.c.kind).join(contents, contents.c.id == texts.c.content_id)
    faults: list[str] = []
    with contextlib.suppress(*DATABASE_ERRORS):  # of values that the look at all of them names
        for row in connection.execute(rows.execution_options(yield_per=READ_ROWS)):
            try:
                fault = image_text_fault(row.origin, row.maker, row.text, parse_boxes(row.boxes))
            except WrongValue as error:
                fault = str(error)
            fault = fault or ("its content is not an image" if row.kind != "image" else None)
            faults += [fault] if fault else []
    if faults:
        yield f"{len(faults)} texts of images break a rule, the first one this: {faults[0]}"


def _album_faults(connection: Connection) -> Iterator[str]:
    """Find albums that cannot be asked, counted, with what is wrong with the first."""
    faults: list[str] = []
    with contextlib.suppress(*DATABASE_ERRORS):  # of values that the look at all of them names
        for row in connection.execute(select(schema.albums).order_by(schema.albums.c.id)):
            try:
                album_in(row.name, row.request)
            except WrongValue as error:
                faults.append(str(error))
    if faults:
        yield f"{len(faults)} albums cannot be asked, and can be deleted by name; the first one for this: {faults[0]}"


def _columns_there(connection: Connection, table: Table) -> list[Column[Any]]:
    """Give the columns that a table has in this catalogue; one of an older schema lacks the newer ones."""
    named = set(connection.exec_driver_sql(f"SELECT name FROM pragma_table_info('{table.name}')").scalars())
    return [column for column in table.c if column.name in named]


def value_faults(connection: Connection) -> Iterator[str]:
    """Find the first value of each table that is not of its column's type."""
    there = set(connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars())
    for table in schema.metadata.sorted_tables:
        if table.name not in there:  # of a newer schema
            continue
        try:
            columns = select(*_columns_there(connection, table))
            for _ in connection.execution_options(yield_per=READ_ROWS).execute(columns):
                pass
        except DATABASE_ERRORS as error:
            yield f"table {table.name}: {getattr(error, 'orig', error)}"


def encoder_faults(connection: Connection, path: CollectionPlace) -> Iterator[str]:
    """Find out whether the active encoder is known."""
    driver = driver_connection(connection)
    encoder_id = active_encoder_id(driver)
    if encoder_id is not None:
        try:
            read_identity(driver, path, encoder_id)
        except CollectionDamaged as error:
            yield error.fault
