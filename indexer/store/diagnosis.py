"""Whether a collection is sound, and what can be mended: sizes, digests, rows and references, all read again.

It reads the catalogue's tables itself, since a :class:`~retrieval.collection.View` needs a sound catalogue and sound
segments.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Table, select

from indexer.store.attribute_rows import items_with_other_values
from indexer.store.item_rules import image_text_fault, stored_item_fault
from indexer.store.noted_files import sweepable
from indexer.store.region_files import drop_region_files
from indexer.store.sweeping import is_known, unknown_files
from indexer.store.word_rows import items_with_other_words
from indexer.store.writer import Writer
from retrieval.collection import schema
from retrieval.collection.albums import album_in
from retrieval.collection.catalogue import read_generation
from retrieval.collection.encoder_rows import active_encoder_id, read_identity
from retrieval.collection.engine import DATABASE_ERRORS, driver_connection, read_transaction
from retrieval.collection.folder import SegmentsFolder, require_collection, without_catalogue
from retrieval.collection.image_texts import parse_boxes
from retrieval.collection.migrations import ALBUMS_SINCE, ATTRIBUTES_SINCE, IMAGE_TEXTS_SINCE
from retrieval.collection.stored_values import WrongValue
from retrieval.collection.stores.region_faults import region_faults
from retrieval.collection.stores.segment_faults import accelerator_faults, segment_faults
from retrieval.collection.stores.segment_rows import named_files
from retrieval.errors import CollectionDamaged

FAULTS = 20  # kinds of them that are told apart
READ_ROWS = 1000  # of a table that are held at a time
ATTEMPTS = 5  # a writer may compact while the doctor looks


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Findings: ``faults`` are damage; ``orphans`` are files in ``segments/`` that no row names.

    Of orphans the next writer removes what its catalogue noted as its own; other segment files it sets aside.
    """

    faults: tuple[str, ...]
    orphans: tuple[str, ...]
    repaired: tuple[str, ...] = ()


def doctor(collection: str | Path, repair: bool = False, *, timeout: float = 0.0) -> Diagnosis:
    """Examine a collection; with ``repair``, mend what can be mended and examine it again.

    Repair sweeps orphans, drops segments and regions whose files are damaged, so that the next ``index`` encodes their
    contents again, and damaged accelerators, so that searches scan all vectors until the next one is built, masks what
    no item uses, and has items found by the attributes and words that they have; items, captions and links stay.
    Beyond repair are a catalogue that SQLite cannot read, and rows that contradict each other.

    Raises:
        CollectionNotFound, CollectionTooNew: there is nothing to look at.
        CollectionLocked: ``repair`` while another process writes.
    """
    path = Path(collection)
    if repair:
        require_collection(path)
    before = _examine(path)
    if not repair:
        return before
    with Writer(path, timeout) as writer:  # sweeps
        writer.mend_fields()
        writer.drop_segments(_broken(path, segment_faults))
        writer.drop_accelerators(_broken(path, accelerator_faults))
        drop_region_files(writer, _broken(path, region_faults))
        writer.sweep()
    after = _examine(path)
    return replace(after, repaired=tuple(fault for fault in before.faults if fault not in after.faults))


def _examine(path: Path) -> Diagnosis:
    for attempt in range(ATTEMPTS):
        try:
            with read_transaction(path) as connection:
                generation = read_generation(driver_connection(connection))
                found = _examine_generation(connection, path)
        except CollectionDamaged as error:
            found = Diagnosis((error.fault,), ())
            break
        if attempt == ATTEMPTS - 1 or not (found.faults or found.orphans):
            break
        with read_transaction(path) as connection:
            if read_generation(driver_connection(connection)) == generation:
                break
    return found


def _examine_generation(connection: Connection, path: Path) -> Diagnosis:
    faults = [
        *_catalogue_faults(connection),
        *_value_faults(connection),
        *_encoder_faults(connection, path),
    ]
    for examine in (segment_faults, accelerator_faults, region_faults):
        for _, of_file in examine(connection, path):
            faults += of_file
    orphans, of_folder = _orphans(connection, path)
    return Diagnosis((*faults, *of_folder), tuple(orphans))


def _catalogue_faults(connection: Connection) -> Iterator[str]:
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
    with contextlib.suppress(*DATABASE_ERRORS):  # of values that the look at all of them names
        yield from _lookup_faults(connection)


def _lookup_faults(connection: Connection) -> Iterator[str]:
    """Find out whether conditions and words find the items that they should."""
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


def _value_faults(connection: Connection) -> Iterator[str]:
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


def _encoder_faults(connection: Connection, path: Path) -> Iterator[str]:
    driver = driver_connection(connection)
    encoder_id = active_encoder_id(driver)
    if encoder_id is not None:
        try:
            read_identity(driver, path, encoder_id)
        except CollectionDamaged as error:
            yield error.fault


def _orphans(connection: Connection, path: Path) -> tuple[list[str], list[str]]:
    """Find files in ``segments/`` that no row names; a fault where the catalogue knows none of the files there."""
    try:
        with SegmentsFolder(path) as folder:
            found, files = folder.names(), folder.files()
    except FileNotFoundError:
        return [], []
    named = named_files(connection)
    orphans = sorted(f"segments/{name}" for name in found - named)
    lost = unknown_files(files, named, sweepable(connection)) and not is_known(files, named)
    return orphans, [without_catalogue(path).fault] if lost else []


def _broken(path: Path, examine: Callable[[Connection, Path], Iterator[tuple[int, list[str]]]]) -> list[int]:
    with read_transaction(path) as connection:
        return [number for number, faults in examine(connection, path) if faults]
