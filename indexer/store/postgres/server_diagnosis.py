"""Whether a collection on a server is sound: rows by the rules of a folder's catalogue, and all vectors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import psycopg
from numpy.typing import NDArray
from sqlalchemy import Connection

from indexer.store import content_rows
from indexer.store.catalogue_faults import catalogue_faults, encoder_faults, value_faults
from indexer.store.many_rows import write_rows
from indexer.store.postgres.derived import wrong_sources, wrongly_derived
from indexer.store.postgres.mirror import load
from indexer.store.postgres.mirror_folder import MirrorFolder
from indexer.store.postgres.server_writer import ServerWriter
from indexer.store.postgres.session import WriterSession
from indexer.store.postgres.token_rows import rebuild_tokens, wrong_tokens
from indexer.store.transactions import Transactions
from retrieval.collection.encoder_rows import active_encoder_id, read_identity
from retrieval.collection.engine import driver_connection
from retrieval.collection.fulltext import has_words
from retrieval.collection.postgres.server_connection import (
    ServerConnection,
    check_tables,
    connect,
    is_missing,
    server_fault,
)
from retrieval.collection.postgres.server_store import ServerStore
from retrieval.collection.stored_values import WrongValue
from retrieval.collection.stores.protocols import check_rows
from retrieval.errors import CollectionDamaged, CollectionNotFound
from retrieval.places import ServerAddress
from retrieval.types import KINDS, Kind

_PAGE_ROWS = 4096


@dataclass(slots=True)
class _Found:
    """What is wrong: the encodings whose vectors are damaged or missing, and what was derived wrongly of which rows."""

    faults: list[str] = field(default_factory=list)
    without_vector: list[int] = field(default_factory=list)
    wrong_items: list[int] = field(default_factory=list)
    wrong_sources: list[int] = field(default_factory=list)
    has_wrong_words: bool = False


def examine_server(
    address: ServerAddress, repair: bool, timeout_s: float
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Examine a collection; with ``repair``, mend what can be mended. Give what is wrong, and what was repaired.

    Raises:
        CollectionNotFound, CollectionTooNew: there is nothing to look at.
        CollectionLocked: ``repair`` while another process writes, and did so for so long.
        CollectionError: the server cannot be reached.
    """
    before = _examine(address)
    if not repair or not before.faults:
        return tuple(before.faults), ()
    if before.has_wrong_words:
        _mend_words(address, timeout_s)
    with ServerWriter.existing(address, timeout_s) as writer:
        _mend(writer, _examine(address))
    after = _examine(address).faults
    return tuple(after), tuple(fault for fault in before.faults if fault not in after)


def _mend_words(address: ServerAddress, timeout_s: float) -> None:
    """Make the words of all items anew; the generation that the next transaction makes has readers see it."""
    with (
        contextlib.closing(WriterSession(address, timeout_s, make=False)) as session,
        session.transaction() as server,
    ):
        rebuild_tokens(server)


def _mend(writer: ServerWriter, found: _Found) -> None:
    """Drop encodings whose vectors are damaged, so that their contents are encoded again, and mask what is unused.

    What is derived is made anew of the rows that are noted as changed.
    """
    numbers = [(number,) for number in found.without_vector]
    with writer.catalogue.switch(writer.catalogue.next_generation()) as connection:
        write_rows(connection, "DELETE FROM dead WHERE encoding_id = ?", numbers)
        write_rows(connection, "DELETE FROM encodings WHERE id = ?", numbers)
        content_rows.mask_unused(connection)
        for table, wrong in (("items", found.wrong_items), ("sources", found.wrong_sources)):
            note = f"INSERT OR IGNORE INTO changed_{table} (id) VALUES (?)"
            write_rows(connection, note, [(number,) for number in wrong])


def _examine(address: ServerAddress) -> _Found:
    try:
        with _mirrored(address) as (connection, server):
            found = _Found([*catalogue_faults(connection), *value_faults(connection)])
            found.faults += encoder_faults(connection, address)
            found.wrong_items, found.wrong_sources = wrongly_derived(server), wrong_sources(server)
            if number := len(found.wrong_items) + len(found.wrong_sources):
                found.faults.append(
                    f"{number} items or corpora have other values for conditions than their rows"
                )
            of_words = wrong_tokens(server) if has_words(server) else []
            found.has_wrong_words = bool(of_words)
            found.faults += of_words
            with contextlib.suppress(CollectionDamaged, WrongValue):  # of an encoder that was named above
                _examine_vectors(connection, server, address, found)
            return found
    except CollectionDamaged as error:
        return _Found([error.fault])


@contextlib.contextmanager
def _mirrored(address: ServerAddress) -> Iterator[tuple[Connection, ServerConnection]]:
    """Begin a read transaction, and copy all rows that it sees into a catalogue of this process's own."""
    with contextlib.ExitStack() as opened:
        server = connect(address, timeout_s=0)
        opened.callback(server.close)
        folder = MirrorFolder()
        opened.callback(folder.release)
        catalogue = Transactions(folder.path)
        opened.callback(catalogue.close)
        try:
            server.begin(address.schema)
            check_tables(server, address)
            with catalogue.without_generation() as connection:
                load(driver_connection(connection), server, address)
            with catalogue.look_up() as connection:
                yield connection, server
        except psycopg.Error as error:
            raise (
                CollectionNotFound(address) if is_missing(error) else server_fault(address, error)
            ) from error


def _examine_vectors(
    connection: Connection, server: ServerConnection, address: ServerAddress, found: _Found
) -> None:
    mirror = driver_connection(connection)
    encoder_id = active_encoder_id(mirror)
    if encoder_id is None:
        return
    dimension = read_identity(mirror, address, encoder_id).dimension
    for kind in KINDS:
        store = ServerStore(server, kind, dimension)
        rows = mirror.execute(
            "SELECT encodings.id FROM encodings JOIN contents ON contents.id = content_id "
            "WHERE encoder_id = ? AND contents.kind = ?",
            (encoder_id, kind),
        )
        known = np.fromiter((number for (number,) in rows), np.int64)
        stored = store.ids
        missing, damaged = np.setdiff1d(known, stored), _damaged(store, np.intersect1d(known, stored))
        found.without_vector += [*missing.tolist(), *damaged]
        found.faults += _said(kind, len(missing), "are not there")
        found.faults += _said(kind, len(damaged), "are damaged")
        found.faults += _said(
            kind, len(np.setdiff1d(stored, known)), "belong to no image or text of this kind"
        )


def _said(kind: Kind, number: int, what: str) -> list[str]:
    return [f"{number} vectors of {kind}s {what}"] if number else []


def _damaged(store: ServerStore, ids: NDArray[np.int64]) -> list[int]:
    """Find the vectors that are not finite unit rows of the encoder's dimension."""
    damaged: list[int] = []
    for start in range(0, len(ids), _PAGE_ROWS):
        page = ids[start : start + _PAGE_ROWS]
        if not _is_sound(store, page):
            damaged += [number for number in page.tolist() if not _is_sound(store, np.array([number]))]
    return damaged


def _is_sound(store: ServerStore, ids: NDArray[np.int64]) -> bool:
    try:
        check_rows(store.vectors(ids))
    except (WrongValue, ValueError):
        return False
    return True
