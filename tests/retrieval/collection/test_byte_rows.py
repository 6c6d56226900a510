"""Copies of rows in bytes: they prove what a scan of the rows finds; nobody can tell by the answers."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.collection import Collection
from retrieval.collection.score import error_bound, exact_scores
from retrieval.collection.stores import SegmentStore, byte_rows, segment_files, selected_segment
from retrieval.collection.stores.byte_rows import SCANS_BEFORE_COPY, ByteRows, CopyOf, copy_rows
from retrieval.expressions import field
from retrieval.types import Request
from tests.builders import collection_of, names_and_scores, rank_naively, unit_rows

D = 16


class Table:
    """Rows in memory."""

    def __init__(self, table: NDArray[np.float32]) -> None:
        self.table = table
        self.rows, self.dimension = table.shape

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.table[rows]


def copied(table: NDArray[np.float32]) -> ByteRows:
    copy = copy_rows(Table(table))
    assert copy is not None
    return copy


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide few rows as many are; look at few candidates."""
    monkeypatch.setattr(byte_rows, "_CHUNK_BYTES", 4 * D * 70)
    monkeypatch.setattr(byte_rows, "_LEAST_CANDIDATES", 8)


@st.composite
def tables(draw: st.DrawFn) -> NDArray[np.float32]:
    """Unit rows: some equal, some near to each other, some with one large element."""
    count = draw(st.integers(1, 300))
    rows = unit_rows(count, D, seed=draw(st.integers(0, 50)))
    equal, near = draw(st.integers(0, count)), draw(st.integers(0, count))
    rows[:equal] = rows[0]
    rows[:near] = rows[:near] * 0.01 + rows[-1]
    rows[draw(st.integers(0, count)) :, draw(st.integers(0, D - 1))] += draw(
        st.sampled_from([0.0, 0.0, 50.0])
    )
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def some_of(table: NDArray[np.float32], share: float) -> NDArray[np.int64] | None:
    """Choose rows: at least one, or None for all."""
    if share == 1:
        return None
    return (
        np.flatnonzero(np.random.default_rng(0).random(len(table)) <= share)
        if len(table) > 40
        else np.array([0])
    )


SHARES = st.sampled_from([0.1, 0.5, 1.0])


@given(table=tables(), seed=st.integers(0, 9), count=st.integers(1, 320), share=SHARES)
def test_no_row_beside_the_candidates_scores_above_the_bound(
    table: NDArray[np.float32], seed: int, count: int, share: float
) -> None:
    query = unit_rows(1, D, seed=seed)[0]
    selected = some_of(table, share)
    every = np.arange(len(table)) if selected is None else selected

    numbers, bound = copied(table).candidates(query, count, selected)

    others = np.setdiff1d(every, numbers)
    assert len(numbers) == len(np.intersect1d(numbers, every)) >= min(count, len(every))
    assert exact_scores(table[others], query).max(initial=-np.inf) <= bound
    assert (bound == -np.inf) == (not len(others))


@given(table=tables(), seed=st.integers(0, 9), k=st.integers(1, 40), share=SHARES)
def test_what_a_copy_proves_to_be_the_best_is_what_a_scan_finds(
    table: NDArray[np.float32], seed: int, k: int, share: float
) -> None:
    selected = some_of(table, share)
    every = np.arange(len(table)) if selected is None else selected
    source = Table(table)
    copy = CopyOf(source)
    copy.rows = copied(table)
    queries = unit_rows(2, D, seed=seed)

    found = copy.best(queries, min(k, len(every)), selected)

    if found is None:
        return
    for query, scores, numbers in zip(queries, *found, strict=True):
        exact = exact_scores(table, query)
        assert (np.diff(scores) <= 0).all()
        assert len(set(numbers.tolist()) & set(every.tolist())) == min(k, len(every))
        assert np.abs(scores - exact[numbers]).max() <= error_bound(D)
        assert exact[np.setdiff1d(every, numbers)].max(initial=-1) <= scores[-1] + error_bound(D)


