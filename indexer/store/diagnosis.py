"""Whether a collection is sound, and what can be mended: sizes, digests, rows and references, all read again."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import DatabaseError

from indexer.store.item_rules import stored_item_fault
from indexer.store.sweeping import is_known, named_files, sweepable, unknown_files
from indexer.store.writer import Writer
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked, read_generation, read_transaction
from retrieval.collection.column_types import WrongValue
from retrieval.collection.folder import SegmentsFolder, reading, require_collection, without_catalogue
from retrieval.collection.layout import ASIDE_PREFIX
from retrieval.collection.segments import SegmentFacts, check_rows, open_segment
from retrieval.collection.snapshot import active_encoder_id, read_identity
from retrieval.errors import CollectionDamaged

FAULTS = 20  # kinds of them that are told apart
READ_ROWS = 1000  # of a table that are held at a time
ATTEMPTS = 5  # a writer may compact while the doctor looks


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found: ``faults`` are damage; ``orphans`` is what lies in ``segments/`` and no row names.

    Of orphans the next writer removes what its catalogue noted as its own; other segment files it sets aside.
    """

    faults: tuple[str, ...]
    orphans: tuple[str, ...]
    repaired: tuple[str, ...] = ()


def doctor(collection: str | Path, repair: bool = False, *, timeout: float = 0.0) -> Diagnosis:
    """Examine a collection; with ``repair``, mend what can be mended and examine it again.

    Repair sweeps orphans, drops segments whose files are damaged, so that the next ``index`` encodes their contents
    again, and masks what no item uses; items, captions and links stay. Beyond repair are a catalogue that SQLite
    cannot read, and rows that contradict each other.

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
        _drop_segments(writer, _broken_segments(path))
        writer.sweep()
    after = _examine(path)
    return replace(after, repaired=tuple(fault for fault in before.faults if fault not in after.faults))


def _examine(path: Path) -> Diagnosis:
    for attempt in range(ATTEMPTS):
        try:
            with read_transaction(path) as connection:
                generation = read_generation(connection)
                found = _examine_generation(connection, path)
        except CollectionDamaged as error:
            found = Diagnosis((error.fault,), ())
            break
        if attempt == ATTEMPTS - 1 or not (found.faults or found.orphans):
            break
        with read_transaction(path) as connection:
            if read_generation(connection) == generation:
                break
    return found


def _examine_generation(connection: Connection, path: Path) -> Diagnosis:
    faults = [
        *_catalogue_faults(connection),
        *_value_faults(connection),
        *_encoder_faults(connection, path),
    ]
    for _, of_segment in _segment_faults(connection, path):
        faults += of_segment
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


def _item_faults(connection: Connection) -> Iterator[str]:
    """What breaks the rules of items, counted by rule, each with the first such item."""
    items, contents = schema.items, schema.contents
    rows = select(items, contents.c.text, contents.c.width, contents.c.height).join(
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


def _value_faults(connection: Connection) -> Iterator[str]:
    """Tables with a value that does not belong where it is; the first of each."""
    there = set(connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars())
    for table in schema.metadata.sorted_tables:
        if table.name not in there:  # of a newer schema
            continue
        try:
            for _ in connection.execution_options(yield_per=READ_ROWS).execute(select(table)):
                pass
        except DatabaseError as error:
            yield f"table {table.name}: {error.orig}"


def _encoder_faults(connection: Connection, path: Path) -> Iterator[str]:
    encoder_id = active_encoder_id(connection)
    if encoder_id is not None:
        try:
            read_identity(connection, path, encoder_id)
        except CollectionDamaged as error:
            yield error.fault


def _segment_faults(connection: Connection, path: Path) -> Iterator[tuple[int, list[str]]]:
    segments = schema.segments
    for row in connection.execute(select(segments).order_by(segments.c.id)).all():
        faults = [
            *_file_faults(path, row.vectors_name, row.vectors_size, row.vectors_sha256),
            *_file_faults(path, row.ids_name, row.ids_size, row.ids_sha256),
        ]
        if not faults:
            faults += _row_faults(connection, path, row)
        yield row.id, faults


def _file_faults(path: Path, name: str, size: int, digest: str) -> Iterator[str]:
    """What is wrong with a segment's file, as a file."""
    try:
        with SegmentsFolder(path) as folder, reading(folder, name) as descriptor:
            found = os.fstat(descriptor).st_size
            if found != size:
                yield f"segments/{name} has {found} bytes, and should have {size}"
            elif _sha256(descriptor) != digest:
                yield f"segments/{name} is not what was written (its sha256 differs)"
    except FileNotFoundError:
        yield f"segments/{name} is missing{_advice(path, name)}"
    except CollectionDamaged as error:
        yield error.fault


