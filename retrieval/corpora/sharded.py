"""The entries of a corpus that belong to one shard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from retrieval.corpora.corpus import Corpus, Entries, LeftOut
from retrieval.corpora.shard import Shard, shard_number
from retrieval.types import Entry, Failure


def sharded(corpus: Corpus, shard: Shard) -> Corpus:
    """Give a corpus of those entries alone that a shard takes; what is left out is counted as of the whole corpus.

    A picture stays with its captions, and a file with all pictures in it. A RAW file beside a JPEG is no entry of its
    own, so that it stays with that. All entries of one picture (a table with a row a caption) are in one shard.
    """

    def taken(read: Callable[[LeftOut], Entries], left_out: LeftOut) -> Entries:
        for entry in read(left_out):
            if shard_number(name_of(entry), shard.count) == shard.number:
                yield entry

    total = None if corpus.total is None else round(corpus.total / shard.count)
    objects = tuple(replace(one, read=partial(taken, one.read)) for one in corpus.objects)
    return replace(corpus, read=partial(taken, corpus.read), total=total, objects=objects)


def name_of(entry: Entry | Failure) -> str:
    """Give the name that decides which shard takes an entry: the uri of its image, else of its first text."""
    if isinstance(entry, Failure):
        return entry.uri
    if entry.image is not None:
        return entry.image.uri
    return entry.texts[0].uri if entry.texts else ""
