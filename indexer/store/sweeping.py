"""Which files under ``segments/`` a writer may remove: those that its own catalogue has noted, and no others.

A segment file that no row of this catalogue names is one of two things: a file that this catalogue dropped or never
committed, or a file of another catalogue, typically of a newer one that was replaced by this one from a backup. The
files themselves do not tell which. So a catalogue notes (in the setting ``sweepable``) the names of files before it
writes them, frees them with the commit that names them, and notes them again with the one that drops them.
"""

from __future__ import annotations

from sqlalchemy import text

from indexer.store.noted_files import keep_sweepable, note_shared, shared, sweepable
from indexer.store.transactions import Transactions
from retrieval.collection.catalogue import unreadable
from retrieval.collection.folder import SegmentsFolder, without_catalogue
from retrieval.collection.layout import ASIDE_PREFIX, is_segment_name, is_temporary_name
from retrieval.collection.stores import SegmentWriter
from retrieval.collection.stores.segment_rows import named_files

# The value changes, because SQLite writes no page where nothing does.
_OVERWRITE_THE_LOG = (
    "INSERT INTO settings (name, value) VALUES ('sweeps', '1') "
    "ON CONFLICT (name) DO UPDATE SET value = CAST(value AS INTEGER) + 1"
)


def sweep(catalogue: Transactions, vectors: SegmentWriter) -> list[str]:
    """Remove files that the catalogue has noted as its own to remove; give their names.

    These are files being written, and segment files that it has noted and no row names. One that cannot go now
    waits for the next sweep.

    A commit that failed while syncing may lie in the write-ahead log, whole, and come back after a power cut,
    naming files that we are about to remove. A commit of our own takes its place in the log first.

    Raises:
        CollectionError: the folder cannot be read or synced.
    """
    try:
        return _sweep(catalogue, vectors)
    except OSError as error:
        raise unreadable(catalogue.path, error) from error


def _sweep(catalogue: Transactions, vectors: SegmentWriter) -> list[str]:
    with SegmentsFolder(catalogue.path) as folder:
        files = folder.files()
    with catalogue.look_up() as connection:
        ours = sweepable(connection) - named_files(connection)
    doomed = {name for name in files if name in ours or is_temporary_name(name)}
    if not doomed:
        return []
    with catalogue.without_generation() as connection:
        connection.execute(text(_OVERWRITE_THE_LOG))
        keep_sweepable(connection, ours & files)
        aside = doomed & shared(connection)
    return sorted([*vectors.set_aside(aside), *vectors.remove(doomed - aside)])


def unknown_files(files: set[str], named: set[str], ours: set[str]) -> set[str]:
    """Choose, of the ``files`` there, the segment files that a catalogue neither names nor has noted as its own."""
    return {name for name in files if is_segment_name(name)} - named - ours


def is_known(files: set[str], named: set[str]) -> bool:
    """Whether any file that the catalogue names exists, under its own name or set aside."""
    return any(name in files or ASIDE_PREFIX + name in files for name in named)


def set_unknown_files_aside(catalogue: Transactions) -> None:
    """Restore set-aside files that the catalogue names, and set aside files that it does not know.

    A catalogue from a backup does not know what was committed since. Its next writer puts the files of those
    commits aside under another name, and removes none: if the newer catalogue comes back, so do they. Files that
    both name are noted as shared, and set aside when this catalogue has no more use for them.

    Raises:
        CollectionDamaged: it knows none of the files that are there.
        CollectionError: the folder cannot be written.
    """
    try:
        with SegmentsFolder(catalogue.path) as folder:
            files = folder.files()
            with catalogue.look_up() as connection:
                named, ours = named_files(connection), sweepable(connection)
            unknown = unknown_files(files, named, ours)
            if unknown and not is_known(files, named):
                raise without_catalogue(catalogue.path)
            if unknown:
                with catalogue.without_generation() as connection:
                    note_shared(connection, named)
            for name in sorted(name for name in named - files if ASIDE_PREFIX + name in files):
                folder.rename(ASIDE_PREFIX + name, name)
            for name in sorted(unknown):
                folder.rename(name, ASIDE_PREFIX + name)
    except OSError as error:
        raise unreadable(catalogue.path, error) from error
