"""Rows of mapped files: what a gather reads from the disk is what it asks for, and not what lies around it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.collection.stores import SegmentStore, search_threads
from retrieval.collection.stores.read_ahead import SPARSE, ask_for
from retrieval.collection.stores.segment_files import Segment
from tests.builders import unit_rows

resource = pytest.importorskip("resource")
D, ROWS, ASKED = 512, 16_384, 64  # 32 MiB
HEAD = 36  # bytes before the rows, so that they are not aligned to pages


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of vectors that is on a disk and not in memory."""
    if not (hasattr(os, "posix_fadvise") and hasattr(resource, "RUSAGE_THREAD")):
        pytest.skip("the system neither forgets a file's pages nor counts what a thread reads")
    path = tmp_path / "vectors"
    with path.open("wb") as file:
        file.write(bytes(HEAD))
        for start in range(0, ROWS, 1024):
            file.write(unit_rows(1024, D, seed=start).tobytes())
        file.flush()
        os.fsync(file.fileno())
    forget(path)
    if bytes_read_by(lambda: path.read_bytes()) == 0:
        pytest.skip("the temporary folder is not on a disk")
    forget(path)
    return path


def forget(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def bytes_read_by(work: object) -> int:
    """What a function has this thread read from the disk."""
    assert callable(work)
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_inblock
    work()
    return 512 * int(resource.getrusage(resource.RUSAGE_THREAD).ru_inblock - before)


def mapped(path: Path) -> NDArray[np.uint8]:
    return np.asarray(np.memmap(path, np.uint8, "r", HEAD, (ROWS, 4 * D)))


def store_of(path: Path) -> SegmentStore:
    return SegmentStore({1: Segment(mapped(path), np.arange(ROWS))}, search_threads(1))


def some_ids() -> NDArray[np.int64]:
    return np.sort(np.random.default_rng(0).choice(ROWS, ASKED, replace=False))


def test_a_gather_of_a_cold_file_reads_little_more_than_its_rows(path: Path) -> None:
    store, found = store_of(path), []

    read = bytes_read_by(lambda: found.append(store.held_vectors(some_ids())[0]))

    assert (
        0 < read <= 4 * ASKED * os.sysconf("SC_PAGE_SIZE")
    )  # a row lies on a page or two; 8 MB without asking
    assert np.array_equal(found[0], mapped(path).view(np.float32)[some_ids()])


def test_a_gather_asks_ahead_only_after_one_that_had_to_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, asked = store_of(path), []
    monkeypatch.setattr(Segment, "ask_for", lambda _, rows: asked.append(len(rows)))

    for _ in range(3):
        store.held_vectors(some_ids())
    assert asked == [ASKED] * 2  # the first time, since nobody knows, and the second, since the first read


def test_a_search_of_some_rows_of_a_cold_file_reads_little_more_than_those(path: Path) -> None:
    store, query = store_of(path).only(some_ids()), unit_rows(1, D, seed=99)

    read = bytes_read_by(lambda: store.segments[0].search(query, 10))

    assert 0 < read <= 4 * ASKED * os.sysconf("SC_PAGE_SIZE")


def test_vectors_in_memory_and_many_rows_are_left_alone(path: Path) -> None:
    ask_for(unit_rows(4, D, seed=0).view(np.uint8), np.arange(4))

    assert bytes_read_by(lambda: ask_for(mapped(path), np.arange(ROWS // SPARSE + 1))) == 0


@pytest.mark.parametrize("row", [0, 1, ROWS - 1])
def test_first_and_last_rows_can_be_asked_for(path: Path, row: int) -> None:
    assert bytes_read_by(lambda: ask_for(mapped(path), np.array([row]))) > 0
