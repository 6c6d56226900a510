"""Copies of rows in bytes: they prove what a scan of the rows finds; nobody can tell by the answers."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.collection import Collection
from retrieval.collection.score import error_bound, exact_scores
from retrieval.collection.stores import (
    SegmentStore,
    byte_products,
    byte_rows,
    segment_files,
    segment_store,
    selected_segment,
)
from retrieval.collection.stores.byte_products import ByteProducts, multiply_bytes
from retrieval.collection.stores.byte_rows import (
    LARGEST_DIMENSION,
    SCANS_BEFORE_COPY,
    ByteRows,
    CopyOf,
    copy_rows,
)
from retrieval.expressions import field
from retrieval.openvino_runtime import is_installed
from retrieval.types import Request
from tests.builders import collection_of, names_and_scores, rank_naively, unit_rows

DIMENSIONS = st.sampled_from([8, 16, 100, 512])  # FAISS has kernels of their own for multiples of 16, of 64


MADE_BY = [
    "FAISS",
    pytest.param(
        "products", marks=pytest.mark.skipif(not is_installed(), reason="OpenVINO is not installed")
    ),
]


class Table:
    """Rows in memory."""

    def __init__(self, table: NDArray[np.float32]) -> None:
        self.table = table
        self.rows, self.dimension = table.shape

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.table[rows]

    def products(self, rows: NDArray[np.int64], query: NDArray[np.float32]) -> NDArray[np.float32]:
        products: NDArray[np.float32] = np.einsum("ij,j->i", self.table[rows], query)
        return products


def copied(table: NDArray[np.float32]) -> ByteRows:
    copy = copy_rows(Table(table))
    assert copy is not None
    return copy


@pytest.fixture(autouse=True, params=MADE_BY)
def made_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make copies in both ways, whatever this processor is good at."""
    by = str(request.param)
    monkeypatch.setattr(byte_products, "is_usable", lambda: by == "products")
    return by


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch, made_by: str) -> None:
    """Divide few rows as many are; look at few candidates."""
    monkeypatch.setattr(byte_rows, "_BLOCK_BYTES", 4 * 16 * 70)
    monkeypatch.setattr(byte_rows, "_LEAST_CANDIDATES", 8)
    monkeypatch.setattr(byte_rows, "_CANDIDATES_A_ROW", 3)
    monkeypatch.setattr(byte_rows, "_BLOCK_ROWS", 5)


