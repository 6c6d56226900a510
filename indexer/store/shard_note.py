"""A collection that is a shard of a corpus remembers it, and takes nothing else."""

from __future__ import annotations

from sqlalchemy import select

from indexer.store.settings import set_settings
from indexer.store.writer import Writer
from retrieval.collection import schema
from retrieval.collection.engine import driver_connection
from retrieval.collection.shard_note import SHARD, read_shard
from retrieval.corpora.shard import Shard
from retrieval.errors import UsageError


def claim_shard(writer: Writer, corpus_uri: str, shard: Shard | None) -> None:
    """Make sure that a collection is the shard of a corpus that a run asks for; an empty one becomes it.

    Args:
        writer: of the collection.
        corpus_uri: of the corpus.
        shard: that the run takes; None for all of the corpus.

    Raises:
        UsageError: the collection is another shard, or of another corpus, or is not a shard.
    """
    with writer.look_up() as connection:
        noted = read_shard(driver_connection(connection))
        corpora = (
            connection.execute(select(schema.sources.c.uri).order_by(schema.sources.c.id)).scalars().all()
        )
    asked = None if shard is None else str(shard)
    if noted is None and shard is None:
        return
    if noted is not None:
        if any(uri != corpus_uri for uri in corpora):
            raise UsageError(
                f"collection {writer.place} is shard {noted} of {corpora[0]}, and takes no other corpus; "
                f"index {corpus_uri} into another collection"
            )
        if noted != asked:
            given = "without --shard" if asked is None else f"with --shard {asked}"
            raise UsageError(
                f"collection {writer.place} is shard {noted} of its corpus, and cannot be indexed {given}; "
                f"pass --shard {noted}, or name another collection"
            )
    elif corpora:
        raise UsageError(
            f"collection {writer.place} holds items of {corpora[0]} and is not a shard; "
            f"index shard {asked} into a collection of its own"
        )
    else:
        with writer.catalogue.without_generation() as connection:
            set_settings(connection, {SHARD: str(shard)})
