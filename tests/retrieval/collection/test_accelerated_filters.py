"""Filtered searches of an accelerated collection: never fewer hits than there are, exact scores, in the exact order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import indexer
from retrieval.collection import Collection
from retrieval.collection.accelerators.inverted_file import InvertedFile
from retrieval.collection.accelerators.search import _is_deep
from retrieval.collection.score import exact_scores
from retrieval.errors import FilterError
from retrieval.expressions import Expression
from retrieval.identity import Identity
from retrieval.types import Request
from tests.conditions import expressions, naive, random_items
from tests.retrieval.collection.test_accelerators import images_and_texts
from tests.retrieval.collection.test_filters import Filled, fill

ITEMS, DIMENSION, QUERIES = 4000, 64, 200
IDENTITY = Identity("generated", "generated", "0" * 64, "", DIMENSION, "{}")


@dataclass(frozen=True)
class Accelerated:
    """A collection with an accelerator, what was put into it, and queries that it does not hold."""

    held: Filled
    queries: NDArray[np.float32]

    def ranked(self, where: Expression, query: NDArray[np.float32]) -> list[tuple[str, float]] | None:
        """Rank all images that meet a condition; None where it cannot be asked."""
        met = naive(where, self.held.items)
        if met is None:
            return None
        scores = exact_scores(self.held.vectors, query)
        order = np.lexsort((np.arange(len(scores)), -scores)).tolist()
        return [
            (self.held.uris[number], float(scores[number]))
            for number in order
            if met[number] and self.held.items[number].kind == "image"
        ]


@pytest.fixture(scope="module")
def accelerated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accelerated]:
    path = tmp_path_factory.mktemp("accelerated") / "collection"
    images, texts = images_and_texts(ITEMS, ITEMS + QUERIES, 3)
    items = random_items(ITEMS, 5)
    is_image = np.array([item.kind == "image" for item in items])
    vectors = np.where(is_image[:, None], images, texts[:ITEMS]).astype(np.float32)
    uris = fill(path, items, vectors, parts=1, identity=IDENTITY)
    indexer.accelerate(path, from_rows=1)
    asked = 0
    propose = InvertedFile.propose_some

    def counted(*given: Any) -> Any:
        nonlocal asked
        asked += 1
        return propose(*given)

    with Collection.open(path) as collection, pytest.MonkeyPatch.context() as patched:
        patched.setattr(InvertedFile, "propose_some", counted)
        yield Accelerated(Filled(collection, items, vectors, uris), texts[ITEMS:])
    print(f"the accelerator proposed in {asked} searches")
    assert asked, "conditions that leave many are asked of the accelerator"


def check(accelerated: Accelerated, where: Expression, number: int, k: int) -> None:
    query = accelerated.queries[number]
    ranked = accelerated.ranked(where, query)
    with accelerated.held.collection.reading() as view:
        if ranked is None:
            with pytest.raises(FilterError):
                view.search(query[None], "image", Request(k, where=where))
            return
        (hits,) = view.search(query[None], "image", Request(k, where=where))
        (exact,) = view.search(query[None], "image", Request(k, where=where, exact=True))

    assert [(hit.uri, hit.score) for hit in exact] == ranked[:k]
    found = [(hit.uri, hit.score) for hit in hits]
    assert len(found) == min(k, len(ranked))
    places = {one: place for place, one in enumerate(ranked)}
    assert [places[one] for one in found] == sorted({places[one] for one in found})


CONDITIONS = given(where=expressions(), number=st.integers(0, QUERIES - 1), k=st.sampled_from([1, 10, 100]))


@pytest.mark.slow
@settings(max_examples=10_000)
@CONDITIONS
def test_ten_thousand_filtered_searches_lose_no_hit_no_bit_and_no_order(
    accelerated: Accelerated, where: Expression, number: int, k: int
) -> None:
    check(accelerated, where, number, k)


@pytest.mark.parametrize(
    ("scores", "by_codes", "wanted", "is_deep"),
    [
        ([0.9, 0.8, 0.3, 0.2], [0.91, 0.79, 0.31, 0.19], 4, True),
        (
            [0.32, 0.31, 0.3, 0.29],
            [0.35, 0.31, 0.28, 0.27],
            4,
            False,
        ),  # codes err by more than the hits differ
        ([0.9, 0.8, 0.3], [0.91, 0.79, 0.31], 4, False),  # fewer than were asked for
    ],
)
def test_the_exact_search_answers_unless_the_hits_stand_clear_of_what_was_not_proposed(
    scores: list[float], by_codes: list[float], wanted: int, is_deep: bool
) -> None:
    given = np.array(scores, np.float32), np.array(by_codes, np.float32)

    assert _is_deep(*given, wanted, kth=scores[1]) == is_deep
