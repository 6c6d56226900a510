"""Keep searches as albums of a collection, rename and delete them; no answer changes, so no generation is made."""

from __future__ import annotations

from sqlalchemy import delete, insert, select, update

from indexer.store.writer import Writer
from indexer.store.writers import open_place
from retrieval.collection import schema
from retrieval.collection.albums import Album, check_new_name
from retrieval.errors import AlbumTaken, NoSuchAlbum, UsageError
from retrieval.places import CollectionPlace
from retrieval.texts import is_unicode


def save_album(
    collection: str | CollectionPlace, album: Album, *, replace: bool = False, timeout: float = 0.0
) -> None:
    """Keep an album, made by ``SearchEngine.make_album``.

    Args:
        collection: its folder, or its address on a server.
        album: what is asked, under which name.
        replace: take the place of an album of that name.
        timeout: seconds to wait for another process that writes to the collection.

    Raises:
        AlbumTaken: there is an album of that name already, and ``replace`` is not set.
        UsageError: it cannot be kept.
        CollectionNotFound: there is no collection.
        CollectionLocked: another process writes to it.
    """
    check_new_name(album.name)
    request = album.to_json()
    albums = schema.albums
    with open_place(collection, timeout, make=False) as writer:
        if _is_there(writer, album.name) and not replace:
            raise AlbumTaken(writer.place, album.name)
        with writer.catalogue.without_generation() as connection:
            connection.execute(delete(albums).where(albums.c.name == album.name))
            connection.execute(insert(albums).values(name=album.name, request=request))


def rename_album(collection: str | CollectionPlace, old: str, new: str, *, timeout: float = 0.0) -> None:
    """Give an album another name; ``timeout`` is how many seconds to wait for another process that writes.

    Raises:
        NoSuchAlbum: there is no album ``old``.
        UsageError: there is one called ``new``, or that is not a name.
        CollectionNotFound: there is no collection.
        CollectionLocked: another process writes to it.
    """
    check_new_name(new)
    albums = schema.albums
    with open_place(collection, timeout, make=False) as writer:
        if not _is_there(writer, old):
            raise NoSuchAlbum(writer.place, old)
        if new != old and _is_there(writer, new):
            raise UsageError(
                f"collection {writer.place} has an album {new!r} already; delete that one first, or take another name"
            )
        with writer.catalogue.without_generation() as connection:
            connection.execute(update(albums).where(albums.c.name == old).values(name=new))


def delete_album(collection: str | CollectionPlace, name: str, *, timeout: float = 0.0) -> None:
    """Delete an album, also one that cannot be read; the pictures that it shows stay.

    Raises:
        NoSuchAlbum: there is none.
        CollectionNotFound: there is no collection.
        CollectionLocked: another process writes to it. ``timeout`` is how many seconds to wait for it.
    """
    albums = schema.albums
    with open_place(collection, timeout, make=False) as writer:
        if not _is_there(writer, name):
            raise NoSuchAlbum(writer.place, name)
        with writer.catalogue.without_generation() as connection:
            connection.execute(delete(albums).where(albums.c.name == name))


def _is_there(writer: Writer, name: str) -> bool:
    albums = schema.albums
    if not is_unicode(name):
        return False
    with writer.look_up() as connection:
        return connection.execute(select(albums.c.id).where(albums.c.name == name)).first() is not None
