"""What every vector store must do; an implementation is added to ``STORES``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.collection.layout import segments_path
from retrieval.collection.score import error_bound, exact_scores
from retrieval.collection.search import search
from retrieval.collection.segments import WrittenSegment, new_stem, open_segment, write_segment
from retrieval.collection.stores import Proposals, SegmentStore, VectorStore
from retrieval.collection.stores.segments import search_threads
from retrieval.types import Kind
from tests.builders import unit_rows

D = 16
Part = tuple[NDArray[np.int64], NDArray[np.float32]]
OpenStore = Callable[[Sequence[Part]], AbstractContextManager[VectorStore]]


class PlainProposals:
    """Every row at once."""

    unseen_bound = -np.inf

    def __init__(self, ids: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        self.ids, self.scores = ids, scores

    def deepen(self, floor: float) -> None:
        raise AssertionError("there is nothing more to show")


class PlainStore:
    """Rows in memory, all of them proposed: the plainest store there can be."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.ids = np.concatenate([np.empty(0, np.int64), *(ids for ids, _ in parts)])
        self.table = np.concatenate([np.empty((0, D), np.float32), *(rows for _, rows in parts)])
        self.rows = len(self.ids)

    def propose(
        self, queries: NDArray[np.float32], depth: int, masked: NDArray[np.int64]
    ) -> list[PlainProposals]:
        live = ~np.isin(self.ids, masked)
        return [PlainProposals(self.ids[live], self.table[live] @ query) for query in queries]

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        place = {number: at for at, number in enumerate(self.ids.tolist())}
        return np.array([self.table[place[number]] for number in ids.tolist()], np.float32).reshape(-1, D)


@contextmanager
def plain_store(parts: Sequence[Part]) -> Iterator[VectorStore]:
    yield PlainStore(parts)


@dataclass(frozen=True)
class Facts:
    """A row of the table ``segments``, as far as opening its files needs it."""

    id: int
    rows: int
    vectors_name: str
    vectors_size: int
    ids_name: str
    ids_size: int
    kind: Kind = "image"


def facts_of(number: int, written: WrittenSegment) -> Facts:
    vectors, ids = written.vectors, written.ids
    return Facts(number, written.rows, vectors.name, vectors.size, ids.name, ids.size)


@contextmanager
def segment_store(parts: Sequence[Part]) -> Iterator[VectorStore]:
    with tempfile.TemporaryDirectory() as folder, search_threads(2) as threads:
        path = Path(folder)
        segments_path(path).mkdir()
        segments = []
        for number, (ids, rows) in enumerate(parts):
            if len(ids):
                written = write_segment(path, new_stem(1), ids, [rows])
                segments.append(open_segment(path, facts_of(number, written)))
        yield SegmentStore(segments, threads)


STORES = pytest.mark.parametrize("opened", [plain_store, segment_store])


@st.composite
def stored(draw: st.DrawFn) -> tuple[list[Part], NDArray[np.int64]]:
    """Rows in a few parts, bursts of equal ones among them, and the ids that are masked."""
    n = draw(st.integers(0, 250))
    rows = unit_rows(max(n, 1), D, seed=draw(st.integers(0, 20)))[:n]
    burst = draw(st.integers(0, n))
    rows[:burst] = rows[:1]
    ids = np.cumsum(np.array(draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)), np.int64))
    owner = np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), np.int64)
    masked = ids[np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)]
    return [(ids[owner == part], rows[owner == part]) for part in range(3)], masked


def shown_completely(found: Proposals) -> dict[int, float]:
    while found.unseen_bound > -np.inf:
        before = len(found.ids), found.unseen_bound
        found.deepen(-np.inf)
        assert (len(found.ids), found.unseen_bound) != before, (
            "a call that shows nothing new would go on for ever"
        )
    return dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))


@STORES
@given(held=stored(), depth=st.integers(1, 40))
def test_a_store_shows_every_live_row_once_and_no_masked_one(
    opened: OpenStore, held: tuple[list[Part], NDArray[np.int64]], depth: int
) -> None:
    parts, masked = held
    exact = {
        number: score
        for ids, rows in parts
        for number, score in zip(
            ids.tolist(), exact_scores(rows, unit_rows(1, D, seed=99)[0]).tolist(), strict=True
        )
        if number not in set(masked.tolist())
    }

    with opened(parts) as store:
        (found,) = store.propose(unit_rows(1, D, seed=99), depth, masked)
        shown = shown_completely(found)

    assert shown.keys() == exact.keys()
    assert all(abs(shown[number] - exact[number]) <= error_bound(D) for number in shown)


@STORES
@given(held=stored(), depth=st.integers(1, 40))
def test_no_row_that_is_not_shown_scores_above_the_bound(
    opened: OpenStore, held: tuple[list[Part], NDArray[np.int64]], depth: int
) -> None:
    parts, masked = held
    query = unit_rows(1, D, seed=98)

    with opened(parts) as store:
        (found,) = store.propose(query, depth, masked)
        bound, first = found.unseen_bound, set(found.ids.tolist())
        later = shown_completely(found)

    assert all(score <= bound + error_bound(D) for number, score in later.items() if number not in first)


@STORES
@given(held=stored(), seed=st.integers(0, 5))
def test_vectors_come_by_id_in_the_order_asked_for_bit_for_bit(
    opened: OpenStore, held: tuple[list[Part], NDArray[np.int64]], seed: int
) -> None:
    parts, _ = held
    of = {number: row for ids, rows in parts for number, row in zip(ids.tolist(), rows, strict=True)}
    asked = np.random.default_rng(seed).permutation(np.array(sorted(of), np.int64))

    with opened(parts) as store:
        vectors = store.vectors(asked)

    assert [row.tobytes() for row in vectors] == [of[number].tobytes() for number in asked.tolist()]


@STORES
def test_an_id_that_the_store_does_not_hold_is_a_key_error(opened: OpenStore) -> None:
    with opened([(np.array([3, 5], np.int64), unit_rows(2, D))]) as store, pytest.raises(KeyError):
        store.vectors(np.array([4], np.int64))


@given(held=stored(), k=st.integers(1, 60))
def test_all_stores_give_the_same_candidates(held: tuple[list[Part], NDArray[np.int64]], k: int) -> None:
    parts, masked = held
    queries = unit_rows(2, D, seed=97)
    answers = []

    for opened in (plain_store, segment_store):
        with opened(parts) as store:
            found = search(store, queries, k, masked)
            answers.append([sorted(zip(c.ids.tolist(), c.scores.tolist(), strict=True)) for c in found])

    assert answers[0] == answers[1]
