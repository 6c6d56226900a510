"""Which items, failures and hidden uris a NAME on the command line or in Python means.

In Python an ``int`` is an item's id, and means that item alone: a uri may mean everything inside it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import index
from os import PathLike, fspath
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, false, select

from indexer.store.item_rules import LARGEST
from indexer.store.writer import Writer
from indexer.store.writers import open_place
from retrieval.collection import schema
from retrieval.collection.schema import is_inside
from retrieval.errors import UsageError
from retrieval.places import CollectionPlace
from retrieval.texts import is_unicode
from retrieval.uris import file_uri, uri_of

Name = str | int
"""A key, a uri or a path; or an item's id."""

GivenName = Name | PathLike[str]
GivenNames = GivenName | Iterable[GivenName]
"""One name, or several: a text by itself is one, and not its letters."""

OnUnknown = Callable[[Name], object]
"""What is called with each name that means nothing."""


@dataclass(frozen=True, slots=True)
class NamedItem:
    """An item's uri, and that of its corpus."""

    uri: str
    corpus: str


@contextmanager
def existing_writer(
    collection: str | CollectionPlace, names: GivenNames, timeout_s: float
) -> Iterator[tuple[Writer, list[Name]]]:
    """Open the writer of a collection for a change of what names mean; the names are checked first.

    Raises:
        UsageError: a name is empty, or is none.
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    checked = checked_names(names)
    with open_place(collection, timeout_s, make=False) as writer:
        yield writer, checked


def checked_names(names: GivenNames) -> list[Name]:
    """Give names as the catalogue can hold them: a path that is not valid Unicode as its uri.

    Raises:
        UsageError: a name is empty (as a path it would be the working directory, with everything under it), or is no
            name.
    """
    alone = isinstance(names, (str, bytes, PathLike)) or not isinstance(names, Iterable)
    return [_checked_name(name) for name in ([names] if alone else names)]  # type: ignore[union-attr]


def _checked_name(name: object) -> Name:
    if isinstance(name, PathLike):
        name = fspath(name)
    if isinstance(name, str):
        if not name:
            raise UsageError(
                "the name of an item is empty; name its key, its uri or a path (. is this folder)"
            )
        return name if is_unicode(name) else file_uri(Path(name))
    try:
        if isinstance(name, bool):  # which would be the id 0 or 1
            raise TypeError
        return index(name)  # type: ignore[arg-type]  # numpy's integers, too
    except TypeError:
        raise UsageError(f"{name!r:.100} is no name of an item; name a key, a uri, a path or an id") from None


def is_named(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """Make the condition that a uri is what a name means, or lies in the folder or the archive that it means."""
    uri = uri_of(name)
    return (column == uri) | is_inside(column, uri, "/") | is_inside(column, uri, "#")


def has_id(number: int) -> ColumnElement[bool]:
    """Make the condition that an item has an id; a number beyond those that the catalogue can hold is none's."""
    return schema.items.c.id == number if 0 <= number <= LARGEST else false()


def find_named(connection: Connection, names: Sequence[Name]) -> dict[int, NamedItem]:
    """Find the items that names mean, as keys, uris, paths or ids; by id."""
    items, sources = schema.items, schema.sources
    statement = select(items.c.id, items.c.uri, sources.c.uri.label("corpus")).join(
        sources, sources.c.id == items.c.source_id
    )
    found: dict[int, NamedItem] = {}
    for name in names:
        named = has_id(name) if isinstance(name, int) else (items.c.key == name) | is_named(items.c.uri, name)
        for row in connection.execute(statement.where(named)):
            found[row.id] = NamedItem(row.uri, row.corpus)
    return found


def ignore_unknown(_: Name) -> None:
    """Say nothing of a name that means nothing."""


def tell_unknown(found: Mapping[Name, Collection[object]], on_unknown: OnUnknown) -> None:
    """Call ``on_unknown`` with each name for which nothing was found, in their order."""
    for name, meant in found.items():
        if not meant:
            on_unknown(name)
