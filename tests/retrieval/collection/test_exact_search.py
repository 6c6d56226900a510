"""Ranking is exact, whatever the segments, masks, copies and batches."""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.store.changes import Change
from indexer.store.maintenance import optimize
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.collection.score import error_bound, exact_scores
from retrieval.collection.search import best_of, best_scored
from retrieval.errors import CollectionLocked, CollectionNotFound, IdentityMismatch
from tests.builders import IDENTITY, collection_of, image_change, names_and_scores, rank_naively, unit_rows


@settings(max_examples=12)
@given(
    n=st.integers(1, 300),
    cuts=st.lists(st.integers(0, 300), max_size=4),
    k=st.integers(1, 320),
    copies=st.integers(0, 150),
    seed=st.integers(0, 99),
)
def test_how_vectors_are_split_into_segments_never_changes_the_hits(
    n: int, cuts: list[int], k: int, copies: int, seed: int
) -> None:
    vectors = unit_rows(n, seed=seed)
    vectors[: min(copies, n)] = vectors[0]  # a burst of copies ties at the boundary
    names = [f"{number}" for number in range(n)]
    bounds = sorted({0, n, *(cut for cut in cuts if cut < n)})
    parts = [(names[a:b], vectors[a:b]) for a, b in itertools.pairwise(bounds)]
    queries = np.concatenate([vectors[:1], unit_rows(2, seed=seed + 1000)])

    with (
        tempfile.TemporaryDirectory() as folder,
        Collection.open(collection_of(Path(folder), *parts)) as collection,
    ):
        together = collection.search(queries, "image", k)
        alone = [collection.search(query[None], "image", k)[0] for query in queries]

    for hits, query in zip(together, queries, strict=True):
        assert names_and_scores(hits) == rank_naively(names, vectors, query, k)
    assert alone == together


@given(n=st.integers(0, 60), k=st.integers(1, 20), copies=st.integers(0, 30), seed=st.integers(0, 99))
def test_the_best_of_scored_encodings_are_those_of_all_their_exact_scores(
    n: int, k: int, copies: int, seed: int
) -> None:
    vectors, ids = unit_rows(n, seed=seed), np.arange(n, dtype=np.int64) * 3
    vectors[: min(copies, n)] = vectors[:1]
    query = unit_rows(1, seed=seed + 1000)[0]

    found = best_scored(ids, vectors, query, k)

    naive = best_of(ids, exact_scores(vectors, query), k)
    assert found.ids.tolist() == naive.ids.tolist()
    assert found.scores.tolist() == naive.scores.tolist()


