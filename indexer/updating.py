"""Index again what a collection was made from: what ``vlsearch index`` does without a corpus, as one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Unpack

from indexer.building import build, open_for, reads_all
from indexer.index_request import OF_UPDATE, UpdateOptions, index_request
from indexer.pipeline.report import Report
from indexer.store.writers import writable_place
from retrieval.collection import Collection, KnownCorpus
from retrieval.corpora import CorpusSpec
from retrieval.errors import CollectionLocked, CollectionUnreachable, UsageError, VlsearchError
from retrieval.places import CollectionPlace
from retrieval.types import OnProgress


@dataclass(frozen=True, slots=True)
class Updated:
    """What became of a known corpus.

    Attributes:
        corpus: as the collection knew it.
        report: of the run; None where it could not be read.
        error: why not.
    """

    corpus: KnownCorpus
    report: Report | None
    error: VlsearchError | None = None


def update(
    collection: str | CollectionPlace,
    *,
    is_wanted: Callable[[KnownCorpus], bool] | None = None,
    on_corpus: Callable[[KnownCorpus], None] | None = None,
    on_progress: OnProgress | None = None,
    **options: Unpack[UpdateOptions],
) -> Iterator[Updated]:
    """Index each corpus of a collection again as it was indexed before, one after the other, lazily.

    A corpus that cannot be read, because its drive is missing, does not keep the others from being indexed. Left out
    are corpora of which no version has noted how they were read (index them once more by name), and items that no
    corpus lists. After a run that was interrupted, the others are not begun.

    Args:
        collection: folder of the collection, or its address on a server.
        is_wanted: which corpora; by default all.
        on_corpus: called before each corpus.
        on_progress: called after each entry.
        options: ``model``, ``limits``, ``prune``, ``retry_failed``, ``reread``, ``relative``, ``regions``, ``workers``
            and ``timeout``, as :class:`indexer.index_request.IndexRequest` explains them.

    Raises:
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to the collection.
        CollectionUnreachable: its server does not answer, or has gone away.
        UsageError: it has no corpus that can be read again.
    """
    asked = index_request(options, OF_UPDATE)  # so that a wrong keyword is told before anything is done
    for corpus, spec in readable_corpora(collection):
        if is_wanted is not None and not is_wanted(corpus):
            continue
        if on_corpus is not None:
            on_corpus(corpus)
        try:
            corpus_again = open_for(writable_place(collection), spec.source, spec.options, reads_all(asked))
            report = build(corpus_again, collection, on_progress=on_progress, **options)
        except (CollectionLocked, CollectionUnreachable):
            raise
        except VlsearchError as error:
            yield Updated(corpus, None, error)
            continue
        yield Updated(corpus, report)
        if report.interrupted:
            return


def readable_corpora(collection: str | CollectionPlace) -> list[tuple[KnownCorpus, CorpusSpec]]:
    """Give the corpora of a collection of which it is known how they are read.

    Raises:
        CollectionNotFound: there is no collection.
        UsageError: there are none.
    """
    with Collection.open(writable_place(collection)) as opened:
        known = [(corpus, corpus.spec) for corpus in opened.corpora() if corpus.spec is not None]
    if not known:
        raise UsageError(
            f"collection {collection} does not know how its corpora are read; index each once more by its name"
        )
    return known
