"""Whether a collection is sound, and what can be mended: sizes, digests, rows and references, all read again.

It reads the catalogue's tables itself, since a :class:`~retrieval.collection.View` needs a sound catalogue and sound
segments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Connection

from indexer.store.catalogue_faults import catalogue_faults, encoder_faults, lookup_faults, value_faults
from indexer.store.noted_files import sweepable
from indexer.store.region_files import drop_region_files
from indexer.store.sweeping import is_known, unknown_files
from indexer.store.writer import Writer
from indexer.store.writers import writable_place
from retrieval.collection.catalogue import read_generation
from retrieval.collection.engine import driver_connection, read_transaction
from retrieval.collection.folder import SegmentsFolder, require_collection, without_catalogue
from retrieval.collection.stores.region_faults import region_faults
from retrieval.collection.stores.segment_faults import accelerator_faults, segment_faults
from retrieval.collection.stores.segment_rows import named_files
from retrieval.errors import CollectionDamaged
from retrieval.extras import require
from retrieval.places import CollectionPlace, ServerAddress

ATTEMPTS = 5  # a writer may compact while the doctor looks


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Findings: ``faults`` are damage; ``orphans`` are files in ``segments/`` that no row names.

    Of orphans the next writer removes what its catalogue noted as its own; other segment files it sets aside.
    """

    faults: tuple[str, ...]
    orphans: tuple[str, ...]
    repaired: tuple[str, ...] = ()


def doctor(collection: str | CollectionPlace, repair: bool = False, *, timeout: float = 0.0) -> Diagnosis:
    """Examine a collection; with ``repair``, mend what can be mended and examine it again.

    Repair sweeps orphans, drops segments and regions whose files are damaged, so that the next ``index`` encodes their
    contents again, and damaged accelerators, so that searches scan all vectors until the next one is built, masks what
    no item uses, and has items found by the attributes and words that they have; items, captions and links stay.
    Beyond repair are a catalogue that SQLite cannot read, and rows that contradict each other. On a server, repair
    drops the rows of vectors that are damaged or missing, and masks what no item uses.

    Raises:
        CollectionNotFound, CollectionTooNew: there is nothing to look at.
        CollectionLocked: ``repair`` while another process writes.
    """
    place = writable_place(collection)
    if isinstance(place, ServerAddress):
        require("postgres", "a collection on a PostgreSQL server")
        from indexer.store.postgres.server_diagnosis import examine_server  # psycopg: for those alone

        faults, repaired = examine_server(place, repair, timeout)
        return Diagnosis(faults, (), repaired)
    return _doctor_of_folder(place, repair, timeout)


def _doctor_of_folder(path: Path, repair: bool, timeout: float) -> Diagnosis:
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
        *catalogue_faults(connection),
        *lookup_faults(connection),
        *value_faults(connection),
        *encoder_faults(connection, path),
    ]
    for examine in (segment_faults, accelerator_faults, region_faults):
        for _, of_file in examine(connection, path):
            faults += of_file
    orphans, of_folder = _orphans(connection, path)
    return Diagnosis((*faults, *of_folder), tuple(orphans))


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