@st.composite
def tables(draw: st.DrawFn) -> NDArray[np.float32]:
    """Unit rows: some equal, some near to each other, some with one large element, all near to one direction or not."""
    count, dimension = draw(st.integers(1, 300)), draw(DIMENSIONS)
    rows = unit_rows(count, dimension, seed=draw(st.integers(0, 50)))
    equal, near = draw(st.integers(0, count)), draw(st.integers(0, count))
    rows[:equal] = rows[0]
    rows[:near] = rows[:near] * 0.01 + rows[-1]
    rows += draw(st.sampled_from([0.0, 3.0])) * unit_rows(1, dimension, seed=77)
    rows[draw(st.integers(0, count)) :, draw(st.integers(0, dimension - 1))] += draw(
        st.sampled_from([0.0, 50.0])
    )
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit.astype(np.float32)


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
few_tables = settings(  # a product is compiled for each; the fixtures only say how
    max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(table=tables(), seed=st.integers(0, 9), k=st.integers(1, 320), share=SHARES)
@few_tables
def test_no_score_differs_from_the_copys_by_more_than_the_error_nor_is_above_the_bound(
    table: NDArray[np.float32], seed: int, k: int, share: float
) -> None:
    queries = unit_rows(3, table.shape[1], seed=seed)
    selected = some_of(table, share)
    every = np.arange(len(table)) if selected is None else selected

    tried = copied(table).candidates(queries, min(k, len(every)), selected)

    assert len(tried) == len(queries)
    for query, tries in zip(queries, tried, strict=True):
        exact = exact_scores(table, query)
        for found in tries:
            others = np.setdiff1d(every, found.numbers)
            assert len(found.numbers) == len(np.intersect1d(found.numbers, every)) >= min(k, len(every))
            assert (np.diff(found.scores) <= 0).all()
            assert np.abs(exact[found.numbers] - found.scores).max() <= found.error
            assert exact[others].max(initial=-np.inf) <= found.bound
            assert (found.bound == -np.inf) == (not len(others))


@given(table=tables(), seed=st.integers(0, 9), k=st.integers(1, 40), share=SHARES)
@few_tables
def test_what_a_copy_proves_to_be_the_best_is_what_a_scan_finds(
    table: NDArray[np.float32], seed: int, k: int, share: float
) -> None:
    selected = some_of(table, share)
    every = np.arange(len(table)) if selected is None else selected
    source = Table(table)
    copy = CopyOf(source)
    copy.rows = copied(table)
    queries = unit_rows(2, table.shape[1], seed=seed)

    found = copy.best(queries, min(k, len(every)), selected)

    if found is None:
        return
    bound = error_bound(table.shape[1])
    for query, scores, numbers in zip(queries, *found, strict=True):
        exact = exact_scores(table, query)
        assert (np.diff(scores) <= 0).all()
        assert len(set(numbers.tolist()) & set(every.tolist())) == min(k, len(every))
        assert np.abs(scores - exact[numbers]).max() <= bound
        assert exact[np.setdiff1d(every, numbers)].max(initial=-1) <= scores[-1] + bound


@pytest.mark.parametrize("dimension", [64, 100, 512, 1024])
def test_thousands_of_rows_are_proved_and_come_in_the_order_of_their_scores(
    dimension: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    table = unit_rows(9000, dimension, seed=1)
    source = Table(table)
    copy = CopyOf(source)
    copy.rows = copied(table)

    for seed in range(10):
        query = unit_rows(1, dimension, seed=100 + seed)
        found = copy.best(query, 10)
        assert found is not None
        exact = exact_scores(table, query[0])
        assert exact[found[1][0]].tolist() == sorted(exact.tolist(), reverse=True)[:10]


def test_several_queries_have_what_each_has_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    source = Table(unit_rows(9000, 100, seed=1))
    copy = CopyOf(source)
    copy.rows = copied(source.table)
    queries = unit_rows(byte_rows.FEW_QUERIES, 100, seed=2)

    together = copy.best(queries, 20)

    assert together is not None
    for number in range(len(queries)):
        alone = copy.best(queries[number : number + 1], 20)
        assert alone is not None
        assert together[0][number].tobytes() == alone[0][0].tobytes()
        assert together[1][number].tolist() == alone[1][0].tolist()


def test_a_copy_that_proves_nothing_is_dropped() -> None:
    source = Table(np.repeat(unit_rows(1, 16), 5000, axis=0))
    copy = CopyOf(source)
    copy.rows = copied(source.table)

    found = [copy.best(unit_rows(1, 16), 5) for _ in range(40)]

    assert found == [None] * 40
    assert copy.rows is None


def test_rows_without_a_length_are_searched_and_prove_nothing_or_what_is_so() -> None:
    source = Table(np.zeros((5000, 16), np.float32))
    copy = CopyOf(source)
    copy.rows = copied(source.table)

    found = copy.best(unit_rows(2, 16), 5)

    assert found is None or (found[0] == 0).all()


def test_rows_that_are_not_numbers_and_rows_too_long_for_exact_sums_have_no_copy() -> None:
    for wrong in (np.nan, np.inf):
        table = unit_rows(200, 16)
        table[130, 3] = wrong
        assert copy_rows(Table(table)) is None
    assert copy_rows(Table(unit_rows(20, LARGEST_DIMENSION + 1))) is None
    assert (np.float32(LARGEST_DIMENSION * 127 * 127) + 1) - np.float32(LARGEST_DIMENSION * 127 * 127) == 1


@pytest.mark.parametrize("made_by", MADE_BY[1:], indirect=True)
def test_several_threads_have_the_sums_of_their_own_queries() -> None:
    random = np.random.default_rng(0)
    rows = random.integers(-127, 128, (5000, 100))
    products = multiply_bytes(5000, 100, 8, lambda table: np.copyto(table, rows, casting="unsafe"))
    assert products is not None

    def ask(count: int) -> bool:
        queries = np.random.default_rng(count).integers(-127, 128, (1 + count % 8, 100))
        with products.sums(queries.astype(np.float32)) as sums:
            return np.array_equal(sums.astype(np.int64), queries @ rows.T)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ask, range(100)))


