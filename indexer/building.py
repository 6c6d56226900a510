"""Index one corpus into a collection: what ``vlsearch index`` does, as one call."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Connection, select, true

from indexer.pipeline.report import Report
from indexer.pipeline.run import Run
from indexer.store.maintenance import compact_if_due
from indexer.store.writer import Writer
from retrieval.catalogue_name import is_collection
from retrieval.collection import schema
from retrieval.collection.catalogue import is_inside
from retrieval.corpora import Corpus, CorpusOptions, open_corpus
from retrieval.decoding.pool import DecodePool
from retrieval.encoders.registry import load_bound_encoder, load_encoder
from retrieval.errors import UsageError
from retrieval.types import Limits, OnProgress

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder


def build(
    source: str | Path | Corpus,
    collection: str | Path,
    *,
    model: str | Path | Encoder = "auto",
    options: CorpusOptions | None = None,
    limits: Limits | None = None,
    prune: bool = False,
    retry_failed: bool = False,
    reread: bool = False,
    workers: int | None = None,
    timeout: float = 0.0,
    on_progress: OnProgress | None = None,
) -> Report:
    """Index a corpus: encode what is new or changed, commit as it goes, and count.

    Run again, it encodes nothing that is there already. Killed at any moment, it has lost nothing committed and
    goes on from there. Ctrl-C commits what is done (``Report.interrupted``).

    Args:
        source: a folder, table, data set, tar (braces expanded) or list, as ``vlsearch index`` takes it; or what
            :func:`indexer.open_corpus` gave.
        collection: folder of the collection, made if it is not there.
        model: name, alias or folder of the encoder, or an encoder; ``auto`` keeps the collection's own.
        options: how to read a corpus that is named.
        limits: bytes, pixels and seconds that a picture may take, and memory that all may take that are decoded.
        prune: drop items of this corpus that have vanished from it, unless another corpus lists them too.
        retry_failed: try pictures again that failed before, even where neither they nor what may be the cause has
            changed since.
        reread: read every picture again, and download it again, even if nothing suggests that it has changed; only
            one whose bytes have changed is encoded.
        workers: processes that decode; one a core by default, fewer where memory is short.
        timeout: seconds to wait for another process that writes to the collection; by default none.
        on_progress: called after each entry.

    Raises:
        CorpusFormatError: the corpus cannot be read as asked.
        IdentityMismatch: ``model`` is not the one the collection was built with.
        CollectionLocked: another process writes to the collection.
    """
    started = time.monotonic()
    corpus = source if isinstance(source, Corpus) else open_corpus(str(source), options or CorpusOptions())
    if isinstance(model, str) and not is_collection(Path(collection)):
        model = load_encoder(model)  # so that a name that does not exist leaves no empty collection
    with (
        DecodePool(limits or Limits(), workers) as pool,
        Writer(Path(collection), timeout) as writer,
    ):
        pool.start()  # while the model is loaded
        encoder = bound_encoder(writer, model)
        run = Run(
            writer,
            encoder,
            (corpus.uri, corpus.format),
            pool,
            retry_failed=retry_failed,
            reread=reread,
            total=corpus.total,
            on_progress=on_progress,
        )
        left_out: Counter[str] = Counter()
        whole = run.take(corpus.entries(left_out))
        counts = dict(sorted(left_out.items()))
        vanished = 0
        if whole:
            unmet, folders = _not_met(writer, run, corpus.uri, corpus.format)
            if prune:
                _prune(run, corpus.uri, unmet, folders)
            else:
                vanished = run.count_vanished(unmet, folders)
            writer.note_left_out(run.source_id, counts)
            compact_if_due(writer)
        seconds = round(time.monotonic() - started, 3)
        return replace(run.report(not whole), seconds=seconds, vanished=vanished, left_out=counts)


def bound_encoder(writer: Writer, model: str | Path | Encoder) -> Encoder:
    """The encoder asked for, or with ``auto`` the one that the collection is bound to.

    Raises:
        IdentityMismatch: the collection is bound to another one.
    """
    bound = writer.identity
    if not isinstance(model, (str, Path)):
        encoder = model
    elif model == "auto" and bound is not None:
        encoder = load_bound_encoder(bound)
    else:
        encoder = load_encoder(model)
    writer.check_identity(encoder.identity)
    return encoder


def _prune(run: Run, uri: str, candidates: Collection[int], folders: Collection[int]) -> None:
    if candidates and not (run.images.count or run.texts.count):
        raise UsageError(
            f"{uri} holds nothing now, and --prune would drop all {len(candidates)} items that came from it; "
            "if the drive is not missing and that is meant, use vlsearch delete"
        )
    run.prune(candidates, folders)


def _not_met(writer: Writer, run: Run, uri: str, format_: str) -> tuple[list[int], set[int]]:
    """Items that came from this corpus and that the run has not met, ascending; and the sources that are folders."""
    items, sources = schema.items, schema.sources
    with writer.look_up() as connection:
        folders = set(connection.execute(select(sources.c.id).where(sources.c.format == "folder")).scalars())
        unmet = {item for item in _listed_by(connection, {run.source_id}, true()) if not run.was_met(item)}
        if format_ == "folder":  # files that are gone, and that a run over a folder above or below took
            inside = _listed_by(connection, folders, is_inside(items.c.uri, uri, "/"))
            unmet |= {item for item in inside if not run.was_met(item)}
    return sorted(unmet), folders


def _listed_by(
    connection: Connection, sources: Collection[int], condition: ColumnElement[bool]
) -> Iterable[int]:
    """Ids of the items that one of these sources lists."""
    items, listings = schema.items, schema.listings
    also = select(listings.c.item_id).where(listings.c.source_id.in_(sources))
    listed = items.c.source_id.in_(sources) | items.c.id.in_(also)
    return connection.execute(select(items.c.id).where(listed, condition)).scalars()
