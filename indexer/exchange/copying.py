"""Copies of whole collections between folders and servers: one generation, checked before it counts."""

from __future__ import annotations

from dataclasses import dataclass

from indexer.exchange.tables import Tallied
from retrieval.collection import Collection, View
from retrieval.collection.migrations import SCHEMA_VERSION
from retrieval.errors import CollectionEmpty, CollectionError, UsageError
from retrieval.identity import Identity
from retrieval.places import CollectionPlace, ServerAddress
from retrieval.postgres_address import place_of, require_folder
from retrieval.shell import shell_command


@dataclass(frozen=True, slots=True)
class Copied:
    """Counts of what was copied.

    ``images`` and ``texts`` are items, hidden ones too; ``vectors`` those of their contents; ``regions`` are images
    whose vectors of regions were left behind: ``index --regions`` makes them again.
    """

    images: int
    texts: int
    links: int
    vectors: int
    generation: int
    regions: int = 0


def copy_collection(
    source: str | CollectionPlace, target: str | CollectionPlace, *, replace: bool = False
) -> Copied:
    """Copy a collection: a folder to a PostgreSQL server, a server to a folder, or between two of a kind.

    Items keep their ids, vectors their bits, and the copy its generation's number, so that both give equal answers.
    Counts and digests of all rows and vectors are read again and compared before the copy counts; after any failure
    it is not there, and what it was to replace is as it was. Vectors that nothing uses, regions and accelerators stay
    behind.

    Args:
        source: a folder, or the address of a collection on a server.
        target: likewise; nothing may be there yet.
        replace: put the copy in the place of a collection on a server; its readers see one or the other.

    Raises:
        UsageError: something is at ``target`` already, or it is ``source`` itself, or an address cannot be read.
        CollectionNotFound, CollectionDamaged, CollectionTooNew: as readers of ``source``.
        CollectionLocked: another process copies to ``target``.
        CollectionError: a server cannot be reached, or the copy differs.
        MissingExtra: one of the two is on a server, and a package that this needs is not installed.
    """
    origin, place = _place(source), _place(target)
    if replace and not isinstance(place, ServerAddress):
        raise UsageError(f"only a collection on a server can be replaced; move {place} away first")
    with Collection.open(origin) as opened, opened.reading() as view:
        copied, encoder_id, identity = _checked(view)
        tallied = Tallied(view.connection, encoder_id, view.vectors, origin)
        if isinstance(place, ServerAddress):
            from retrieval.extras import require  # late, as what follows: for copies to servers alone

            require("postgres", "a collection on a PostgreSQL server")
            from indexer.exchange.to_server import load_server

            load_server(tallied, place, view.generation, identity, replace)
        else:
            from indexer.exchange.to_folder import load_folder

            load_folder(tallied, place, view.generation, identity)
    return copied


def _place(named: str | CollectionPlace) -> CollectionPlace:
    place = place_of(named) if isinstance(named, str) else named
    return place if isinstance(place, ServerAddress) else require_folder(place)


def _checked(view: View) -> tuple[Copied, int, Identity]:
    """Give the counts, the encoder's id and its identity of a collection that can be copied."""
    if view.schema < SCHEMA_VERSION:
        update = shell_command("optimize", "--collection", view.path)
        raise CollectionError(
            f"collection {view.path} was written by an earlier vlsearch; bring it up to date with: {update}"
        )
    if view.identity is None or view.encoder_id is None:
        raise CollectionEmpty(view.path)
    facts = view.info()
    regions = 0 if facts.regions is None else facts.regions.images
    vectors = facts.rows - facts.dead
    copied = Copied(facts.images, facts.texts, facts.links, vectors, view.generation, regions)
    return copied, view.encoder_id, view.identity