def _advice(path: Path, name: str) -> str:
    """A clause on a missing file that a writer has set aside."""
    with contextlib.suppress(FileNotFoundError), SegmentsFolder(path) as folder:
        if ASIDE_PREFIX + name in folder.files():
            return " (a writer set it aside under an older catalogue; --repair brings it back)"
    return ""


def _row_faults(connection: Connection, path: Path, row: SegmentFacts) -> Iterator[str]:
    """What is wrong with the rows of a segment whose files are those that were written."""
    encodings = schema.encodings
    try:
        segment = open_segment(path, row)
        identity = read_identity(connection, path, row.encoder_id)
        if segment.dimension != identity.dimension:
            yield f"segments/{row.vectors_name} has dimension {segment.dimension}, and its encoder {identity.dimension}"
        for _, block in segment.blocks():
            check_rows(block)
    except CollectionDamaged as error:
        yield error.fault
        return
    except ValueError as error:
        yield f"segments/{row.vectors_name}: {error}"
    named = connection.execute(
        select(encodings.c.id).where(encodings.c.segment_id == row.id).order_by(encodings.c.row)
    ).scalars()
    if not np.array_equal(np.fromiter(named, np.int64), segment.ids):
        yield f"segments/{row.ids_name} names other encodings than the catalogue"


def _sha256(descriptor: int) -> str:
    with open(descriptor, "rb", closefd=False) as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _orphans(connection: Connection, path: Path) -> tuple[list[str], list[str]]:
    """What lies in ``segments/`` and no row names; and, as a fault, that the catalogue knows nothing of it."""
    try:
        with SegmentsFolder(path) as folder:
            found, files = folder.names(), folder.files()
    except FileNotFoundError:
        return [], []
    named = named_files(connection)
    orphans = sorted(f"segments/{name}" for name in found - named)
    lost = unknown_files(files, named, sweepable(connection)) and not is_known(files, named)
    return orphans, [without_catalogue(path).fault] if lost else []


def _broken_segments(path: Path) -> list[int]:
    with read_transaction(path) as connection:
        return [number for number, faults in _segment_faults(connection, path) if faults]


def _drop_segments(writer: Writer, broken: list[int]) -> None:
    """Take broken segments out of the catalogue with their encodings, and mask what no item uses; one commit."""
    segments, encodings, items, dead = schema.segments, schema.encodings, schema.items, schema.dead
    used = select(items.c.id).where(items.c.content_id == encodings.c.content_id).exists()
    with writer.switch(writer.next_generation()) as connection:
        for chunk in chunked(broken):
            lost = select(encodings.c.id).where(encodings.c.segment_id.in_(chunk))
            connection.execute(delete(dead).where(dead.c.encoding_id.in_(lost)))
            connection.execute(delete(encodings).where(encodings.c.segment_id.in_(chunk)))
            connection.execute(delete(segments).where(segments.c.id.in_(chunk)))
        in_use = select(encodings.c.id).where(used)
        connection.execute(delete(dead).where(dead.c.encoding_id.in_(in_use)))
        unused = select(encodings.c.id).where(~used, encodings.c.id.not_in(select(dead.c.encoding_id)))
        connection.execute(insert(dead).from_select(["encoding_id"], unused))
