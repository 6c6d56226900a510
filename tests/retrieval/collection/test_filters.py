"""Filtered searches: equal, bit for bit, to keeping what meets the condition of a ranking of everything."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import indexer
from indexer.store.changes import Change, NewContent, NewItem
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.collection.score import exact_scores
from retrieval.errors import FilterError
from retrieval.expressions import Expression
from retrieval.identity import Identity
from retrieval.types import Kind, Request
from retrieval.uris import file_uri
from tests.builders import IDENTITY, unit_rows
from tests.conditions import PlainItem, expressions, naive, random_items

ITEMS = 90
NUMBER_OF_QUERIES = 4


class Filled:
    """A collection, and what was put into it, in the order of item ids."""

    def __init__(
        self, collection: Collection, items: list[PlainItem], vectors: NDArray[np.float32], uris: list[str]
    ) -> None:
        self.collection, self.items, self.vectors, self.uris = collection, items, vectors, uris


def fill(
    path: Path,
    items: list[PlainItem],
    vectors: NDArray[np.float32],
    parts: int = 3,
    identity: Identity = IDENTITY,
) -> list[str]:
    """Commit items in some parts; every seventh has the content of the one before it."""
    uris = []
    with Writer(path) as writer:
        for numbers in np.array_split(np.arange(len(items)), parts):
            change = Change()
            for number in numbers.tolist():
                item = items[number]
                uri = f"key:{item.key}" if item.path is None else file_uri(Path(item.path))
                corpus = writer.ensure_corpus(file_uri(Path(item.corpora[0])), "test")
                text = f"text {number}" if item.kind == "text" else None
                digest = hashlib.sha256(f"{number}".encode()).digest()
                content = NewContent(item.kind, digest, vectors[number], text, item.width, item.height)
                change.contents[item.kind, digest] = content
                stamp = None if item.bytes is None else f"{item.bytes}:17"
                change.items[uri] = NewItem(
                    uri, item.kind, digest, corpus, item.key, item.lang, item.attributes, stamp
                )
                uris.append(uri)
            writer.commit(change, identity)
    return uris


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Filled]]:
    """Two collections of random items, some of the second hidden."""
    made = []
    for seed in (1, 2):
        path = tmp_path_factory.mktemp("filters") / "collection"
        items, vectors = random_items(ITEMS, seed), unit_rows(ITEMS, seed=seed)
        vectors[::9] = vectors[0]
        uris = fill(path, items, vectors)
        if seed == 2:
            indexer.hide(path, [uri.removeprefix("key:") for uri in uris[::11]])
            items = [item for number, item in enumerate(items) if number % 11]
            vectors = np.delete(vectors, np.s_[::11], axis=0)
            uris = [uri for number, uri in enumerate(uris) if number % 11]
        made.append(Filled(Collection.open(path), items, vectors, uris))
    yield made
    for one in made:
        one.collection.close()


def ranked_naively(
    held: Filled, met: list[bool], query: NDArray[np.float32], kind: Kind, request: Request
) -> list[tuple[str, float]]:
    """Uris and scores of the best items of a kind that meet a condition, from a ranking of everything."""
    scores = exact_scores(held.vectors, query).tolist()
    order = sorted(range(len(scores)), key=lambda number: (-scores[number], number))
    kept = [number for number in order if met[number] and held.items[number].kind == kind]
    if request.min_score is not None:
        kept = [number for number in kept if scores[number] >= request.min_score]
    chosen = kept[request.offset : request.offset + request.k]
    return [(held.uris[number], scores[number]) for number in chosen]


def check_one_filter(
    held: Filled, where: Expression, kind: Kind, seed: int, k: int, offset: int, min_score: float | None
) -> None:
    request = Request(k, offset=offset, where=where, min_score=min_score)
    queries = unit_rows(NUMBER_OF_QUERIES, seed=seed)
    met = naive(where, held.items)

    with held.collection.reading() as view:
        if met is None:
            with pytest.raises(FilterError):
                view.search(queries, kind, request)
            return
        found = view.search(queries, kind, request)

    for hits, query in zip(found, queries, strict=True):
        assert [(hit.uri, hit.score) for hit in hits] == ranked_naively(held, met, query, kind, request)
        assert [hit.rank for hit in hits] == list(range(offset + 1, offset + 1 + len(hits)))


FILTERS = given(
    number=st.integers(0, 1),
    where=expressions(),
    kind=st.sampled_from(["image", "image", "text"]),
    seed=st.integers(50, 60),
    k=st.integers(1, 100),
    offset=st.sampled_from([0, 0, 1, 30]),
    min_score=st.sampled_from([None, None, 0.1]),
)


@settings(max_examples=200)
@FILTERS
def test_a_filtered_search_is_what_a_ranking_of_everything_keeps_bit_for_bit(
    filled: list[Filled],
    number: int,
    where: Expression,
    kind: Kind,
    seed: int,
    k: int,
    offset: int,
    min_score: float | None,
) -> None:
    check_one_filter(filled[number], where, kind, seed, k, offset, min_score)


@pytest.mark.slow
@settings(max_examples=10_000)
@FILTERS
def test_ten_thousand_filtered_searches_are_what_rankings_of_everything_keep(
    filled: list[Filled],
    number: int,
    where: Expression,
    kind: Kind,
    seed: int,
    k: int,
    offset: int,
    min_score: float | None,
) -> None:
    check_one_filter(filled[number], where, kind, seed, k, offset, min_score)
