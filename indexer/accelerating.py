"""Build and drop accelerators, through which searches of large collections look at few vectors."""

from __future__ import annotations

from indexer.pipeline.bound_encoder import encode_with
from indexer.store.acceleration import DEFAULT_RECALL, FROM_ROWS, Accelerated, accelerate_if_due
from indexer.store.writer import Writer
from retrieval.collection.accelerators.opened import read_accelerators
from retrieval.collection.encoder_rows import active_encoder_id
from retrieval.collection.engine import driver_connection
from retrieval.errors import UsageError
from retrieval.extras import require
from retrieval.places import CollectionPlace, ServerAddress
from retrieval.postgres_address import place_of


def accelerate(
    collection: str | CollectionPlace,
    *,
    recall: float | None = None,
    from_rows: int = FROM_ROWS,
    threads: int = 2,
    timeout: float = 0.0,
) -> list[Accelerated]:
    """Build the accelerators that are missing, tuned for another recall, or of fewer than nine tenths of the vectors.

    Searches find nearly all of the best items through them, with the scores and the order of the exact search;
    ``search(..., exact=True)`` does without.

    Args:
        collection: its folder, or its address on a server, which builds an index of its own (docs/postgres.md).
        recall: of the exact 10 best, that a search must find in the mean, above 0 and below 1; measured on stored texts
            where images are searched, else on bundled texts, which loads the model. The collection remembers it, for
            what is built later. None asks for what was asked for before, else 0.98.
        from_rows: vectors of a kind from which one is built, >= 1.
        threads: that building may use, >= 1.
        timeout: seconds to wait for another process that writes to the collection.

    Raises:
        UsageError: ``recall`` is not between 0 and 1, or ``from_rows`` or ``threads`` is below 1.
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    if recall is not None and not 0 < recall < 1:
        raise UsageError(
            f"the recall is {recall}; give a number above 0 and below 1, such as {DEFAULT_RECALL}"
        )
    if from_rows < 1 or threads < 1:
        raise UsageError("from_rows and threads must be at least 1")
    place = place_of(collection) if isinstance(collection, str) else collection
    if isinstance(place, ServerAddress):
        require("postgres", "a collection on a PostgreSQL server")
        from indexer.store.postgres.server_acceleration import accelerate_server  # psycopg: for those alone

        return accelerate_server(
            place, encode_with, recall=recall, from_rows=from_rows, threads=threads, timeout_s=timeout
        )
    with Writer.existing(place, timeout) as writer:
        writer.ask_accelerators(recall)
        identity = writer.identity  # now: while an index is built, the catalogue's one connection is in use
        if identity is None:
            return []
        return accelerate_if_due(writer, encode_with(identity), from_rows=from_rows, threads=threads)


def drop_accelerators(collection: str | CollectionPlace, *, timeout: float = 0.0) -> int:
    """Drop the accelerators of a collection, so that searches scan all vectors again, and return how many.

    None is built in a folder from then on before :func:`accelerate` is called.

    Raises:
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    place = place_of(collection) if isinstance(collection, str) else collection
    if isinstance(place, ServerAddress):
        require("postgres", "a collection on a PostgreSQL server")
        from indexer.store.postgres.server_acceleration import drop_server_indexes  # psycopg: for those alone

        return drop_server_indexes(place, timeout)
    with Writer.existing(place, timeout) as writer:
        writer.ask_scans()
        with writer.look_up() as connection:
            driver = driver_connection(connection)
            numbers = [facts.id for facts in read_accelerators(driver, active_encoder_id(driver))]
        writer.drop_accelerators(numbers)
        return len(numbers)
