"""What every vector store must do, reading and writing; an implementation is added to ``STORES``."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.collection.layout import segments_path
from retrieval.collection.score import error_bound, exact_scores
from retrieval.collection.search import search
from retrieval.collection.stores import (
    Proposals,
    SegmentStore,
    SegmentWriter,
    VectorStore,
    VectorWriter,
    WrittenVectors,
    search_threads,
    segment_files,
    selected_segment,
)
from retrieval.collection.stores.protocols import check_rows
from retrieval.collection.stores.segment_files import open_segment
from tests.builders import unit_rows
from tests.postgres_server import new_place, require_server

D = 16
Part = tuple[NDArray[np.int64], NDArray[np.float32]]


class Place(Protocol):
    """Where one implementation keeps vectors: its write part, and its read part over what a catalogue would name."""

    noted: list[str]

    @property
    def writer(self) -> VectorWriter[Any]: ...

    def names(self) -> set[str]:
        """Give the names of all that lies there, named by a catalogue or not."""
        ...

    def opened(self, written: Sequence[Any]) -> AbstractContextManager[VectorStore]: ...


OpenPlace = Callable[[], AbstractContextManager[Place]]


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

    def only(self, ids: NDArray[np.int64]) -> PlainStore:
        chosen = np.isin(self.ids, ids)
        return PlainStore([(self.ids[chosen], self.table[chosen])])

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        place = {number: at for at, number in enumerate(self.ids.tolist())}
        return np.array([self.table[place[number]] for number in ids.tolist()], np.float32).reshape(-1, D)


@dataclass(frozen=True)
class PlainWritten:
    ids: NDArray[np.int64]
    names: tuple[str, ...]


@dataclass
class PlainPlace:
    """Rows in a dictionary, by the name under which they were written."""

    parts: dict[str, Part] = field(default_factory=dict)
    noted: list[str] = field(default_factory=list)

    @property
    def writer(self) -> PlainPlace:
        return self

    def write(
        self, generation: int, ids: NDArray[np.int64], blocks: Iterable[NDArray[np.float32]]
    ) -> PlainWritten:
        name = f"{generation}-{len(self.noted)}"
        self.noted.append(name)
        rows = np.concatenate(list(blocks))
        check_rows(rows)
        if len(rows) != len(ids):
            raise ValueError(f"{len(rows)} rows for {len(ids)} ids")
        self.parts[name] = ids, rows
        return PlainWritten(ids, (name,))

    def replace(
        self, generation: int, old: Sequence[PlainWritten], gone: NDArray[np.int64]
    ) -> PlainWritten | None:
        store = PlainStore([self.parts[name] for written in old for name in written.names])
        ids = np.setdiff1d(store.ids, gone)
        return self.write(generation, ids, [store.vectors(ids)]) if len(ids) else None

    def remove(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if self.parts.pop(name, None)]

    def names(self) -> set[str]:
        return set(self.parts)

    @contextmanager
    def opened(self, written: Sequence[PlainWritten]) -> Iterator[VectorStore]:
        yield PlainStore([self.parts[name] for part in written for name in part.names])


class FolderPlace:
    """Segments in a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.noted: list[str] = []
        self.writer = SegmentWriter(path, self._note)

    def _note(self, names: tuple[str, ...]) -> None:
        assert not self.names() & set(names)
        self.noted += names

    def names(self) -> set[str]:
        return {path.name.removeprefix(".new-") for path in segments_path(self.path).iterdir()}

    @contextmanager
    def opened(self, written: Sequence[Any]) -> Iterator[VectorStore]:
        with search_threads(2) as threads:
            yield SegmentStore(
                {number: open_segment(self.path, part) for number, part in enumerate(written)}, threads
            )


@contextmanager
def in_memory() -> Iterator[Place]:
    yield PlainPlace()


@contextmanager
def in_segments() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        segments_path(Path(folder)).mkdir()
        yield FolderPlace(Path(folder))