def test_rows_at_random_are_proved_by_a_few_candidates() -> None:
    table = unit_rows(4000, 64, seed=1)
    source = Table(table)
    copy = CopyOf(source)
    copy.rows = copied(table)

    assert all(copy.best(unit_rows(1, 64, seed=seed), 10) is not None for seed in range(20))


def test_a_copy_that_proves_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_rows, "_CHUNK_BYTES", 4 * D * 5000)
    source = Table(np.repeat(unit_rows(1, D), 5000, axis=0))
    copy = CopyOf(source)
    copy.rows = copied(source.table)

    found = [copy.best(unit_rows(1, D), 5) for _ in range(40)]

    assert found == [None] * 40
    assert copy.rows is None


def test_rows_that_are_not_numbers_have_no_copy() -> None:
    for wrong in (np.nan, np.inf):
        table = unit_rows(200, D)
        table[130, 3] = wrong
        assert copy_rows(Table(table)) is None


def test_copies_take_no_more_memory_than_they_may_and_give_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = byte_rows._budget._taken
    monkeypatch.setattr(byte_rows, "MOST_BYTES", taken + 3 * 100 * D)
    sources = [Table(unit_rows(100, D, seed=seed)) for seed in range(4)]
    copies = [CopyOf(source) for source in sources]

    wanted = [[copy.scanned() for _ in range(3 * SCANS_BEFORE_COPY)].count(True) for copy in copies]
    for copy in copies[:3]:
        copy.make()

    assert wanted == [1, 1, 1, 0]
    assert byte_rows._budget._taken == taken + 3 * 100 * D
    del copies, copy
    gc.collect()
    assert byte_rows._budget._taken == taken


@pytest.fixture
def large_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have small segments scanned as large ones are."""
    monkeypatch.setattr(segment_files, "EXACT_SCAN_BYTES", 4 * D * 8)
    monkeypatch.setattr(selected_segment, "EXACT_SCAN_BYTES", 4 * D * 8)


@pytest.mark.usefixtures("large_segments")
def test_a_collection_that_is_asked_often_answers_with_the_same_bits_from_copies(tmp_path: Path) -> None:
    vectors = unit_rows(500, D)
    vectors[40:90] = vectors[7]  # ties
    names = [f"p{number:03}" for number in range(500)]
    parts = [(names[:200], vectors[:200]), (names[200:], vectors[200:])]
    queries = unit_rows(3, D, seed=8)
    requests = [Request(k, where=where) for k in (1, 30) for where in (None, field("name").contains("p1"))]

    with Collection.open(collection_of(tmp_path, *parts)) as collection:

        def answers() -> list[object]:
            with collection.reading() as view:
                return [view.search(queries[:count], "image", one) for one in requests for count in (1, 3)]

        first = answers()
        for _ in range(2 * SCANS_BEFORE_COPY):
            collection.search(queries[:1], "image", 5)
        with collection.reading() as view:
            store = view._store("image")
            assert isinstance(store, SegmentStore)
            store.run(lambda: None)  # copies are made in its threads
            store.run(lambda: None)
            assert all(segment.copy.rows is not None for segment in store.segments)
        then = answers()
        whole = collection.search(queries[:1], "image", 60)[0]

    assert then == first
    assert names_and_scores(whole) == rank_naively(names, vectors, queries[0], 60)


def test_a_store_asks_for_a_copy_after_so_many_scans_alone(
    tmp_path: Path, large_segments: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[CopyOf] = []
    monkeypatch.setattr(CopyOf, "make", lambda copy: made.append(copy))
    vectors = unit_rows(200, D)

    with Collection.open(collection_of(tmp_path, ([f"{n}" for n in range(200)], vectors))) as collection:
        for _ in range(SCANS_BEFORE_COPY - 1):
            collection.search(vectors[:1], "image", 5)
        early = len(made)
        for _ in range(3):
            collection.search(vectors[:1], "image", 5)

    assert (early, len(made)) == (0, 1)
