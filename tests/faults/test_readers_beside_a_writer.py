"""Two processes query while a third indexes, deletes and compacts: every answer is one generation's, exactly."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.store.changes import Change
from indexer.store.maintenance import compact_if_due
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.collection.catalogue import read_generation
from retrieval.collection.engine import driver_connection
from tests.builders import IDENTITY, image_change, names_and_scores, rank_naively, unit_rows

ROWS, STEP, K = 900, 60, 12
NAMES = [f"{number}" for number in range(ROWS)]
VECTORS = unit_rows(ROWS, seed=4)
QUERIES = unit_rows(3, seed=5)
_CONTEXT = multiprocessing.get_context("forkserver")

Answers = list[list[tuple[str, float]]]


def read(path: Path, saw_two: Any, done: Any, pipe: Any) -> None:
    """Query until told to stop; send every answer, with the generations just before and just after it.

    ``saw_two`` is set once answers came before and after a commit.
    """
    seen: list[tuple[int, int, Answers]] = []
    with Collection.open(path) as collection:
        while not done.is_set():
            before = collection.generation
            hits = collection.search(QUERIES, "image", K)
            seen.append((before, collection.generation, [names_and_scores(one) for one in hits]))
            if before != seen[0][0]:
                saw_two.set()
    pipe.send(seen)


def write(path: Path, rounds: int, is_watched: Callable[[], bool]) -> dict[int, list[int]]:
    """Add, delete and compact for so many rounds, and on until readers have seen it; live rows by generation."""
    live: list[int] = list(range(STEP))
    states: dict[int, list[int]] = {}
    with Writer(path) as writer:

        def note() -> None:
            with writer.look_up() as connection:
                number = read_generation(driver_connection(connection))
            for missed in range(max(states, default=number), number):
                states.setdefault(missed, states[max(states)])  # a compaction of several groups: same rows
            states[number] = list(live)

        note()
        for turn in itertools.count():
            if turn >= rounds and is_watched():
                break
            start = STEP * (1 + turn % (ROWS // STEP - 1))
            added = [number for number in range(start, start + STEP) if number not in live]
            writer.commit(image_change(1, [NAMES[n] for n in added], VECTORS[added]), IDENTITY)
            live += added
            note()
            gone = live[turn % 5 :: 5]
            _remove(writer, gone)
            live = [number for number in live if number not in gone]
            note()
            compact_if_due(writer, everything=turn % 3 == 0)
            note()
    return states


def _remove(writer: Writer, rows: list[int]) -> None:
    uris = {f"test:{NAMES[number]}" for number in rows}
    with writer.look_up() as connection:
        found = connection.exec_driver_sql("SELECT id, uri FROM items").all()
    writer.commit(Change(removed=[row[0] for row in found if row[1] in uris]), IDENTITY)


def answer(live: list[int]) -> Answers:
    """By brute force, over one state; no two rows tie, so ids do not matter."""
    return [rank_naively([NAMES[n] for n in live], VECTORS[live], query, K) for query in QUERIES]


@pytest.mark.parametrize("rounds", [12, pytest.param(150, marks=pytest.mark.slow)])
def test_every_answer_of_two_reading_processes_is_brute_force_over_one_committed_generation(
    tmp_path: Path, rounds: int
) -> None:
    path = tmp_path / "collection"
    with Writer(path) as writer:
        source = writer.ensure_corpus("test:", "test")
        writer.commit(image_change(source, NAMES[:STEP], VECTORS[:STEP]), IDENTITY)
    done = _CONTEXT.Event()
    watched = [_CONTEXT.Event() for _ in range(2)]
    pipes, readers = [], []
    for saw_two in watched:
        ours, theirs = _CONTEXT.Pipe()
        readers.append(_CONTEXT.Process(target=read, args=(path, saw_two, done, theirs), daemon=True))
        readers[-1].start()
        theirs.close()  # so that a reader that dies ends the wait for its answers
        pipes.append(ours)

    def is_watched() -> bool:
        return all(
            saw_two.is_set() or not reader.is_alive()
            for saw_two, reader in zip(watched, readers, strict=True)
        )

    try:
        states = write(path, rounds, is_watched)
    finally:
        done.set()
    seen = [answers for pipe in pipes for answers in pipe.recv()]
    for reader in readers:
        reader.join()

    expected = {number: answer(live) for number, live in states.items()}
    assert len({before for before, _, _ in seen}) > 1, "the readers saw the writer at work"
    for before, after, answers in seen:
        assert any(answers == expected[number] for number in range(before, after + 1))


def test_a_reader_that_opened_files_before_they_were_unlinked_reads_on(tmp_path: Path) -> None:
    path = tmp_path / "collection"
    with Writer(path) as writer:
        for start in range(0, 300, STEP):
            part = slice(start, start + STEP)
            writer.commit(
                image_change(writer.ensure_corpus("test:", "test"), NAMES[part], VECTORS[part]), IDENTITY
            )
        with Collection.open(path) as collection:
            before = collection.search(QUERIES, "image", K)

            assert compact_if_due(writer, everything=True) == 5

            assert collection.search(QUERIES, "image", K) == before
    assert np.all([len(hits) == K for hits in before])
