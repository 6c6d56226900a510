"""Index one corpus into a collection: what ``vlsearch index`` does, as one call."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from indexer.index_request import IndexOptions, IndexRequest, index_request
from indexer.pipeline.bound_encoder import bound_encoder, encode_with
from indexer.pipeline.report import RegionsMade, Report
from indexer.pipeline.run import Run
from indexer.pipeline.unchanged_objects import ObjectsOfRun
from indexer.pipeline.vanished import VanishedItems
from indexer.region_making import make_regions, wants_regions
from indexer.store.acceleration import accelerate_if_due
from indexer.store.maintenance import compact_if_due
from indexer.store.relocation import common_folder, keep_relative
from indexer.store.shard_note import claim_shard
from indexer.store.writer import Writer
from indexer.store.writers import is_made, open_place, writable_place
from retrieval.collection import Collection
from retrieval.collection.engine import driver_connection
from retrieval.collection.known_corpora import was_read
from retrieval.corpora import Corpus, CorpusOptions, Shard, open_corpus
from retrieval.corpora.spec import spec_of
from retrieval.decoding.pool import DecodePool
from retrieval.encoders.registry import load_encoder
from retrieval.errors import UsageError, VlsearchError
from retrieval.freed_memory import return_freed_memory
from retrieval.places import CollectionPlace
from retrieval.postgres_address import require_folder
from retrieval.types import OnProgress, Progress
from retrieval.uris import is_object_uri

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder


def build(
    source: str | Path | Corpus,
    collection: str | CollectionPlace,
    *,
    on_progress: OnProgress | None = None,
    **options: Unpack[IndexOptions],
) -> Report:
    """Index a corpus: encode what is new or changed, commit as it goes, and count.

    Run again, it encodes nothing that is there already. Killed at any moment, it has lost nothing committed and
    goes on from there. Ctrl-C commits what is done (``Report.interrupted``).

    Args:
        source: a folder, table, data set, tar (braces expanded) or list, as ``vlsearch index`` takes it; or what
            :func:`indexer.open_corpus` gave.
        collection: folder of the collection, or its address on a server; made if it is not there.
        on_progress: called after each entry.
        options: ``model``, ``options``, ``limits``, ``prune``, ``retry_failed``, ``reread``, ``relative``, ``regions``,
            ``workers``, ``timeout`` and ``pace``, as :class:`indexer.index_request.IndexRequest` explains them.

    Raises:
        CorpusFormatError: the corpus cannot be read as asked.
        IdentityMismatch: ``model`` is not the one the collection was built with.
        CollectionLocked: another process writes to the collection.
        UsageError: ``relative``, and the corpus does not lie below the folder that holds the collection; or the
            collection is another shard than ``options.shard`` says, or is not a shard.
        ModelError: ``regions``, and the model cannot encode them.
    """
    started = time.monotonic()
    asked = index_request(options)
    place = writable_place(collection)
    corpus = (
        source
        if isinstance(source, Corpus)
        else open_for(place, str(source), asked.options, reads_all(asked))
    )
    _check_possible(place, asked, _shard_of(corpus))
    folder = common_folder(require_folder(place), corpus.uri) if asked.relative else None
    model = asked.model
    if isinstance(model, str) and not is_made(place):
        model = load_encoder(model)  # so that a name that does not exist leaves no empty collection
    with DecodePool(asked.limits, asked.workers) as pool, open_place(place, asked.timeout) as writer:
        claim_shard(writer, corpus.uri, _shard_of(corpus))
        if _is_new(
            writer, corpus
        ):  # while the model is loaded; of a known corpus, most runs have nothing to decode
            pool.start()
        if folder is not None:
            keep_relative(writer.catalogue, folder)
        indexing = _Indexing(writer, pool, corpus, bound_encoder(writer, model), asked, on_progress)
        report = indexing.report()
        # The encoder goes, unless the caller has it: to make an accelerator takes memory, too.
        del indexing, model
        return_freed_memory()
        if not report.interrupted:
            _care_for(writer, asked.model)
        return replace(report, seconds=round(time.monotonic() - started, 3))


def _care_for(writer: Writer, model: str | Path | Encoder) -> None:
    """Merge segments, and make what searches of large collections are fast by."""
    compact_if_due(writer)
    identity = writer.identity
    if identity is not None and isinstance(writer.place, Path):  # a server scans all vectors
        encode = encode_with(identity) if isinstance(model, (str, Path)) else model.encode_texts
        accelerate_if_due(writer, encode)


def open_for(place: CollectionPlace, source: str, options: CorpusOptions, read_all: bool) -> Corpus:
    """Open a corpus for a run into a collection; objects in a store that are as it noted them are not fetched for that.

    Args:
        place: of the collection, which need not be there.
        source: the corpus, as :func:`retrieval.corpora.open_corpus` takes it.
        options: how to read it.
        read_all: whether the run reads again what is as it was.

    Raises:
        CorpusFormatError, UsageError: as :func:`retrieval.corpora.open_corpus`.
    """
    noted = None
    if is_object_uri(source) and not read_all and is_made(place):
        # What is wrong with the collection, the run says when it writes to it.
        with suppress(VlsearchError), Collection.open(place) as opened, opened.reading() as view:
            noted = view.noted_objects(spec_of(source, options))
    return open_corpus(source, options, noted=noted)


def reads_all(asked: IndexRequest) -> bool:
    """Whether a run reads again what is as it was."""
    return asked.reread or asked.retry_failed


def _shard_of(corpus: Corpus) -> Shard | None:
    return None if corpus.spec is None else corpus.spec.options.shard


def _check_possible(place: CollectionPlace, asked: IndexRequest, shard: Shard | None) -> None:
    """Refuse what a shard, or a collection on a server, cannot have.

    Raises:
        UsageError: it is asked for.
    """
    if shard is not None and (asked.relative or asked.regions):
        what = "relative paths" if asked.relative else "regions"
        raise UsageError(f"a shard keeps no {what}; ask for them when the merged collection is indexed")
    of_folders = {"--relative": asked.relative, "--regions": asked.regions, "--shard": shard is not None}
    for option in (name for name, is_asked in of_folders.items() if is_asked):
        require_folder(place, f"index {option}")


def _is_new(writer: Writer, corpus: Corpus) -> bool:
    with writer.look_up() as connection:
        return not was_read(driver_connection(connection), corpus.uri)


class _Indexing:
    """One run with all that it takes: entries, what has vanished, and regions."""

    def __init__(
        self,
        writer: Writer,
        pool: DecodePool,
        corpus: Corpus,
        encoder: Encoder,
        asked: IndexRequest,
        on_progress: OnProgress | None,
    ) -> None:
        self._writer, self._pool = writer, pool
        self._corpus, self._asked = corpus, asked
        self._on_progress = on_progress
        self._encoder = encoder
        self._with_regions = wants_regions(writer, self._encoder, asked.regions)
        self._run = Run(
            writer,
            self._encoder,
            (corpus.uri, corpus.format),
            pool,
            retry_failed=asked.retry_failed,
            reread=asked.reread,
            pace=asked.pace,
        )
        run = self._run
        self._objects = ObjectsOfRun(writer, corpus, run.corpus_id, run.encoder_id, run.counts)

    def report(self) -> Report:
        """Index the corpus; give what was done, without its time."""
        counted: Counter[str] = Counter()
        if not reads_all(self._asked):
            self._objects.skip_unchanged(self._run.look_up)
        whole = self._run.take(self._objects.entries(counted), self._tell)
        left_out = dict(sorted(counted.items()))
        removed = vanished = 0
        regions: RegionsMade | None = None
        if whole:
            removed, vanished = self._settle_vanished()
            regions = self._finish(left_out)
            whole = regions is None or not regions.interrupted
        report = self._run.counts.report(
            left_out=left_out, removed=removed, vanished=vanished, interrupted=not whole, seconds=0.0
        )
        return replace(report, regions=regions)

    def _settle_vanished(self) -> tuple[int, int]:
        """Drop what is no longer in the corpus, if that is asked for; count what was dropped, and what remains."""
        run, corpus = self._run, self._corpus
        items = VanishedItems(self._writer, run.corpus_id, corpus.uri, corpus.format, run.counts.met)
        return (items.prune(self._encoder.identity), 0) if self._asked.prune else (0, items.count())

    def _finish(self, left_out: Mapping[str, int]) -> RegionsMade | None:
        """Note the run, and make the regions that the collection is to have beside vectors of its items."""
        self._writer.note_run(self._run.corpus_id, left_out, self._corpus.spec, self._objects.note())
        if not self._with_regions:
            return None
        return make_regions(self._writer, self._encoder, self._pool, on_image=self._tell_regions)

    def _tell(self, done: int, failed: int) -> None:
        if self._on_progress is not None:
            self._on_progress(Progress("indexing", done, self._corpus.total, failed))

    def _tell_regions(self, done: int, total: int, failed: int) -> None:
        if self._on_progress is not None:
            self._on_progress(Progress("encoding regions", done, total, failed))
