"""Remember which duplicates are to be kept, by their contents, so that they are not listed together again."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from indexer.named import GivenNames, Name, existing_writer, find_named
from indexer.store.writer import Writer
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked
from retrieval.errors import UsageError
from retrieval.places import CollectionPlace


def keep_items(collection: str | CollectionPlace, names: GivenNames, *, timeout: float = 0.0) -> int:
    """Keep pictures although they are duplicates of each other; give how many different ones they are.

    The decision goes by the pictures' bytes: it outlives renames, and a further copy is listed again. ``names`` are
    keys, uris, paths or ids of pictures that are the same picture, or of the same moment; a single one, or names of
    equal files, keep equal files. ``timeout`` is how many seconds to wait for another process that writes.

    Raises:
        UsageError: a name is empty or none, or means no picture or several.
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    with existing_writer(collection, names, timeout) as (writer, checked):
        if digests := _digests(writer, checked):
            writer.note_kept(digests)
        return len(digests)


def forget_kept_items(collection: str | CollectionPlace, names: GivenNames, *, timeout: float = 0.0) -> int:
    """Take back every decision of :func:`keep_items` about any of these pictures; give how many there were.

    Raises:
        UsageError: a name is empty or none, or means no picture or several.
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    with existing_writer(collection, names, timeout) as (writer, checked):
        return writer.forget_kept(_digests(writer, checked))


def _digests(writer: Writer, names: Sequence[Name]) -> set[bytes]:
    """Find the sha256 of the pictures that names mean, one each."""
    with writer.look_up() as connection:
        return {_digest(connection, writer.place, name) for name in names}


def _digest(connection: Connection, place: CollectionPlace, name: Name) -> bytes:
    """Find the sha256 of the one picture that a name means."""
    items, contents = schema.items, schema.contents
    digests: set[bytes] = set()
    for chunk in chunked(list(find_named(connection, [name]))):
        of_images = select(contents.c.sha256).join(items, items.c.content_id == contents.c.id)
        digests |= set(
            connection.execute(of_images.where(items.c.id.in_(chunk), items.c.kind == "image")).scalars()
        )
    if len(digests) != 1:
        many = "names several pictures; name each" if digests else "names no picture in it; index it first"
        raise UsageError(f"collection {place}: {_called(name)} {many}")
    return digests.pop()


def _called(name: Name) -> str:
    return f"item {name}" if isinstance(name, int) else name