class CopiedPlace(FolderPlace):
    """Segments in a folder, each with the copy in memory that it has where it is scanned often."""

    @contextmanager
    def opened(self, written: Sequence[Any]) -> Iterator[VectorStore]:
        with super().opened(written) as store, pytest.MonkeyPatch.context() as patched:
            assert isinstance(store, SegmentStore)
            patched.setattr(segment_files, "EXACT_SCAN_BYTES", 0)
            patched.setattr(selected_segment, "EXACT_SCAN_BYTES", 0)
            for segment in store.segments:
                segment.copy.make()
            yield store


@contextmanager
def in_copied_segments() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        segments_path(Path(folder)).mkdir()
        yield CopiedPlace(Path(folder))


class ServerPlace:
    """Rows in the tables of a server, within one transaction."""

    def __init__(self, connection: Any) -> None:
        self.connection, self.noted = connection, list[str]()

    @property
    def writer(self) -> ServerPlace:
        return self

    def write(
        self, generation: int, ids: NDArray[np.int64], blocks: Iterable[NDArray[np.float32]]
    ) -> PlainWritten:
        from indexer.store.postgres.bulk import copy_vectors

        rows = np.concatenate(list(blocks))
        pages = iter([([(number, 0) for number in ids.tolist()], rows)])
        copy_vectors(self.connection, "image_vectors", pages, D)
        return PlainWritten(ids, ("image_vectors",))

    @contextmanager
    def opened(self, written: Sequence[Any]) -> Iterator[VectorStore]:
        from retrieval.collection.postgres.server_store import ServerStore

        yield ServerStore(self.connection, "image", D)


@cache
def _connected() -> Any:
    """Connect to the server of the session, to a schema with the tables of vectors alone."""
    from retrieval.collection.postgres.server_connection import connect
    from retrieval.collection.postgres.server_schema import vector_tables

    place = new_place()
    connection = connect(place, 60)
    connection.driver.execute(f"CREATE SCHEMA {place.schema}".encode())
    connection.driver.execute(f"SET search_path = {place.schema}, pg_catalog".encode())
    connection.driver.execute("CREATE TABLE encodings (id bigint PRIMARY KEY)")
    tables = vector_tables(D, connection.extension).replace("REFERENCES encodings (id)", "")
    connection.driver.execute(tables.encode())
    atexit.register(connection.close)
    return connection


@contextmanager
def on_server() -> Iterator[Place]:
    require_server()
    connection = _connected()
    connection.driver.execute("BEGIN")
    try:
        place: Any = ServerPlace(connection)
        yield place
    finally:
        connection.driver.execute("ROLLBACK")


STORES = pytest.mark.parametrize("make", [in_memory, in_segments, in_copied_segments, on_server])
"""What every store must do for readers."""

EXAMPLES = settings(max_examples=40)
"""For each store: a copy of each of the segments is compiled, by OpenVINO, which takes half of the time."""

WRITERS = pytest.mark.parametrize("make", [in_memory, in_segments])
"""What files need; on a server, vectors are rows of the transaction that names them, and it writes nothing beside."""


