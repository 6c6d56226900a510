"""A collection can be read anywhere it can be seen, in its newest committed state, and reading leaves no trace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import indexer
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.errors import CollectionError, CollectionNotFound
from tests.builders import IDENTITY, collection_of, image_change, unit_rows

Lock = Callable[[Path], None]


@pytest.fixture
def make_read_only() -> Iterator[Lock]:
    """Takes the right to write from everybody; from root, whom no mode stops, by a read-only mount."""
    with ExitStack() as stack:

        def lock(folder: Path) -> None:
            if os.geteuid() != 0:
                for path in (folder, *folder.rglob("*")):
                    path.chmod(0o555 if path.is_dir() else 0o444)
                for path in (folder, folder / "segments"):
                    stack.callback(path.chmod, 0o755)
                return
            try:
                for options in (["--bind"], ["-o", "remount,ro,bind"]):
                    subprocess.run(["mount", *options, folder, folder], check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError):
                pytest.skip("root cannot make a folder read-only where it may not mount")
            stack.callback(lambda: subprocess.run(["umount", folder], check=True))

        yield lock


def names(path: Path) -> list[str]:
    with Collection.open(path) as collection:
        return [hit.uri for hit in collection.search(unit_rows(1), "image", 9)[0]]


def contents(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*")}


def left_by_a_writer_that_died(path: Path, target: Path, *, with_shm: bool) -> None:
    """A copy of a collection in whose write-ahead log a second commit waits."""
    with Writer(path) as writer:
        source = writer.ensure_corpus("test:", "test")
        writer.commit(image_change(source, ["b"], unit_rows(1, seed=1)), IDENTITY)
        shutil.copytree(path, target)
    if not with_shm:
        (target / "catalogue.sqlite-shm").unlink()
    assert (target / "catalogue.sqlite-wal").stat().st_size


def test_a_read_only_folder_is_read_in_place(tmp_path: Path, make_read_only: Lock) -> None:
    path = collection_of(tmp_path / "collection", (["a"], unit_rows(1)))
    before = contents(path)
    make_read_only(path)

    assert names(path) == ["test:a"]
    assert contents(path) == before


@pytest.mark.parametrize("with_shm", [False, True])
def test_a_commit_that_waits_in_the_log_is_seen_in_a_read_only_folder_too(
    tmp_path: Path, make_read_only: Lock, with_shm: bool
) -> None:
    path = collection_of(tmp_path / "collection", (["a"], unit_rows(1)))
    left = tmp_path / "left"
    left_by_a_writer_that_died(path, left, with_shm=with_shm)
    before = contents(left)
    make_read_only(left)

    assert sorted(names(left)) == ["test:a", "test:b"]
    assert contents(left) == before


def test_the_private_copy_of_a_read_only_collection_goes_with_its_reader(
    tmp_path: Path, make_read_only: Lock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = collection_of(tmp_path / "collection", (["a"], unit_rows(1)))
    left_by_a_writer_that_died(path, tmp_path / "left", with_shm=False)
    make_read_only(tmp_path / "left")
    (tmp_path / "private").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "private"))

    with Collection.open(tmp_path / "left"):
        assert len(list((tmp_path / "private").iterdir())) == 1
    assert list((tmp_path / "private").iterdir()) == []


def test_a_writer_refuses_a_read_only_folder_with_a_sentence(tmp_path: Path, make_read_only: Lock) -> None:
    path = collection_of(tmp_path / "collection", (["a"], unit_rows(1)))
    make_read_only(path)

    with pytest.raises(CollectionError, match="cannot be written"):
        Writer(path)


def test_a_log_left_by_a_dead_writer_is_read_where_the_folder_can_be_written(tmp_path: Path) -> None:
    path = collection_of(tmp_path / "collection", (["a"], unit_rows(1)))
    left_by_a_writer_that_died(path, tmp_path / "left", with_shm=False)

    assert sorted(names(tmp_path / "left")) == ["test:a", "test:b"]


@pytest.mark.parametrize("state", ["absent", "empty", "no tables"])
def test_a_catalogue_that_holds_nothing_is_no_collection_to_readers_and_empty_to_a_writer(
    state: str, tmp_path: Path
) -> None:
    path = tmp_path / "collection"
    if state != "absent":
        path.mkdir()
        (path / "catalogue.sqlite").touch()
    if state == "no tables":
        program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA journal_mode = WAL')"
        subprocess.run([sys.executable, "-c", program, path / "catalogue.sqlite"], check=True)

    with pytest.raises(CollectionNotFound):
        Collection.open(path)
    collection_of(path, (["a"], unit_rows(1)))
    assert names(path) == ["test:a"]


def test_readers_leave_no_file_but_sqlites_own(tmp_path: Path) -> None:
    path = collection_of(tmp_path / "collection", (["a"], unit_rows(1)))
    before = contents(path).keys()

    with Collection.open(path):
        during = contents(path).keys()

    assert during - before <= {"catalogue.sqlite-wal", "catalogue.sqlite-shm"}


_KILLED_WHILE_IT_MAKES_A_CATALOGUE = """
import os, sqlite3, sys
catalogue = sqlite3.connect(sys.argv[1], isolation_level=None)
catalogue.execute("PRAGMA cache_size = 2")
catalogue.execute("BEGIN IMMEDIATE")
catalogue.execute("CREATE TABLE settings (name TEXT)")
catalogue.executemany("INSERT INTO settings VALUES (?)", [("x" * 500,)] * 2000)
os._exit(1)
"""


def test_a_catalogue_whose_writer_was_killed_while_it_made_it_is_no_collection_yet(tmp_path: Path) -> None:
    path = tmp_path / "collection"
    path.mkdir()
    made = [sys.executable, "-c", _KILLED_WHILE_IT_MAKES_A_CATALOGUE, str(path / "catalogue.sqlite")]
    assert subprocess.run(made, check=False).returncode == 1
    assert (path / "catalogue.sqlite-journal").stat().st_size

    with pytest.raises(CollectionNotFound):
        Collection.open(path)
    with pytest.raises(CollectionNotFound):
        indexer.doctor(path)

    collection_of(path, (["a"], unit_rows(1)))
    with Collection.open(path) as collection:
        assert collection.count("image") == 1
