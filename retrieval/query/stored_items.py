"""The items of the collection that a query asks with, and what kind of item it finds by default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retrieval.collection import View
from retrieval.collection.stored import StoredVector
from retrieval.errors import QueryError
from retrieval.places import CollectionPlace
from retrieval.query.parts import Query
from retrieval.query.vectors import place_of, with_place_in_errors
from retrieval.types import Kind


def stored_vectors(view: View, queries: Sequence[Query]) -> dict[str | int, StoredVector]:
    """Read the items that queries name by key or id.

    Raises:
        QueryError: there is none.
    """
    keys = [key for query in queries for key in query.keys]
    ids = [number for query in queries for number in query.ids]
    by_key = view.keyed_vectors(keys) if keys else {}
    by_id = view.item_vectors(ids) if ids else {}
    found: dict[str | int, StoredVector] = dict(by_key.items())
    found |= by_id.items()
    for number, query in enumerate(queries):
        names: list[str | int] = [*query.keys, *query.ids]
        for name in names:
            if name not in found:
                with with_place_in_errors(place_of(queries, number)):
                    raise QueryError(_no_such_item(view.path, name))
    return found


def _no_such_item(collection: CollectionPlace, name: str | int) -> str:
    said, where = (
        (f"item {name}", "ids stand in hits")
        if isinstance(name, int)
        else (f"item with the key {name!r}", "keys are given when items are added")
    )
    return f"collection {collection} has no {said}, or hides it; {where}"


def direction(query: Query, held: dict[Kind, bool], stored: Mapping[str | int, Kind]) -> Kind:
    """Choose the kind of item that a query finds by default: texts for images alone, else images.

    ``held`` says which kinds the collection has any of (at least one); the kind that it lacks gives way. ``stored``
    are the kinds of the items that the query asks with by key or id.
    """
    wanted: Kind = "text" if query.only_images(stored) else "image"
    other: Kind = "image" if wanted == "text" else "text"
    return wanted if held[wanted] else other