def write_all(place: Place, parts: Iterable[Part]) -> list[WrittenVectors]:
    """Write the parts that have rows, each in two blocks."""
    return [
        place.writer.write(1, ids, [rows[: len(rows) // 2 + 1], rows[len(rows) // 2 + 1 :]])
        for ids, rows in parts
        if len(ids)
    ]


@contextmanager
def store_of(make: OpenPlace, parts: Sequence[Part]) -> Iterator[VectorStore]:
    with make() as place, place.opened(write_all(place, parts)) as store:
        yield store


def held_by(store: VectorStore, ids: Iterable[int]) -> dict[int, bytes]:
    """Give the vectors of ids, as bytes."""
    wanted = list(ids)
    rows = store.vectors(np.array(wanted, np.int64))
    return {number: row.tobytes() for number, row in zip(wanted, rows, strict=True)}


def rows_of(parts: Iterable[Part]) -> dict[int, bytes]:
    return {
        number: row.tobytes() for ids, rows in parts for number, row in zip(ids.tolist(), rows, strict=True)
    }


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
    """Show all rows; a call may show masked rows alone, and so change nothing that is seen from here."""
    for _ in range(64):
        if found.unseen_bound == -np.inf:
            return dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))
        found.deepen(-np.inf)
    raise AssertionError("a store that is asked for more shows all of 250 rows within 64 calls")


@STORES
@EXAMPLES
@given(held=stored(), depth=st.integers(1, 40))
def test_a_store_shows_every_live_row_once_and_no_masked_one(
    make: OpenPlace, held: tuple[list[Part], NDArray[np.int64]], depth: int
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

    with store_of(make, parts) as store:
        (found,) = store.propose(unit_rows(1, D, seed=99), depth, masked)
        shown = shown_completely(found)

    assert shown.keys() == exact.keys()
    assert all(abs(shown[number] - exact[number]) <= error_bound(D) for number in shown)


@STORES
@EXAMPLES
@given(held=stored(), depth=st.integers(1, 40))
def test_no_row_that_is_not_shown_scores_above_the_bound(
    make: OpenPlace, held: tuple[list[Part], NDArray[np.int64]], depth: int
) -> None:
    parts, masked = held
    query = unit_rows(1, D, seed=98)

    with store_of(make, parts) as store:
        (found,) = store.propose(query, depth, masked)
        bound, first = found.unseen_bound, set(found.ids.tolist())
        later = shown_completely(found)

    assert all(score <= bound + error_bound(D) for number, score in later.items() if number not in first)


@STORES
@EXAMPLES
@given(held=stored(), seed=st.integers(0, 5))
def test_vectors_come_by_id_in_the_order_asked_for_bit_for_bit(
    make: OpenPlace, held: tuple[list[Part], NDArray[np.int64]], seed: int
) -> None:
    parts, _ = held
    of = {number: row for ids, rows in parts for number, row in zip(ids.tolist(), rows, strict=True)}
    asked = np.random.default_rng(seed).permutation(np.array(sorted(of), np.int64))

    with store_of(make, parts) as store:
        vectors = store.vectors(asked)

    assert [row.tobytes() for row in vectors] == [of[number].tobytes() for number in asked.tolist()]


@STORES
def test_an_id_that_the_store_does_not_hold_is_a_key_error(make: OpenPlace) -> None:
    with store_of(make, [(np.array([3, 5], np.int64), unit_rows(2, D))]) as store, pytest.raises(KeyError):
        store.vectors(np.array([4], np.int64))


@EXAMPLES
@given(held=stored(), k=st.integers(1, 60))
def test_all_stores_give_the_same_candidates(held: tuple[list[Part], NDArray[np.int64]], k: int) -> None:
    parts, masked = held
    queries = unit_rows(2, D, seed=97)
    answers = []

    for make in (in_memory, in_segments, on_server):
        with store_of(make, parts) as store:
            found = search(store, queries, k, masked)
            answers.append([sorted(zip(c.ids.tolist(), c.scores.tolist(), strict=True)) for c in found])

    assert answers[0] == answers[1] == answers[2]


@STORES
@EXAMPLES
@given(held=stored(), k=st.integers(1, 60), count=st.sampled_from([1, 2, 25]))
def test_some_of_the_vectors_are_searched_as_a_store_that_holds_no_others(
    make: OpenPlace, held: tuple[list[Part], NDArray[np.int64]], k: int, count: int
) -> None:
    parts, left_out = held
    queries, nothing = unit_rows(count, D, seed=96), np.empty(0, np.int64)
    alone = PlainStore([(ids[(of := ~np.isin(ids, left_out))], rows[of]) for ids, rows in parts])

    with store_of(make, parts) as store:
        some = store.only(np.union1d(alone.ids, np.array([10**6], np.int64)))
        found = search(some, queries, k, nothing)
        assert some.rows == alone.rows
        assert held_by(some, alone.ids.tolist()) == held_by(store, alone.ids.tolist())

    assert [sorted(zip(c.ids.tolist(), c.scores.tolist(), strict=True)) for c in found] == [
        sorted(zip(c.ids.tolist(), c.scores.tolist(), strict=True))
        for c in search(alone, queries, k, nothing)
    ]


@WRITERS
@settings(max_examples=30)
@given(held=stored())
def test_what_is_written_is_durable_under_noted_names_and_counts_only_where_it_is_named(
    make: OpenPlace, held: tuple[list[Part], NDArray[np.int64]]
) -> None:
    parts = [part for part in held[0] if len(part[0])]

    with make() as place:
        written = write_all(place, parts)
        assert sorted(place.noted) == sorted(name for part in written for name in part.names)
        assert place.names() == set(place.noted)
        assert [part.ids.tolist() for part in written] == [ids.tolist() for ids, _ in parts]
        with place.opened(written[1:]) as store:
            assert store.rows == sum(len(ids) for ids, _ in parts[1:])
            assert held_by(store, rows_of(parts[1:])) == rows_of(parts[1:])
            for ids, _ in parts[:1]:
                with pytest.raises(KeyError):
                    store.vectors(ids[:1])


@WRITERS
@settings(max_examples=30)
@given(held=stored())
def test_a_replacement_holds_the_rest_bit_for_bit_and_the_old_stays_until_it_is_removed(
    make: OpenPlace, held: tuple[list[Part], NDArray[np.int64]]
) -> None:
    parts, gone = held
    left = {number: row for number, row in rows_of(parts).items() if number not in set(gone.tolist())}

    with make() as place:
        old = write_all(place, parts)
        if not old:
            return
        with place.opened(old) as reader:
            merged = place.writer.replace(2, old, gone)
            assert (merged is None) == (not left)
            assert held_by(reader, rows_of(parts)) == rows_of(parts)
            names = [name for part in old for name in part.names]
            assert sorted(place.writer.remove(names)) == sorted(names)
            assert held_by(reader, rows_of(parts)) == rows_of(parts)
        if merged is not None:
            assert merged.ids.tolist() == sorted(left)
            with place.opened([merged]) as store:
                assert held_by(store, left) == left
        assert place.names() == set(merged.names if merged is not None else ())


@WRITERS
@pytest.mark.parametrize(
    "rows",
    [
        unit_rows(3, D) * np.float32(1.001),
        np.full((3, D), np.nan, np.float32),
        unit_rows(3, D).astype(np.float64),
        unit_rows(2, D),
        unit_rows(4, D),
    ],
    ids=["not unit", "not a number", "not float32", "too few", "too many"],
)
def test_rows_that_cannot_be_kept_are_refused_and_what_they_leave_can_be_removed(
    make: OpenPlace, rows: NDArray[np.float32]
) -> None:
    with make() as place:
        (kept,) = write_all(place, [(np.array([7], np.int64), unit_rows(1, D))])

        with pytest.raises(ValueError, match=r"row|float32"):
            place.writer.write(2, np.arange(3), [rows])
        assert place.names() <= set(place.noted)
        place.writer.remove(set(place.noted) - set(kept.names))

        with place.opened([kept]) as store:
            assert held_by(store, [7]) == {7: unit_rows(1, D)[0].tobytes()}


@WRITERS
def test_names_are_never_used_twice_and_removing_what_is_gone_is_no_mistake(make: OpenPlace) -> None:
    part = np.array([1], np.int64), unit_rows(1, D)
    with make() as place:
        (first,) = write_all(place, [part])
        place.writer.remove(first.names)
        place.writer.remove(first.names)
        (second,) = write_all(place, [part])

        assert not set(first.names) & set(second.names)
