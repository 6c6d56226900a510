"""Uris of a catalogue changed in one transaction, after files were moved: of items, corpora, failures, hidden ones."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select, text, update

from indexer.store.settings import set_settings
from indexer.store.transactions import Transactions
from indexer.store.word_rows import replace_words
from retrieval.collection import schema
from retrieval.collection.albums import album_in
from retrieval.collection.engine import driver_connection
from retrieval.collection.known_corpora import CORPUS, note_of, parse_note
from retrieval.collection.moved import RELATIVE_TO, Move, find_move, folders_of, relative_to
from retrieval.collection.stored_values import WrongValue
from retrieval.errors import CollectionError, UsageError
from retrieval.uris import display

_SEEN = 200  # of the first and of the last items that move, for a look whether their files are there


@dataclass(frozen=True, slots=True)
class MovingRows:
    """What a move changes.

    Attributes:
        items: how many.
        corpora: likewise.
        failures: likewise.
        uris: of some of the items, as they are now.
    """

    items: int
    corpora: int
    failures: int
    uris: tuple[str, ...]


def find_moving(connection: Connection, move: Move) -> MovingRows:
    """Find what a move changes, in a look-up."""
    facts = _facts(move)
    items, corpora, failures = (
        int(connection.execute(text(f"SELECT count(*) FROM {table} WHERE {_MOVES}"), facts).scalar_one())
        for table in ("items", "sources", "failures")
    )
    seen = [
        str(uri)
        for order in ("id", "id DESC")
        for uri in connection.execute(
            text(f"SELECT uri FROM items WHERE {_MOVES} ORDER BY {order} LIMIT {_SEEN}"), facts
        ).scalars()
    ]
    return MovingRows(items, corpora, failures, tuple(dict.fromkeys(seen)))


def find_taken(connection: Connection, move: Move) -> str | None:
    """Find a uri that something would get by a move and that something else has; None if there is none."""
    facts = _facts(move)
    for table in ("items", "sources"):
        taken = f"SELECT uri FROM {table} WHERE uri IN (SELECT {_MOVED} FROM {table} WHERE {_MOVES}) AND NOT ({_MOVES})"
        found = connection.execute(text(f"{taken} LIMIT 1"), facts).scalar_one_or_none()
        if found is not None:
            return str(found)
    return None


def move_rows(connection: Connection, move: Move) -> None:
    """Give everything that lies in the old place its new uri, in the caller's transaction.

    Nothing else may have such a uri (:func:`find_taken`). Of two failures, or hidden uris, one is left.
    """
    facts = _facts(move)
    for table in ("items", "sources", "failures", "hidden"):
        # By way of names that nothing has: a folder may move into itself, where one's new name is another's old one.
        connection.execute(
            text(f"UPDATE {table} SET uri = '{_ON_THE_WAY}' || substr(uri, :start) WHERE {_MOVES}"), facts
        )
        connection.execute(text(f"UPDATE OR REPLACE {table} SET uri = {_ARRIVED} WHERE {_TRAVELS}"), facts)
    at_place = connection.execute(text("SELECT id FROM items WHERE uri = :new"), facts).scalars().all()
    replace_words(connection, at_place)  # of a file that has another name now
    _move_notes(connection, move)
    _move_albums(connection, move)


def common_folder(collection: Path, corpus_uri: str) -> str:
    """Give the folder, as a uri, that holds a collection and, at any depth, a corpus.

    Raises:
        UsageError: the corpus is elsewhere.
    """
    folders = folders_of(collection)
    for folder in folders:
        if corpus_uri == folder or corpus_uri.startswith(f"{folder.rstrip('/')}/"):
            return folder
    raise UsageError(
        f"paths are kept relative to the folder that holds the collection, {display(folders[0])}, and "
        f"{display(corpus_uri)} does not lie in it; put the collection beside the pictures (--collection)"
    )


def keep_relative(catalogue: Transactions, folder: str) -> None:
    """Note that uris below a folder, the one that holds the collection, move with it; no new generation."""
    with catalogue.without_generation() as connection:
        if relative_to(driver_connection(connection)) is None:
            set_settings(connection, {RELATIVE_TO: folder})


def follow_move(catalogue: Transactions) -> None:
    """Rewrite the uris of a collection that was moved together with its pictures, in one commit.

    Raises:
        CollectionError: something that stays has a uri that would be another's now.
    """
    with catalogue.look_up() as connection:
        move = find_move(driver_connection(connection), catalogue.path)
        taken = None if move is None else find_taken(connection, move)
    if move is None:
        return
    if taken is not None:
        raise CollectionError(
            f"collection {catalogue.path} was moved from {display(move.old)} and has {display(taken)} under both "
            "places; put it back where it was to write to it, or begin a new one"
        )
    with catalogue.switch(catalogue.next_generation()) as connection:
        move_rows(connection, move)
        set_settings(connection, {RELATIVE_TO: move.new})


def _move_notes(connection: Connection, move: Move) -> None:
    """Change the paths by which corpora are read again."""
    rows = connection.execute(
        text("SELECT name, value FROM settings WHERE substr(name, 1, :length) = :prefix"),
        {"length": len(CORPUS), "prefix": CORPUS},
    ).all()
    for name, value in rows:
        read, spec = parse_note(value)
        if read is not None and spec is not None:
            changed = {"name": name, "value": note_of(spec.moved(move.path), read)}
            connection.execute(text("UPDATE settings SET value = :value WHERE name = :name"), changed)


def _move_albums(connection: Connection, move: Move) -> None:
    """Change the places that albums ask with; one that cannot be read stays as it is, and the doctor names it."""
    albums = schema.albums
    for row in connection.execute(select(albums)).all():
        with contextlib.suppress(WrongValue, UsageError):
            moved = album_in(row.name, row.request).moved(move).to_json()
            connection.execute(update(albums).where(albums.c.id == row.id).values(request=moved))


def _facts(move: Move) -> Mapping[str, str | int]:
    stem = move.old.removesuffix("/")
    return {
        "old": move.old,
        "new": move.new,
        "kept": move.new.removesuffix("/"),
        "start": len(stem) + 1,
        **{"folder": f"{stem}/", "after_folder": f"{stem}0"},  # the characters after "/" and "#"
        **{"archive": f"{stem}#", "after_archive": f"{stem}$"},
    }


_ON_THE_WAY = "moving:"
_MOVES = (
    "uri = :old OR (uri >= :folder AND uri < :after_folder) OR (uri >= :archive AND uri < :after_archive)"
)
_MOVED = "CASE WHEN uri = :old THEN :new ELSE :kept || substr(uri, :start) END"
_TRAVELS = f"uri >= '{_ON_THE_WAY}' AND uri < 'moving;'"
_ARRIVED = f"CASE WHEN uri = '{_ON_THE_WAY}' THEN :new ELSE :kept || substr(uri, {len(_ON_THE_WAY) + 1}) END"
