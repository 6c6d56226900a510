"""The commit protocol: all of a change or nothing, one writer, and no file removed that a generation names."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.store.changes import Change, NewContent, NewFailure, NewItem, NewLink
from indexer.store.writer import Writer
from retrieval.collection import Collection, schema
from retrieval.collection.catalogue import read_generation
from retrieval.collection.engine import connect, driver_connection
from retrieval.collection.migrations import MIGRATIONS, SCHEMA_VERSION
from retrieval.contents import text_digest
from retrieval.errors import (
    CollectionDamaged,
    CollectionError,
    CollectionLocked,
    CollectionNotFound,
    CollectionTooNew,
    UsageError,
)
from tests.builders import IDENTITY, collection_of, draw, image_change, unit_rows


def files(collection: Path) -> set[str]:
    return {path.name for path in (collection / "segments").iterdir()}


def generation(writer: Writer) -> int:
    with writer.look_up() as connection:
        return read_generation(driver_connection(connection))


class Broken(sqlite3.Connection):
    """A connection whose COMMIT fails once a test says so: before it happened, or after."""

    fail: str | None = None

    def commit(self) -> None:
        fail, Broken.fail = Broken.fail, None
        if fail == "after":
            super().commit()
        if fail is not None:
            raise sqlite3.OperationalError("disk I/O error")
        super().commit()


@pytest.fixture
def breakable(monkeypatch: pytest.MonkeyPatch) -> type[Broken]:
    """Every connection made from here on fails to COMMIT when ``Broken.fail`` is set."""
    real: Callable[..., Any] = sqlite3.connect

    def connect_breakable(place: str, **options: Any) -> Any:
        return real(place, factory=Broken, **options)

    monkeypatch.setattr(sqlite3, "connect", connect_breakable)
    monkeypatch.setattr(Broken, "fail", None)
    return Broken


def test_a_commit_that_fails_leaves_the_generation_before_and_no_file(
    collection: Path, breakable: type[Broken]
) -> None:
    path = collection_of(collection, (["a"], unit_rows(1)))
    before = files(path)
    with Writer(path) as writer:
        change = image_change(writer.ensure_corpus("test:", "test"), ["b"], unit_rows(1, seed=1))
        last = generation(writer)
        with pytest.raises(CollectionError, match="disk I/O error"):
            _commit_failing("before", writer, change, breakable)

        assert generation(writer) == last
    assert files(path) == before


def test_a_commit_in_doubt_that_did_happen_counts_and_keeps_its_files(
    collection: Path, breakable: type[Broken]
) -> None:
    path = collection_of(collection, (["a"], unit_rows(1)))
    with Writer(path) as writer:
        change = image_change(writer.ensure_corpus("test:", "test"), ["b"], unit_rows(1, seed=1))
        names = _commit_failing("after", writer, change, breakable)

    assert set(names) == {"test:b"}
    with Collection.open(path) as opened:
        assert {hit.uri for hit in opened.search(unit_rows(1), "image", 5)[0]} == {"test:a", "test:b"}


def leave_as_a_dead_writer(path: Path) -> list[Path]:
    """Files that a writer leaves behind that dies between writing them and their commit."""
    before = files(path)
    with Writer(path) as writer:
        writer.vectors.write(4, np.arange(5, 6), [unit_rows(1)])
    temporary = path / "segments" / ".new-4-0123456789abcdef.faiss"
    temporary.touch()
    return [path / "segments" / name for name in files(path) - before]


def test_the_log_is_written_over_before_a_file_is_removed(collection: Path) -> None:
    path = collection_of(collection, (["a"], unit_rows(1)))
    orphans = leave_as_a_dead_writer(path)
    with Writer(path) as writer, writer.look_up() as connection:
        statement = "SELECT value FROM settings WHERE name = 'sweeps'"
        settled = connection.exec_driver_sql(statement).scalars().all()

    assert settled == ["1"]
    assert not any(orphan.exists() for orphan in orphans)


def test_a_writer_sweeps_what_a_dead_one_left_and_nothing_else(collection: Path) -> None:
    path = collection_of(collection, (["a"], unit_rows(1)))
    kept = files(path)
    assert len(leave_as_a_dead_writer(path)) == 3

    with Writer(path):
        pass

    assert files(path) == kept


def test_a_file_that_cannot_be_removed_waits_for_the_next_sweep(
    collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = collection_of(collection, (["a"], unit_rows(1)))
    orphans = leave_as_a_dead_writer(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", lambda *_, **__: (_ for _ in ()).throw(PermissionError("mapped")))
        with Writer(path):
            assert all(orphan.exists() for orphan in orphans)
    with Writer(path):
        assert not any(orphan.exists() for orphan in orphans)


def test_rows_that_are_not_finite_and_unit_are_refused_before_anything_is_written(collection: Path) -> None:
    rows = unit_rows(3)
    for wrong in (np.nan, 2.0):
        broken = rows.copy()
        broken[1] *= wrong
        with Writer(collection) as writer:
            with pytest.raises(CollectionError, match="row 1 is not a finite unit vector"):
                writer.commit(image_change(1, ["a", "b", "c"], broken), IDENTITY)
            assert generation(writer) == 0
        assert files(collection) == set()


def test_a_commit_without_vectors_binds_no_encoder(collection: Path) -> None:
    with Writer(collection) as writer:
        source = writer.ensure_corpus("test:", "test")
        change = Change()
        change.failures["test:x"] = NewFailure("test:x", "is broken", source)
        writer.commit(change, IDENTITY)

        assert writer.identity is None


def test_two_writers_exclude_each_other_and_a_closed_one_frees_the_lock(collection: Path) -> None:
    with Writer(collection), pytest.raises(CollectionLocked, match="another process is writing"):
        Writer(collection)
    Writer(collection).close()


def test_a_writer_that_is_closed_writes_no_more(collection: Path) -> None:
    writer = Writer(collection)
    writer.close()

    with pytest.raises(UsageError, match="closed"):
        writer.commit(image_change(1, ["a"], unit_rows(1)), IDENTITY)


def test_a_writer_that_is_closed_again_opens_nothing_without_the_lock(
    collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(collection)
    writer.close()
    opened: list[object] = []
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **options: opened.append(given))

    writer.close()

    assert not opened


def test_a_writer_of_an_existing_collection_makes_none(tmp_path: Path) -> None:
    with pytest.raises(CollectionNotFound):
        Writer.existing(tmp_path / "typo")

    assert not (tmp_path / "typo").exists()


def test_a_newer_collection_is_refused_by_writers_and_readers_and_left_alone(collection: Path) -> None:
    path = collection_of(collection, (["a"], unit_rows(1)))
    with sqlite3.connect(path / "catalogue.sqlite") as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()

    with pytest.raises(CollectionTooNew, match="upgrade vlsearch"):
        Writer(path)
    with pytest.raises(CollectionTooNew, match=f"schema {SCHEMA_VERSION + 1}"):
        Collection.open(path)
    with pytest.raises(CollectionTooNew):  # and the lock was freed
        Writer(path)


def test_a_migration_that_fails_leaves_nothing_of_itself(
    collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = collection_of(collection, (["a"], unit_rows(1)))

    half_done = "CREATE TABLE half (x);\nINSERT INTO no_such_table VALUES (1);\n"

    with monkeypatch.context() as patch:
        patch.setattr("retrieval.collection.migrations.MIGRATIONS", (*MIGRATIONS, half_done))
        patch.setattr("indexer.store.transactions.SCHEMA_VERSION", SCHEMA_VERSION + 1)
        with pytest.raises(CollectionError, match="no_such_table"):
            Writer(path)

    with Writer(path) as writer, writer.look_up() as connection:
        assert schema.schema_version(connection) == SCHEMA_VERSION
        tables = connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars().all()
        assert "half" not in tables


def test_an_older_collection_is_migrated_by_its_writer_in_one_step(
    collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = collection_of(collection, (["a"], unit_rows(1)))

    add_a_column = "ALTER TABLE sources ADD COLUMN note TEXT;\n"

    monkeypatch.setattr("retrieval.collection.migrations.MIGRATIONS", (*MIGRATIONS, add_a_column))
    for module in ("indexer.store.transactions", "retrieval.collection.catalogue"):
        monkeypatch.setattr(f"{module}.SCHEMA_VERSION", SCHEMA_VERSION + 1)
    with Writer(path) as writer, writer.look_up() as connection:
        assert schema.schema_version(connection) == SCHEMA_VERSION + 1
        assert connection.exec_driver_sql("SELECT note FROM sources").scalars().all() == [None]


def test_the_migrations_make_the_tables_that_the_code_asks(collection: Path) -> None:
    with Writer(collection) as writer, writer.look_up() as connection:
        for table in schema.metadata.sorted_tables:
            columns = connection.exec_driver_sql(f"PRAGMA table_info({table.name})").all()
            assert {row[1] for row in columns} == set(table.c.keys())
            primary = [row[1] for row in sorted(columns, key=lambda row: row[5]) if row[5]]
            assert primary == [column.name for column in table.primary_key]
            required = {row[1] for row in columns if row[3]}
            assert required >= {c.name for c in table.c if not c.nullable and not c.primary_key}
            made = {row[1] for row in connection.exec_driver_sql(f"PRAGMA index_list({table.name})")}
            assert {index.name for index in table.indexes} <= made


def test_two_selects_of_one_transaction_see_one_generation(collection: Path) -> None:
    path = collection_of(collection, (["a"], unit_rows(1)))
    reader = connect(path, "read")
    with Writer(path) as writer, reader.connect() as connection, connection.begin():
        first = read_generation(driver_connection(connection))
        writer.commit(image_change(1, ["b"], unit_rows(1, seed=1)), IDENTITY)

        assert generation(writer) == first + 1
        assert read_generation(driver_connection(connection)) == first
        assert connection.exec_driver_sql("SELECT count(*) FROM items").scalar_one() == 1
    reader.dispose()


def test_closing_waits_only_a_moment_for_a_reader_and_loses_nothing(collection: Path) -> None:
    path = collection_of(collection, (["a"], unit_rows(1)))
    reader = connect(path, "read")
    with reader.connect() as connection, connection.begin():
        read_generation(driver_connection(connection))
        with Writer(path) as writer:
            writer.commit(image_change(1, ["b"], unit_rows(1, seed=1)), IDENTITY)
    reader.dispose()

    with Collection.open(path) as opened:
        assert opened.count("image") == 2


def test_an_id_is_never_used_again(collection: Path) -> None:
    path = collection_of(collection, (["a", "b"], unit_rows(2)))
    with Writer(path) as writer:
        writer.commit(Change(removed=[2]), IDENTITY)
        names = writer.commit(image_change(1, ["c"], unit_rows(1, seed=1)), IDENTITY)

    assert names == {"test:c": 3}


def test_a_pictures_captions_rank_in_the_order_of_the_corpus_however_commits_cut_it(tmp_path: Path) -> None:
    def captions(path: Path, cuts: list[list[int]]) -> list[tuple[str, int]]:
        with Writer(path) as writer:
            source = writer.ensure_corpus("test:", "test")
            writer.commit(image_change(source, ["a"], unit_rows(1)), IDENTITY)
            for cut in cuts:
                change = Change()
                for number in cut:
                    _add_text(change, source, f"test:{number}", f"caption {number}")
                    change.links["test:a", f"test:{number}"] = NewLink("test:a", f"test:{number}", source)
                writer.commit(change, IDENTITY)
            with writer.look_up() as connection:
                rows = connection.exec_driver_sql(
                    "SELECT uri, rank FROM links JOIN items ON items.id = text_item ORDER BY rank"
                )
                return [(row[0], row[1]) for row in rows]

    whole = captions(tmp_path / "whole", [[0, 1, 2, 3]])

    assert whole == [(f"test:{number}", number) for number in range(4)]
    assert captions(tmp_path / "cut", [[0], [1, 2], [3]]) == whole


def test_a_new_collection_is_not_made_among_other_files_which_walkers_would_then_leave_out(
    tmp_path: Path,
) -> None:
    photos = tmp_path / "photos"
    draw(photos / "a.png", (1, 2, 3))

    with pytest.raises(
        UsageError, match=r"holds other files \(a.png\); give a new collection a folder of its own"
    ):
        Writer(photos)

    assert [path.name for path in photos.iterdir()] == ["a.png"]


def test_a_new_collection_is_made_where_only_hidden_files_or_a_killed_writers_are(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "segments").mkdir()
    (tmp_path / "writer.lock").touch()

    with Writer(tmp_path) as writer:
        assert generation(writer) == 0


def test_a_path_of_links_that_lead_to_each_other_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(tmp_path / "there")
    (tmp_path / "there").symlink_to(tmp_path / "here")

    with pytest.raises(CollectionError, match="cannot be written"):
        Writer(tmp_path / "here")


def _commit_failing(when: str, writer: Writer, change: Change, breakable: type[Broken]) -> dict[str, int]:
    """Commit a change whose last COMMIT, that of the switch, fails."""
    switch = writer.catalogue.switch

    def switch_failing(number: int) -> Any:
        breakable.fail = when
        return switch(number)

    writer.catalogue.switch = switch_failing  # type: ignore[method-assign, assignment]
    return writer.commit(change, IDENTITY)


def _add_text(change: Change, source: int, uri: str, words: str) -> None:
    digest = text_digest(words)
    seed = int.from_bytes(digest[:4], "little")
    change.contents["text", digest] = NewContent("text", digest, unit_rows(1, seed=seed)[0], words)
    change.items[uri] = NewItem(uri, "text", digest, source)


def test_a_catalogue_that_gives_items_under_other_uris_is_damaged_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = collection_of(tmp_path, (["a"], unit_rows(1)))
    with Writer(path) as writer:
        change = image_change(writer.ensure_corpus("test:", "test"), ["b"], unit_rows(1, seed=1))
        monkeypatch.setattr("indexer.store.rows.item_ids_of", lambda connection, uris: {"test:c": 1})
        with pytest.raises(CollectionDamaged, match="other uris"):
            writer.commit(change, IDENTITY)

    with Collection.open(path) as collection:
        assert collection.count("image") == 1