@pytest.mark.parametrize("made_by", ["FAISS"], indirect=True)
def test_sums_that_are_not_those_of_the_numbers_prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    search = byte_rows._search
    monkeypatch.setattr(
        byte_rows, "_search", lambda *given: (search(*given)[0] + np.float32(1), search(*given)[1])
    )

    assert copy_rows(Table(unit_rows(200, 16))) is None


@pytest.mark.parametrize("made_by", MADE_BY[1:], indirect=True)
def test_products_that_are_added_in_too_few_bits_are_left_to_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = ByteProducts._sums

    @contextmanager
    def saturated(*given: Any) -> Iterator[NDArray[np.float32]]:
        with sums(*given) as found:
            yield np.minimum(found, 100 * 127 * 127 - 1)

    exact = copied(Table(unit_rows(200, 100)).table)
    monkeypatch.setattr(ByteProducts, "_sums", saturated)
    other = copied(Table(unit_rows(200, 100)).table)

    assert isinstance(exact._numbers, ByteProducts)
    assert not isinstance(other._numbers, ByteProducts)


def test_copies_take_no_more_memory_than_they_may_and_give_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = byte_rows._budget._taken
    monkeypatch.setattr(byte_rows, "MOST_BYTES", taken + 3 * 100 * 16)
    sources = [Table(unit_rows(100, 16, seed=seed)) for seed in range(4)]
    copies = [CopyOf(source) for source in sources]

    wanted = [[copy.scanned(1) for _ in range(3 * SCANS_BEFORE_COPY)].count(True) for copy in copies]
    for copy in copies[:3]:
        copy.make()

    assert wanted == [1, 1, 1, 0]
    assert byte_rows._budget._taken == taken + 3 * 100 * 16
    del copies, copy
    gc.collect()
    assert byte_rows._budget._taken == taken


D = 16


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
            ends = time.monotonic() + 60
            while any(segment.copy.rows is None for segment in store.segments):  # made in its threads
                assert time.monotonic() < ends
                time.sleep(0.01)
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
        collection.search(vectors[:7], "image", 5)  # a scan for each of the queries
        for _ in range(SCANS_BEFORE_COPY - 8):
            collection.search(vectors[:1], "image", 5)
        early = len(made)
        for _ in range(3):
            collection.search(vectors[:1], "image", 5)

    assert (early, len(made)) == (0, 1)


@pytest.mark.parametrize(("part_bytes", "is_in_one_thread"), [(4 * D * 60, True), (4 * D * 60 - 1, False)])
def test_small_segments_are_searched_in_one_thread_only_where_they_are_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_bytes: int, is_in_one_thread: bool
) -> None:
    monkeypatch.setattr(segment_store, "PART_BYTES", part_bytes)
    vectors = unit_rows(60, D)
    names = [f"{number}" for number in range(60)]

    with (
        Collection.open(
            collection_of(tmp_path, (names[:30], vectors[:30]), (names[30:], vectors[30:]))
        ) as held,
        held.reading() as view,
    ):
        store = view._store("image")
        assert isinstance(store, SegmentStore)
        assert len(store.segments) == 2
        found = store._in_copies(vectors[:1], 5)
        hits = view.search(vectors[:1], "image", Request(5))[0]

    assert (found is not None) == is_in_one_thread
    assert names_and_scores(hits) == rank_naively(names, vectors, vectors[0], 5)
