"""Names of segment files that a catalogue has noted: those that are its own to remove, and those it may share.

Every function runs inside the caller's transaction; :mod:`indexer.store.sweeping` says why names are noted.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from indexer.store.settings import set_settings
from retrieval.collection import schema
from retrieval.collection.layout import is_segment_name
from retrieval.collection.stores.segment_rows import named_files

_SWEEPABLE = "sweepable"
_SHARED = "shared"


def sweepable(connection: Connection) -> set[str]:
    """Read the names that are this catalogue's to remove, where no row names them.

    The list may come from a stranger's catalogue: harmless, because only names with the form of a segment file count.
    """
    return _read(connection, _SWEEPABLE)


def note_sweepable(connection: Connection, names: Iterable[str]) -> None:
    """Note segment files that are about to be written: this catalogue's to remove until a commit names them."""
    _write(connection, _SWEEPABLE, sweepable(connection) | set(names))


def keep_sweepable(connection: Connection, names: set[str]) -> None:
    """Reduce the list of removable files to these names."""
    _write(connection, _SWEEPABLE, names)


def settle_sweepable(connection: Connection, before: set[str]) -> None:
    """At a commit's end, note the files that it has dropped (named ``before`` and not now), and free those it names."""
    now = named_files(connection)
    noted = sweepable(connection)
    settled = (noted | before) - now
    if settled != noted:
        _write(connection, _SWEEPABLE, settled)


def shared(connection: Connection) -> set[str]:
    """Read the names of files that another catalogue may name too."""
    return _read(connection, _SHARED)


def note_shared(connection: Connection, names: set[str]) -> None:
    """Note files that another catalogue may name too, beside those noted before."""
    _write(connection, _SHARED, shared(connection) | names)


def _read(connection: Connection, setting: str) -> set[str]:
    settings = schema.settings
    stored = connection.execute(select(settings.c.value).where(settings.c.name == setting)).scalar()
    return {name for name in (stored or "").split(" ") if is_segment_name(name)}


def _write(connection: Connection, setting: str, names: set[str]) -> None:
    set_settings(connection, {setting: " ".join(sorted(names))})
