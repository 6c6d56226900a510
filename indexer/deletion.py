"""Delete items from a collection, and failures from its list.

The next run over a corpus that has the items brings them back; what is to stay away is hidden (indexer/hiding.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select

from indexer.named import GivenNames, Name, existing_writer, find_named, is_named
from indexer.store.changes import Change
from indexer.store.maintenance import compact_if_due
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked
from retrieval.places import CollectionPlace
from retrieval.uris import split_file_uri


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many items were deleted, and how many failures are no longer listed.

    ``still_there``: the file of a deleted item, or the one that lists it, is on disk, so that the next ``index`` of its
    corpus brings it back. ``unknown``: the names that mean no item and no failure.
    """

    items: int
    failures: int
    still_there: bool
    unknown: tuple[Name, ...] = ()


def delete_items(collection: str | CollectionPlace, names: GivenNames, *, timeout: float = 0.0) -> Deleted:
    """Delete items by key, uri, path (a folder or tar: everything in it) or id, and the failures recorded under them.

    Deleted too are failures under such a name, and those of a corpus under it. No file is touched. ``timeout``
    is how many seconds to wait for another process that writes to the collection.

    Raises:
        UsageError: a name is empty or none.
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    with existing_writer(collection, names, timeout) as (writer, checked):
        with writer.look_up() as connection:
            items = {name: find_named(connection, [name]) for name in checked}
            failures = {
                name: _find_failures(connection, [name]) if isinstance(name, str) else set()
                for name in checked
            }
            found = {number: row for rows in items.values() for number, row in rows.items()}
            failed = set[str]().union(*failures.values())
            failed |= _failures_of(connection, [row.uri for row in found.values()])
        places = (row.uri if split_file_uri(row.uri) else row.corpus for row in found.values())
        still_there = any_exists(places)
        if found or failed:
            writer.commit_rows(Change(removed=sorted(found), settled=sorted(failed)))
            compact_if_due(writer)
        unknown = tuple(name for name in items if not items[name] and not failures[name])
        return Deleted(len(found), len(failed), still_there, unknown)


def any_exists(uris: Iterable[str]) -> bool:
    """Whether one of these uris is a file, or lies in a file, that is on disk."""
    seen: set[Path] = set()
    for uri in uris:
        split = split_file_uri(uri)
        if split is not None and split[0] not in seen:
            seen.add(split[0])
            if os.path.lexists(split[0]) and not split[0].is_dir():
                return True
    return False


def _find_failures(connection: Connection, names: Sequence[str]) -> set[str]:
    failures, sources = schema.failures, schema.sources
    found: set[str] = set()
    for name in names:
        of_corpus = failures.c.source_id.in_(select(sources.c.id).where(is_named(sources.c.uri, name)))
        statement = select(failures.c.uri).where(is_named(failures.c.uri, name) | of_corpus)
        found.update(connection.execute(statement).scalars())
    return found


def _failures_of(connection: Connection, uris: Sequence[str]) -> set[str]:
    failures = schema.failures
    found: set[str] = set()
    for chunk in chunked(uris):
        statement = select(failures.c.uri).where(failures.c.uri.in_(chunk))
        found.update(connection.execute(statement).scalars())
    return found
