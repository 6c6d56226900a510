"""Index one corpus into a collection: what ``vlsearch index`` does, as one call."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.pipeline.bound_encoder import bound_encoder
from indexer.pipeline.pace import INDEX_PACE, CommitPace
from indexer.pipeline.report import Report
from indexer.pipeline.run import Run
from indexer.pipeline.vanished import VanishedItems
from indexer.region_making import make_regions, wants_regions
from indexer.store.acceleration import accelerate_if_due
from indexer.store.maintenance import compact_if_due
from indexer.store.relocation import common_folder, keep_relative
from indexer.store.shard_note import claim_shard
from indexer.store.writers import is_made, open_place, writable_place
from retrieval.collection.engine import driver_connection
from retrieval.collection.known_corpora import was_read
from retrieval.corpora import Corpus, CorpusOptions, open_corpus
from retrieval.decoding.pool import DecodePool
from retrieval.encoders.registry import load_encoder
from retrieval.errors import UsageError
from retrieval.places import CollectionPlace
from retrieval.postgres_address import require_folder
from retrieval.types import Limits, OnProgress, Progress

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder


def build(
    source: str | Path | Corpus,
    collection: str | CollectionPlace,
    *,
    model: str | Path | Encoder = "auto",
    options: CorpusOptions | None = None,
    limits: Limits | None = None,
    prune: bool = False,
    retry_failed: bool = False,
    reread: bool = False,
    relative: bool = False,
    regions: bool | None = None,
    workers: int | None = None,
    timeout: float = 0.0,
    pace: CommitPace = INDEX_PACE,
    on_progress: OnProgress | None = None,
) -> Report:
    """Index a corpus: encode what is new or changed, commit as it goes, and count.

    Run again, it encodes nothing that is there already. Killed at any moment, it has lost nothing committed and
    goes on from there. Ctrl-C commits what is done (``Report.interrupted``).

    Args:
        source: a folder, table, data set, tar (braces expanded) or list, as ``vlsearch index`` takes it; or what
            :func:`indexer.open_corpus` gave.
        collection: folder of the collection, or its address on a server; made if it is not there.
        model: name, alias or folder of the encoder, or an encoder; ``auto`` keeps the collection's own.
        options: how to read a corpus that is named.
        limits: bytes, pixels and seconds that an image may take, and memory that all may take that are decoded.
        prune: drop items of this corpus that have vanished from it, unless another corpus lists them too.
        retry_failed: try images again that failed before, even where neither they nor what may be the cause has
            changed since.
        reread: read every image again, and download it again, even if nothing suggests that it has changed; only
            one whose bytes have changed is encoded.
        relative: keep the paths below the folder that holds the collection relative to it, so that both can be moved
            together (to another mount point, another computer) and are found there.
        regions: give each of the collection's images vectors of its regions too, so that small things are found: those
            that are there, and from then on those that come. False drops them. By default as the collection has it.
        workers: processes that decode; one a core by default, fewer where memory is short.
        timeout: seconds to wait for another process that writes to the collection; by default none.
        pace: how much work a commit takes.
        on_progress: called after each entry.

    Raises:
        CorpusFormatError: the corpus cannot be read as asked.
        IdentityMismatch: ``model`` is not the one the collection was built with.
        CollectionLocked: another process writes to the collection.
        UsageError: ``relative``, and the corpus does not lie below the folder that holds the collection; or the
            collection is another shard than ``options.shard`` says, or is not a shard.
        ModelError: ``regions``, and the model cannot encode them.
    """
    started = time.monotonic()
    corpus = source if isinstance(source, Corpus) else open_corpus(str(source), options or CorpusOptions())
    shard = None if corpus.spec is None else corpus.spec.options.shard
    if shard is not None and (relative or regions):
        asked = "relative paths" if relative else "regions"
        raise UsageError(f"a shard keeps no {asked}; ask for them when the merged collection is indexed")
    place = writable_place(collection)
    options_of_folders = {"--relative": relative, "--regions": regions, "--shard": shard is not None}
    for option in (name for name, is_asked in options_of_folders.items() if is_asked):
        require_folder(place, f"index {option}")
    folder = common_folder(require_folder(place), corpus.uri) if relative else None
    if isinstance(model, str) and not is_made(place):
        model = load_encoder(model)  # so that a name that does not exist leaves no empty collection
    with (
        DecodePool(limits or Limits(), workers) as pool,
        open_place(place, timeout) as writer,
    ):
        claim_shard(writer, corpus.uri, shard)
        with writer.look_up() as connection:
            is_new = not was_read(driver_connection(connection), corpus.uri)
        if is_new:  # while the model is loaded; of a corpus that is known, most runs have nothing to decode
            pool.start()
        if folder is not None:
            keep_relative(writer.catalogue, folder)
        encoder = bound_encoder(writer, model)
        with_regions = wants_regions(writer, encoder, regions)
        run = Run(
            writer,
            encoder,
            (corpus.uri, corpus.format),
            pool,
            retry_failed=retry_failed,
            reread=reread,
            pace=pace,
        )

        def tell(done: int, failed: int) -> None:
            if on_progress is not None:
                on_progress(Progress("indexing", done, corpus.total, failed))

        def tell_regions(done: int, total: int, failed: int) -> None:
            if on_progress is not None:
                on_progress(Progress("encoding regions", done, total, failed))

        left_out: Counter[str] = Counter()
        whole = run.take(corpus.entries(left_out), tell)
        counts = dict(sorted(left_out.items()))
        removed = remaining = 0
        made = None
        if whole:
            vanished = VanishedItems(writer, run.corpus_id, corpus.uri, corpus.format, run.counts.met)
            if prune:
                removed = vanished.prune(encoder.identity)
            else:
                remaining = vanished.count()
            writer.note_run(run.corpus_id, counts, corpus.spec)
            if with_regions:
                made = make_regions(writer, encoder, pool, on_image=tell_regions)
                whole = not made.interrupted
            compact_if_due(writer)
            if isinstance(place, Path):  # a server scans all vectors
                accelerate_if_due(writer, encoder.encode_texts)
        report = run.counts.report(
            left_out=counts,
            removed=removed,
            vanished=remaining,
            interrupted=not whole,
            seconds=round(time.monotonic() - started, 3),
        )
        return replace(report, regions=made)
