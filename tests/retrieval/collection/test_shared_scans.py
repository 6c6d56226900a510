"""Searches that wait for each other share a scan, and nobody can tell by the answers."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.collection import Collection
from retrieval.collection.stores import SegmentStore, segment_files, segment_store
from retrieval.collection.stores.shared_scans import MOST_SHARED, Found, SharedScans
from retrieval.expressions import field
from retrieval.types import Hit, Request
from tests.builders import collection_of, names_and_scores, rank_naively, unit_rows

Queries = NDArray[np.float32]
D = 8


class Gate:
    """A scan of numbered queries that waits to be let through, and notes what came together."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Semaphore(0), threading.Semaphore(0)
        self.seen: list[list[float]] = []

    def scan(self, queries: Queries, depth: int) -> Found:
        """Find the number of each query, as often as was asked for; refuse numbers below 0."""
        self.seen.append(queries[:, 0].tolist())
        self.entered.release()
        assert self.open.acquire(timeout=30)
        if (queries < 0).any():
            raise ValueError(f"no rows for {queries.min()}")
        return [(np.repeat(queries, depth, axis=1), np.zeros((len(queries), depth), np.int64))]


def query(number: float) -> Queries:
    return np.full((1, 1), number, np.float32)


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that other threads bring about."""
    waited = threading.Event()
    for _ in range(3000):
        if holds():
            return
        waited.wait(0.01)
    raise AssertionError("it never came")


@contextmanager
def behind_one(
    gate: Gate, numbers: Sequence[float], depth: int = 1
) -> Iterator[tuple[Future[Found], list[Future[Found]]]]:
    """Have searches wait behind the scan of one for 100: its answer, and theirs, while that scan runs."""
    shared = SharedScans()
    with ThreadPoolExecutor(len(numbers) + 1) as threads:
        first = threads.submit(shared.search, gate.scan, query(100), depth)
        assert gate.entered.acquire(timeout=30)
        later = []
        for place, number in enumerate(numbers, start=1):
            later.append(threads.submit(shared.search, gate.scan, query(number), depth))
            until(lambda place=place: len(shared._waiting) == place)  # type: ignore[misc]
        yield first, later


def test_a_search_alone_is_scanned_at_once() -> None:
    gate = Gate()
    gate.open.release()

    [(scores, _)] = SharedScans().search(gate.scan, query(1), 2)

    assert gate.seen == [[1]]
    assert scores.tolist() == [[1, 1]]


def test_searches_that_come_during_a_scan_share_the_next_one() -> None:
    gate = Gate()
    with behind_one(gate, [1, 2, 3]) as (first, later):
        gate.open.release(2)
        assert first.result(30)[0][0].tolist() == [[100]]
        assert [one.result(30)[0][0].item() for one in later] == [1, 2, 3]

    assert gate.seen == [[100], [1, 2, 3]]


def test_no_more_than_so_many_share_a_scan() -> None:
    gate = Gate()
    numbers = list(range(MOST_SHARED + 3))
    with behind_one(gate, numbers) as (_, later):
        gate.open.release(3)
        assert [one.result(30)[0][0].item() for one in later] == numbers

    assert [len(one) for one in gate.seen] == [1, MOST_SHARED, 3]


def test_an_error_of_one_search_costs_that_one_alone() -> None:
    gate = Gate()
    with behind_one(gate, [1, -5, 3]) as (first, later):
        gate.open.release(5)  # the first, the shared one that fails, and each of the three alone
        assert first.result(30)
        assert later[0].result(30)[0][0].item() == 1
        with pytest.raises(ValueError, match="no rows for -5"):
            later[1].result(30)
        assert later[2].result(30)[0][0].item() == 3


def test_a_thread_that_is_interrupted_while_it_scans_holds_up_nobody() -> None:
    gate = Gate()

    def interrupted(queries: Queries, depth: int) -> Found:
        found = gate.scan(queries, depth)
        if queries[0, 0] == 1:
            raise KeyboardInterrupt
        return found

    shared = SharedScans()
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(shared.search, interrupted, query(100), 1)
        assert gate.entered.acquire(timeout=30)
        later = []
        for place, number in enumerate((1, 2, 3), start=1):
            later.append(threads.submit(shared.search, interrupted, query(number), 1))
            until(lambda place=place: len(shared._waiting) == place)  # type: ignore[misc]
        gate.open.release(3)
        assert first.result(30)
        with pytest.raises(KeyboardInterrupt):
            later[0].result(30)
        assert [one.result(30)[0][0].item() for one in later[1:]] == [2, 3]

    assert gate.seen == [[100], [1, 2, 3], [2, 3]]
    gate.open.release()
    assert shared.search(interrupted, query(4), 1)[0][0].item() == 4


@pytest.mark.parametrize("has_turn", [False, True])
def test_a_thread_that_is_interrupted_while_it_waits_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, has_turn: bool
) -> None:
    gate = Gate()
    shared = SharedScans()
    shared._is_scanning = True  # as if another thread did

    def wait(event: threading.Event, timeout: float | None = None) -> bool:
        shared._waiting[0].scans = has_turn
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Event, "wait", wait)
        with pytest.raises(KeyboardInterrupt):
            shared.search(gate.scan, query(7), 1)

    assert shared._waiting == []
    assert shared._is_scanning is not has_turn


@pytest.fixture(params=[2, 8], ids=["two cores", "eight cores"])
def small_parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have small segments scanned as large ones are: in parts, by other threads, for all that wait."""
    monkeypatch.setattr(segment_store, "CORES", request.param)
    monkeypatch.setattr(segment_files, "EXACT_SCAN_BYTES", 4 * D * 8)
    monkeypatch.setattr(segment_store, "PART_BYTES", 4 * D * 32)


