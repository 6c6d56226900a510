"""Shards opened for a merge: what each is, whether they fit together, and what they hold of the entries of a corpus."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

from retrieval.collection.catalogue import damaged, read_state
from retrieval.collection.connections import ReadConnections
from retrieval.collection.image_texts import reads_text
from retrieval.collection.kept_duplicates import read_kept
from retrieval.collection.known_corpora import KnownCorpus, read_corpora
from retrieval.collection.shard_note import read_shard
from retrieval.collection.snapshot import Snapshot, read_snapshot
from retrieval.collection.statement import Number, Select
from retrieval.collection.stores import search_threads
from retrieval.corpora import CorpusSpec, Shard, parse_shard
from retrieval.errors import UsageError
from retrieval.identity import Identity


@dataclass(frozen=True, slots=True)
class OpenedShard:
    """A finished shard in one read transaction.

    Attributes:
        path: of its folder.
        shard: which part of the corpus it is.
        connection: to its catalogue, in that transaction.
        snapshot: its vectors.
        corpus: the only one that it has.
        spec: how that was read.
        identity: of the encoder of its vectors; None where it has none and no run has loaded one.
    """

    path: Path
    shard: Shard
    connection: sqlite3.Connection
    snapshot: Snapshot
    corpus: KnownCorpus
    spec: CorpusSpec
    identity: Identity | None


@dataclass(frozen=True, slots=True)
class OpenedShards:
    """All shards of one corpus, by number from 1.

    Attributes:
        shards: in the order of their numbers.
        spec: how the whole corpus is read.
        identity: of the encoder of all their vectors.
        reads_text: whether one of them is to have the text in its images read.
    """

    shards: tuple[OpenedShard, ...]
    spec: CorpusSpec
    identity: Identity
    reads_text: bool

    @property
    def corpus(self) -> KnownCorpus:
        """The corpus, as the first shard knows it."""
        return self.shards[0].corpus


@contextmanager
def open_shards(paths: Sequence[Path]) -> Iterator[OpenedShards]:
    """Open the shards of a corpus, and check that they are all of them and belong together.

    Raises:
        UsageError: they do not; the sentence says which, and what to do.
        CollectionNotFound: one is missing.
    """
    if not paths:
        raise UsageError(
            "there are no shards to merge; name the collections that vlsearch index --shard made"
        )
    with ExitStack() as stack:
        threads = search_threads(1)
        stack.callback(threads.shutdown)
        opened = [_open(path, stack, threads) for path in paths]
        _check_numbers(opened)
        _check_corpora(opened)
        ordered = tuple(sorted(opened, key=lambda one: one.shard.number))
        spec = replace(ordered[0].spec, options=replace(ordered[0].spec.options, shard=None))
        wants_texts = any(reads_text(one.connection) for one in ordered)
        yield OpenedShards(ordered, spec, _identity_of(ordered), wants_texts)


def finished_shard(path: Path) -> tuple[Shard, str]:
    """Say which shard a collection is, and the uri of its corpus.

    Raises:
        UsageError: it is not a shard, was not indexed to its end, or holds what a merge would not take over.
        CollectionNotFound: there is no collection.
    """
    with ExitStack() as stack:
        threads = search_threads(1)
        stack.callback(threads.shutdown)
        opened = _open(path, stack, threads)
        return opened.shard, opened.corpus.uri


def _open(path: Path, stack: ExitStack, threads: Executor) -> OpenedShard:
    connections = ReadConnections(path)
    stack.callback(connections.close)
    try:
        connection = stack.enter_context(connections.transaction())
        generation = read_state(connection, path)
        noted = read_shard(connection)
        if noted is None:
            raise UsageError(
                f"collection {path} is not a shard; name collections that vlsearch index --shard made"
            )
        shard, corpora = parse_shard(noted), read_corpora(connection, None)
        if len(corpora) != 1 or corpora[0].spec is None or corpora[0].read is None:
            raise UsageError(
                f"shard {shard} in {path} was not indexed to its end; run the command that indexes it again"
            )
        snapshot = read_snapshot(connection, path, generation, None, threads)
        _check_nothing_is_lost(path, connection, snapshot)
        return OpenedShard(
            path,
            shard,
            connection,
            snapshot,
            corpora[0],
            corpora[0].spec,
            _encoder_of(connection, path, snapshot),
        )
    except sqlite3.Error as error:
        raise damaged(path, error) from error


def _check_nothing_is_lost(path: Path, connection: sqlite3.Connection, snapshot: Snapshot) -> None:
    """Refuse a shard with what only people or other commands make: a merge takes over what indexing made."""
    has = {
        "hidden items": bool(_HIDDEN.rows(connection)[0].number),
        "albums": bool(_ALBUMS.rows(connection)[0].number),
        "duplicates that are to be kept": bool(read_kept(connection)),
        "vectors of regions": snapshot.regions is not None,
        "tags of vlsearch tag": bool(_TAGGED.rows(connection)[0].number),
    }
    if found := [name for name, is_there in has.items() if is_there]:
        raise UsageError(
            f"shard {path} has {' and '.join(found)}, which a merge does not take over; take them back there, and make "
            "them in the merged collection"
        )


def _check_numbers(opened: Sequence[OpenedShard]) -> None:
    first = opened[0]
    for one in opened:
        if one.shard.count != first.shard.count:
            raise UsageError(
                f"{first.path} is shard {first.shard} and {one.path} is shard {one.shard}; "
                "merge the shards of one split"
            )
    count = first.shard.count
    times = Counter(one.shard.number for one in opened)
    for number, how_often in times.items():
        if how_often > 1:
            both = " and ".join(str(one.path) for one in opened if one.shard.number == number)
            raise UsageError(f"{both} are both shard {number}/{count}; name each shard once")
    if missing := [f"{number}/{count}" for number in range(1, count + 1) if number not in times]:
        more = f" and {len(missing) - 3:,} more" if len(missing) > 3 else ""
        raise UsageError(
            f"shard {', '.join(missing[:3])}{more} is missing; a merge needs all {count}, each indexed to its end"
        )


def _check_corpora(opened: Sequence[OpenedShard]) -> None:
    first = opened[0]
    for one in opened:
        if one.corpus.uri != first.corpus.uri:
            raise UsageError(
                f"{first.path} is a shard of {first.corpus.uri} and {one.path} of {one.corpus.uri}; "
                "merge the shards of one corpus"
            )
        if _whole(one.spec) != _whole(first.spec):
            raise UsageError(
                f"{first.path} and {one.path} were indexed with other options of how the corpus is read; "
                "index one of them again, into a new collection, with those of the other"
            )


def _whole(spec: CorpusSpec) -> CorpusSpec:
    return replace(spec, options=replace(spec.options, shard=None))


def _identity_of(opened: Sequence[OpenedShard]) -> Identity:
    """Join the identities of shards, which must be comparable."""
    known = [(one, one.identity) for one in opened if one.identity is not None]
    if not known:
        raise UsageError(f"no shard of {opened[0].corpus.uri} knows its model; index them again")
    first, bound = known[0]
    for one, identity in known:
        if identity.digest != bound.digest:
            raise UsageError(
                f"{first.path} holds vectors of {bound.name} and {one.path} of {identity.name} "
                f"({bound.difference(identity)}), which cannot be compared; index one of them again, into a new "
                "collection, with the model of the other"
            )
    return reduce(Identity.joined, (identity for _, identity in known))


def _encoder_of(connection: sqlite3.Connection, path: Path, snapshot: Snapshot) -> Identity | None:
    """Give the identity of a shard's encoder, also where none of its items has a vector."""
    if snapshot.identity is not None:
        return snapshot.identity
    from retrieval.collection.encoder_rows import read_identity

    newest = _NEWEST_ENCODER.rows(connection)[0].number
    return read_identity(connection, path, newest) if newest else None


_HIDDEN = Select(Number, "SELECT count(*) FROM hidden")
_ALBUMS = Select(Number, "SELECT count(*) FROM albums")
_TAGGED = Select(
    Number,
    "SELECT EXISTS (SELECT 1 FROM attribute_names JOIN attribute_values ON name_id = id WHERE name = 'tagged_by')",
)
_NEWEST_ENCODER = Select(Number, "SELECT coalesce(max(id), 0) FROM encoders")
