"""Albums in the manifest of an export: JSON objects of ``name`` and ``request``, items named by their uris alone."""

from __future__ import annotations

import json
from dataclasses import replace

from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from indexer.store.writer import Writer
from retrieval.collection import View, schema
from retrieval.collection.albums import Album, album_in
from retrieval.collection.stored_values import WrongValue


def exported_albums(view: View, with_hidden: bool) -> list[dict[str, object]]:
    """Give the albums of a collection for a manifest; without hidden items, those that ask with one stay behind."""
    hidden = set() if with_hidden else {item.uri for item in view.hidden()}
    shown = [album for album in view.albums() if hidden.isdisjoint(part.uri for part in album.parts)]
    return [{"name": album.name, "request": json.loads(_without_ids(album).to_json())} for album in shown]


def albums_of(listed: object) -> list[Album]:
    """Read the albums of a manifest.

    Raises:
        ValueError: they are not what :func:`exported_albums` gives; the message is a clause.
    """
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ValueError('it has no list of objects as "albums"')
    try:
        return [album_in(str(one.get("name", "")), json.dumps(one.get("request"))) for one in listed]
    except WrongValue as error:
        raise ValueError(f'its "albums" are not: {error}') from error


def add_albums(writer: Writer, albums: list[Album]) -> None:
    """Add albums to a collection, where it has none of the name."""
    rows = [{"name": album.name, "request": _without_ids(album).to_json()} for album in albums]
    if rows:
        with writer.catalogue.without_generation() as connection:
            connection.execute(sqlite_insert(schema.albums).on_conflict_do_nothing(), rows)


def _without_ids(album: Album) -> Album:
    """Give an album without ids of items, which mean others in another collection."""
    return replace(album, parts=tuple(replace(part, item=None) for part in album.parts))
