"""Which files under ``segments/`` a writer may remove: those that its own catalogue has noted, and no others.

A segment file that no row names is either what this catalogue dropped, or wrote and never committed; or it is named by
another catalogue, most of all by a newer one in whose place this one came from a backup. On the disk the two look
alike. So a catalogue notes (in the setting ``sweepable``) the names of files before it writes them, frees them with the
commit that names them, and notes them again with the one that drops them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select, text
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from retrieval.collection import schema
from retrieval.collection.catalogue import unreadable
from retrieval.collection.folder import SegmentsFolder, without_catalogue
from retrieval.collection.layout import ASIDE_PREFIX, is_segment_name, is_temporary_name

if TYPE_CHECKING:
    from indexer.store.writer import Writer

_SWEEPABLE = "sweepable"
_SHARED = "shared"
# The value changes, because SQLite writes no page where nothing does.
_OVERWRITE_THE_LOG = (
    "INSERT INTO settings (name, value) VALUES ('sweeps', '1') "
    "ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1"
)


def sweep(writer: Writer) -> list[str]:
    """Remove files that are the catalogue's own to remove, and are there; their names.

    These are files being written, and segment files that it has noted and no row names. One that cannot go now
    waits for the next sweep.

    A commit that failed while syncing may lie in the write-ahead log, whole, and come back after a power cut,
    naming files that we are about to remove. A commit of our own takes its place in the log first.

    Raises:
        CollectionError: the folder cannot be read or synced.
    """
    try:
        with SegmentsFolder(writer.path) as folder:
            return _sweep(writer, folder)
    except OSError as error:
        raise unreadable(writer.path, error) from error


def _sweep(writer: Writer, folder: SegmentsFolder) -> list[str]:
    files = folder.files()
    with writer.look_up() as connection:
        ours = sweepable(connection) - named_files(connection)
    doomed = {name for name in files if name in ours or is_temporary_name(name)}
    if not doomed:
        return []
    with writer.without_generation() as connection:
        connection.execute(text(_OVERWRITE_THE_LOG))
        _store(connection, _SWEEPABLE, ours & files)
        shared = _noted(connection, _SHARED)
    removed = []
    for name in sorted(doomed):
        with contextlib.suppress(OSError):  # Windows: mapped by a reader
            if name in shared:
                folder.rename(name, ASIDE_PREFIX + name)
            else:
                folder.remove(name)
            removed.append(name)
    folder.sync()
    return removed


def unknown_files(files: set[str], named: set[str], ours: set[str]) -> set[str]:
    """Of the ``files`` there, the segment files that a catalogue neither names nor has noted as its own."""
    return {name for name in files if is_segment_name(name)} - named - ours


def is_known(files: set[str], named: set[str]) -> bool:
    """Whether any file that a catalogue names is there, be it set aside."""
    return any(name in files or ASIDE_PREFIX + name in files for name in named)


def sort_files(writer: Writer) -> None:
    """Bring files back that the catalogue names and a writer had set aside; set aside what it does not know.

    A catalogue from a backup does not know what was committed since. Its next writer puts the files of those
    commits aside under another name, and removes none: if the newer catalogue comes back, so do they. Files that
    both name are noted as shared, and set aside when this catalogue has no more use for them.

    Raises:
        CollectionDamaged: it knows none of the files that are there.
        CollectionError: the folder cannot be written.
    """
    try:
        with SegmentsFolder(writer.path) as folder:
            files = folder.files()
            with writer.look_up() as connection:
                named, ours = named_files(connection), sweepable(connection)
            unknown = unknown_files(files, named, ours)
            if unknown and not is_known(files, named):
                raise without_catalogue(writer.path)
            if unknown:
                with writer.without_generation() as connection:
                    _store(connection, _SHARED, _noted(connection, _SHARED) | named)
            for name in sorted(name for name in named - files if ASIDE_PREFIX + name in files):
                folder.rename(ASIDE_PREFIX + name, name)
            for name in sorted(unknown):
                folder.rename(name, ASIDE_PREFIX + name)
    except OSError as error:
        raise unreadable(writer.path, error) from error


def named_files(connection: Connection) -> set[str]:
    """Names of the files of all segments in the catalogue."""
    segments = schema.segments
    rows = connection.execute(select(segments.c.vectors_name, segments.c.ids_name))
    return {name for row in rows for name in row}


def sweepable(connection: Connection) -> set[str]:
    """Names noted by :func:`note_sweepable`; a stranger's list is as good as ours, since only names of our shape go."""
    return _noted(connection, _SWEEPABLE)


def note_sweepable(connection: Connection, names: Iterable[str]) -> None:
    """Note segment files that are about to be written: this catalogue's to remove until a commit names them."""
    _store(connection, _SWEEPABLE, sweepable(connection) | set(names))


def settle_sweepable(connection: Connection, before: set[str]) -> None:
    """At a commit's end, note the files that it has dropped (named ``before`` and not now), and free those it names."""
    now = named_files(connection)
    noted = sweepable(connection)
    settled = (noted | before) - now
    if settled != noted:
        _store(connection, _SWEEPABLE, settled)


def _noted(connection: Connection, setting: str) -> set[str]:
    settings = schema.settings
    stored = connection.execute(select(settings.c.value).where(settings.c.name == setting)).scalar()
    return {name for name in (stored or "").split(" ") if is_segment_name(name)}


def _store(connection: Connection, setting: str, names: set[str]) -> None:
    value = " ".join(sorted(names))
    connection.execute(
        sqlite_insert(schema.settings)
        .values(name=setting, value=value)
        .on_conflict_do_update(index_elements=["name"], set_={"value": value})
    )