@pytest.mark.usefixtures("small_parts")
@settings(max_examples=5)
@given(data=st.data(), seed=st.integers(0, 99))
def test_searches_side_by_side_find_the_same_bits_as_one_after_the_other(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, seed: int
) -> None:
    vectors = unit_rows(300, D, seed=seed)
    vectors[40:90] = vectors[7]  # ties at many a boundary
    names = [f"p{number:03}" for number in range(300)]
    parts = [(names[:130], vectors[:130]), (names[130:], vectors[130:])]
    queries = np.concatenate([vectors[:8], unit_rows(24, D, seed=seed + 1)])
    conditions = [None, field("name").contains("p1"), field("name").contains("7")]
    request = st.builds(
        Request,
        st.sampled_from([1, 5, 60, 400]),
        distinct=st.booleans(),
        offset=st.sampled_from([0, 0, 45]),
        where=st.sampled_from(conditions),
    )
    requests = data.draw(st.lists(request, min_size=len(queries), max_size=len(queries)))

    with Collection.open(collection_of(tmp_path_factory.mktemp("many"), *parts)) as collection:

        def search(number: int) -> list[Hit]:
            with collection.reading() as view:
                return view.search(queries[number : number + 1], "image", requests[number])[0]

        with ThreadPoolExecutor(8) as threads:
            together = list(threads.map(search, range(len(queries))))
        alone = [search(number) for number in range(len(queries))]
        whole = collection.search(queries[:1], "image", 60)[0]

    assert together == alone
    assert names_and_scores(whole) == rank_naively(names, vectors, queries[0], 60)


@pytest.mark.usefixtures("small_parts")
def test_a_search_of_another_dimension_costs_those_beside_it_nothing(tmp_path: Path) -> None:
    vectors = unit_rows(300, D)
    names = [f"{number}" for number in range(300)]
    with Collection.open(collection_of(tmp_path, (names, vectors))) as collection:
        with ThreadPoolExecutor(8) as threads:
            wrong = [threads.submit(collection.search, unit_rows(1, D + 1), "image", 5) for _ in range(8)]
            right = [threads.submit(collection.search, vectors[at : at + 1], "image", 5) for at in range(30)]
        assert all(one.exception() is not None for one in wrong)
        for at, one in enumerate(right):
            assert names_and_scores(one.result()[0]) == rank_naively(names, vectors, vectors[at], 5)


@pytest.mark.usefixtures("small_parts")
def test_a_collection_that_is_closed_lets_go_of_its_files(tmp_path: Path) -> None:
    vectors = unit_rows(300, D)
    names = [f"{number}" for number in range(300)]
    gc.disable()  # so that nothing is let go of by chance
    try:
        with Collection.open(collection_of(tmp_path, (names, vectors))) as collection:
            assert collection.search(vectors[:1], "image", 5)
            with collection.reading() as view:
                store = view._store("image")
                assert isinstance(store, SegmentStore)
                [segment] = store.segments
                mapped = weakref.ref(segment)
            del view, segment, store
        del collection
        assert mapped() is None
    finally:
        gc.enable()
