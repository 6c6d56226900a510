"""A disk that is full: nothing committed is lost, nothing half written is left, and the sentence says what to do."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import indexer
from indexer.store.changes import Change, NewFailure
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.errors import CollectionError
from tests.builders import HashEncoder
from tests.faults import work
from tests.faults.killing import run_apart
from tests.faults.states import state_of


def index_under_a_file_limit(limit: int, corpus: Path, collection: Path) -> None:
    """What a full disk does, for this process alone: a write beyond so many bytes of any file fails."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    with pytest.raises(CollectionError, match=r"disk|File too large|full"):
        work.index(corpus, collection)


@pytest.mark.parametrize("limit", [100, 700, 1500, 20_000, 120_000])
def test_a_write_that_fails_anywhere_loses_nothing_and_the_next_run_finishes(
    limit: int, tmp_path: Path
) -> None:
    corpus = work.make_corpus(tmp_path / "pictures")
    path, reference = tmp_path / "collection", tmp_path / "reference"
    run_apart(work.index, corpus, path)
    run_apart(work.index, corpus, reference)
    before = state_of(path)
    extra = work.make_corpus(tmp_path / "more", pictures=40)

    run_apart(index_under_a_file_limit, limit, extra, path)

    assert indexer.doctor(path).faults == ()
    state = state_of(path)
    assert state.items >= before.items
    assert state.vectors >= before.vectors
    run_apart(work.index, extra, path)
    run_apart(work.index, extra, reference)
    assert state_of(path).holdings == state_of(reference).holdings
    assert indexer.doctor(path) == indexer.Diagnosis((), ())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    with ExitStack() as stack:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "vlsearch-test", str(place)]
        try:
            subprocess.run(mount, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("file systems can only be mounted by root, outside containers")
        stack.callback(subprocess.run, ["umount", str(place)], check=True)
        yield place


def test_a_disk_that_fills_up_says_so_and_goes_on_when_there_is_space(
    small_disk: Path, tmp_path: Path
) -> None:
    corpus = work.make_corpus(tmp_path / "pictures")
    path = small_disk / "collection"
    run_apart(work.index, corpus, path)
    before = state_of(path)
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(2 * 2**20))
    extra = work.make_corpus(tmp_path / "more", pictures=40)

    for act in (
        lambda: indexer.build(extra, path, model=HashEncoder()),
        lambda: indexer.doctor(path),
        lambda: Collection.open(path),  # SQLite makes a small file even to read
    ):
        with pytest.raises(CollectionError, match=r"full|No space"):
            act()

    filler.unlink()
    assert state_of(path).holdings == before.holdings
    assert indexer.doctor(path) == indexer.Diagnosis((), ())
    assert indexer.build(extra, path, model=HashEncoder()).images > 0
    assert indexer.doctor(path) == indexer.Diagnosis((), ())


def test_a_commit_beyond_the_disk_is_refused_by_sqlite_and_leaves_its_files_swept(tmp_path: Path) -> None:
    corpus = work.make_corpus(tmp_path / "pictures")
    path = tmp_path / "collection"
    run_apart(work.index, corpus, path)
    before = state_of(path)
    with Writer(path) as writer:
        with writer.look_up() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        change = Change()
        for number in range(2000):
            uri = f"test:{number}"
            change.failures[uri] = NewFailure(uri, "x" * 200, 1)
        with pytest.raises(CollectionError, match="full"):
            writer.commit(change, HashEncoder().identity)

    assert state_of(path) == before