def test_a_burst_of_near_copies_hides_none_of_the_best(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    base = unit_rows(1, 512)[0]
    near = base + rng.standard_normal((1000, 512)).astype(np.float32) * 1e-8
    vectors = np.concatenate(
        [near / np.linalg.norm(near, axis=1, keepdims=True), unit_rows(1000, 512, seed=2)]
    )
    vectors = vectors.astype(np.float32)
    names = [f"{number}" for number in range(2000)]

    with Collection.open(collection_of(tmp_path, (names, vectors))) as collection:
        hits = collection.search(base[None], "image", 10)[0]

    assert names_and_scores(hits) == rank_naively(names, vectors, base, 10)


@settings(max_examples=8)
@given(dead=st.sets(st.integers(0, 399)), k=st.integers(1, 50), compact=st.booleans())
def test_masked_rows_never_cost_hits_and_compaction_changes_no_answer(
    dead: set[int], k: int, compact: bool
) -> None:
    vectors = unit_rows(400)
    names = [f"{number}" for number in range(400)]
    live = [number for number in range(400) if number not in dead]
    query = unit_rows(1, seed=9)

    with tempfile.TemporaryDirectory() as folder:
        path = collection_of(Path(folder), (names[:150], vectors[:150]), (names[150:], vectors[150:]))
        with Writer(path) as writer:
            writer.commit(Change(removed=[number + 1 for number in sorted(dead)]), IDENTITY)
        if compact:
            optimize(path)
        with Collection.open(path) as collection:
            hits = collection.search(query, "image", k)[0]
            assert collection.info().dead == (0 if compact else len(dead))

    assert names_and_scores(hits) == rank_naively([names[n] for n in live], vectors[live], query[0], k)


def test_k_counts_items_and_distinct_counts_contents(tmp_path: Path) -> None:
    vectors = unit_rows(3)
    names = ["a", "b=a", "c"]
    vectors[1] = vectors[0]

    with Collection.open(collection_of(tmp_path, (names, vectors))) as collection:
        items = collection.search(vectors[:1], "image", 2)[0]
        contents = collection.search(vectors[:1], "image", 2, distinct=True)[0]

    assert [hit.uri for hit in items] == ["test:a", "test:b=a"]
    assert [hit.uri for hit in contents] == ["test:a", "test:c"]


def test_a_content_deleted_and_added_again_is_found_without_a_second_vector(tmp_path: Path) -> None:
    vectors = unit_rows(2)
    path = collection_of(tmp_path, (["a", "b"], vectors))
    with Writer(path) as writer:
        writer.commit(Change(removed=[1]), IDENTITY)
        change = image_change(1, ["a"], vectors[:1])
        change.contents.clear()
        writer.commit(change, IDENTITY)

    with Collection.open(path) as collection:
        hits = collection.search(vectors[:1], "image", 5)[0]
        assert collection.info().dead == 0

    assert [hit.uri for hit in hits] == ["test:a", "test:b"]


def test_the_exact_score_lies_within_the_error_bound_of_float32(tmp_path: Path) -> None:
    rows, query = unit_rows(500, 512), unit_rows(1, 512, seed=3)[0]

    assert np.abs(exact_scores(rows, query) - rows @ query).max() <= error_bound(512)


def test_a_second_writer_is_refused_and_readers_are_not(tmp_path: Path) -> None:
    path = collection_of(tmp_path, (["a"], unit_rows(1)))
    with Writer(path), Collection.open(path) as collection:
        with pytest.raises(CollectionLocked):
            Writer(path)
        assert collection.count("image") == 1


def test_vectors_of_another_encoder_are_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    path = collection_of(tmp_path, (["a"], unit_rows(1)))
    with Writer(path) as writer, pytest.raises(IdentityMismatch, match="weights"):
        writer.commit(image_change(1, ["b"], unit_rows(1)), replace(IDENTITY, weights="1" * 64))


def test_a_folder_without_a_catalogue_is_no_collection(tmp_path: Path) -> None:
    with pytest.raises(CollectionNotFound):
        Collection.open(tmp_path)


def test_readers_see_one_generation_while_a_writer_adds_deletes_and_compacts(tmp_path: Path) -> None:
    vectors = unit_rows(600, seed=4)
    names = [f"{number}" for number in range(600)]
    path = collection_of(tmp_path, (names[:100], vectors[:100]))
    query = unit_rows(1, seed=5)
    expected: dict[int, list[tuple[str, float]]] = {}
    seen: list[tuple[int, list[tuple[str, float]]]] = []
    done = threading.Event()

    def answer(live: list[int]) -> list[tuple[str, float]]:
        return rank_naively([names[n] for n in live], vectors[live], query[0], 10)

    def read() -> None:
        with Collection.open(path) as collection:
            while not done.is_set():
                before = collection.generation
                hits = names_and_scores(collection.search(query, "image", 10)[0])
                if collection.generation == before:
                    seen.append((before, hits))

    readers = [threading.Thread(target=read) for _ in range(2)]
    live = list(range(100))
    with Writer(path) as writer:
        from indexer.store.maintenance import compact_if_due

        expected[_generation(writer)] = answer(live)
        for reader in readers:
            reader.start()
        for step in range(10):
            start = 100 + step * 50
            writer.commit(image_change(1, names[start : start + 50], vectors[start : start + 50]), IDENTITY)
            live += range(start, start + 50)
            expected[_generation(writer)] = answer(live)
            gone = live[step::7]
            live = [number for number in live if number not in gone]
            writer.commit(Change(removed=[number + 1 for number in gone]), IDENTITY)
            expected[_generation(writer)] = answer(live)
            compact_if_due(writer, everything=True)
            expected[_generation(writer)] = answer(live)
    while not seen and all(
        reader.is_alive() for reader in readers
    ):  # on a busy machine they may be slow to start
        time.sleep(0.01)
    done.set()
    for reader in readers:
        reader.join()

    assert seen
    assert all(hits == expected[generation] for generation, hits in seen if generation in expected)


def _generation(writer: Writer) -> int:
    from retrieval.collection.catalogue import read_generation
    from retrieval.collection.engine import driver_connection

    with writer.look_up() as connection:
        return read_generation(driver_connection(connection))
