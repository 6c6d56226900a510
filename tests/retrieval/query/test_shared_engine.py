"""One engine under many threads, while a writer commits, deletes and compacts: every answer is of one generation."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexer.store.changes import Change
from indexer.store.maintenance import compact_if_due
from indexer.store.writer import Writer
from retrieval.collection.score import exact_scores
from retrieval.types import Hit
from tests.builders import HashEncoder, image_change

READERS, STEPS, A_STEP, K = 4, 8, 40, 12
QUERIES = [f"words {number}" for number in range(6)]

Answer = tuple[tuple[str, float], ...]


def answer_of(hits: list[Hit]) -> Answer:
    return tuple((hit.uri, hit.score) for hit in hits)


def brute_force(live: list[int], rows: np.ndarray, query: np.ndarray) -> Answer:
    scores = exact_scores(rows[live], query)
    order = np.argsort(-scores, kind="stable")[:K]
    return tuple((f"test:{live[place]}", float(scores[place])) for place in order)


def test_every_answer_is_brute_force_over_one_committed_generation(tmp_path: Path) -> None:
    encoder = HashEncoder()
    rows = encoder.encode_texts([f"picture {number}" for number in range(STEPS * A_STEP)])
    vectors = encoder.encode_texts(QUERIES)
    allowed: list[list[Answer]] = []  # a generation's answers to all queries, in the order of commits
    batches: list[list[Answer]] = []
    singles: list[tuple[int, Answer]] = []
    faults: list[BaseException] = []
    over = threading.Event()

    def commit(writer: Writer, change: Change, live: list[int]) -> None:
        allowed.append(
            [brute_force(live, rows, vector) for vector in vectors]
        )  # before: a reader may be quick
        writer.commit(change, encoder.identity)

    def read(engine: retrieval.SearchEngine, seed: int) -> None:
        try:
            while not over.is_set():
                seed += 1
                if seed % 2:
                    batches.append([answer_of(hits) for hits in engine.search_batch(QUERIES, K)])
                else:
                    number = seed % len(QUERIES)
                    singles.append((number, answer_of(engine.search(QUERIES[number], K))))
        except BaseException as error:  # would be lost in a thread
            faults.append(error)

    with Writer(tmp_path / "c") as writer:
        source = writer.ensure_corpus("test:", "test")
        live: list[int] = []
        for step in range(STEPS):
            new = list(range(step * A_STEP, (step + 1) * A_STEP))
            live = live + new
            commit(writer, image_change(source, [str(number) for number in new], rows[new]), live)
            if step == 0:
                engine = retrieval.open(tmp_path / "c", encoder=encoder)
                readers = [threading.Thread(target=read, args=(engine, n * 7)) for n in range(READERS)]
                for reader in readers:
                    reader.start()
            gone = set(live[step::9])
            live = [number for number in live if number not in gone]
            commit(writer, Change(removed=[number + 1 for number in sorted(gone)]), live)
            compact_if_due(writer, everything=step % 2 == 0)
    while len(batches) <= READERS and not faults:  # on a busy machine the readers may be slow to start
        time.sleep(0.01)
    over.set()
    for reader in readers:
        reader.join()
    engine.close()

    assert faults == []
    assert len(batches) > READERS
    assert all(batch in allowed for batch in batches)
    assert all(any(single == generation[number] for generation in allowed) for number, single in singles)


@pytest.mark.slow
def test_a_batch_gives_the_bits_of_single_queries_with_a_model_that_computes(tmp_path: Path) -> None:
    encoder = retrieval.load_encoder("mini")
    texts = [f"{count} dogs on a {place}" for place in ("beach", "hill") for count in range(40)]
    change = image_change(1, [str(number) for number in range(len(texts))], encoder.encode_texts(texts))
    with Writer(tmp_path / "c") as writer:
        writer.ensure_corpus("test:", "test")
        writer.commit(change, encoder.identity)

    queries: list[retrieval.Queryable | list[retrieval.Queryable]] = [
        "a dog",
        "一只狗",
        "two dogs by the sea",
        ["a dog", retrieval.TextPart("a cat", -0.5)],
        "a dog",
    ] * 7
    with retrieval.open(tmp_path / "c") as engine:
        batch = engine.search_batch(queries, k=9)

        assert batch == [engine.search(query, k=9) for query in queries]
        assert batch[::-1] == engine.search_batch(queries[::-1], k=9)
