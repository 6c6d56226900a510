"""The writer of a collection, by where it is: in a folder, or on a PostgreSQL server."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from indexer.store.writer import Writer
from retrieval.catalogue_name import is_collection
from retrieval.collection import Collection
from retrieval.errors import CollectionNotFound, UsageError
from retrieval.extras import require
from retrieval.places import CollectionPlace, ServerAddress
from retrieval.postgres_address import FORM, check_path, is_address, place_of


def open_place(collection: str | CollectionPlace, timeout_s: float = 0.0, *, make: bool = True) -> Writer:
    """Open the one writer of a collection.

    Args:
        collection: its folder, or its address on a server.
        timeout_s: how long to wait for another writer to end, >= 0.
        make: make an empty collection where there is none.

    Raises:
        CollectionNotFound: there is none, and none is to be made.
        CollectionLocked: another process writes to it, and did so for that long.
        MissingExtra: it is on a server, and a package that this needs is not installed.
        CollectionError, UsageError: as the two writers.
    """
    place = writable_place(collection)
    if isinstance(place, ServerAddress):
        require("postgres", "a collection on a PostgreSQL server")
        from indexer.store.postgres.server_writer import ServerWriter  # psycopg: for those alone

        return ServerWriter(place, timeout_s, make)
    return Writer(place, timeout_s) if make else Writer.existing(place, timeout_s)


def writable_place(collection: str | CollectionPlace) -> CollectionPlace:
    """Give the place of a collection that is written to.

    Raises:
        UsageError: it is an address that cannot be read, or one in a path, or no folder can have the path.
    """
    if isinstance(collection, ServerAddress):
        return collection
    if isinstance(collection, Path) and is_address(str(collection)):
        raise UsageError(f"a collection on a server is named by a text, not by a path, of the form {FORM}")
    place = place_of(collection)
    if isinstance(place, Path):
        check_path(place)
    return place


def is_made(collection: str | CollectionPlace) -> bool:
    """Whether there is a collection, as far as can be told without writing.

    Raises:
        CollectionError: it is on a server that cannot be reached.
    """
    place = writable_place(collection)
    if not isinstance(place, ServerAddress):
        return is_collection(place)
    with suppress(CollectionNotFound), Collection.open(place):
        return True
    return False
