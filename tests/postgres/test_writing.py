"""Writers of collections on a server: one at a time, whole commits, and what becomes of them when something fails."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import indexer
from indexer.store.changes import Change, NewFailure
from indexer.store.writer import Writer
from indexer.store.writers import open_place
from retrieval.collection import Collection, schema
from retrieval.collection.fulltext import objects_of_words
from retrieval.collection.postgres.server_connection import connect
from retrieval.errors import (
    CollectionDamaged,
    CollectionError,
    CollectionLocked,
    CollectionNotFound,
    IdentityMismatch,
    UsageError,
)
from retrieval.places import ServerAddress
from tests.builders import HashEncoder, collection_of, draw, unit_rows
from tests.postgres.collections import answers, play
from tests.postgres_server import new_place


@pytest.fixture
def place() -> ServerAddress:
    """A collection on the server, written there, with images, texts, and hidden and dead ones."""
    place = new_place()
    play(place, [("add", 1), ("text", 2), ("change", 2), ("change", 2), ("hide", 1)])
    return place


def send(place: ServerAddress, *statements: str) -> None:
    connection = connect(place, 60)
    for statement in statements:
        connection.driver.execute(statement.replace("~", place.schema).encode())
    connection.close()


def add(place: ServerAddress, key: str, seed: int) -> None:
    with indexer.open_writer(place, model=HashEncoder()) as writer:
        writer.add(key, None, vector=unit_rows(1, seed=seed)[0])


def cut_writer(place: ServerAddress) -> None:
    """Cut the connection that holds the lock of the writer, and no other: tests that run beside use the same server."""
    send(
        place,
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
        "AND (classid::bigint << 32 | objid::bigint) = hashtextextended('vlsearch ~', 0)",
    )


def test_an_index_run_over_pictures_answers_as_one_into_a_folder(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(5):
        draw(pictures / f"{number}.png", (number, 0, 0))
    (pictures / "broken.png").write_bytes(b"not a picture")
    place = new_place()

    reports = [
        [indexer.build(pictures, where, model=HashEncoder()) for _ in range(2)]
        for where in (place, tmp_path / "c")
    ]

    for first, second in zip(*reports, strict=True):
        assert (first.encoded, first.unchanged, first.failed) == (
            second.encoded,
            second.unchanged,
            second.failed,
        )
    with Collection.open(place) as there, Collection.open(tmp_path / "c") as here:
        assert there.count("image") == here.count("image") == 5
        asked = unit_rows(1, seed=3)
        assert there.search(asked, "image", 5) == here.search(asked, "image", 5)
        assert list(there.failures()) == list(here.failures())
    (pictures / "1.png").unlink()
    (pictures / "2.png").rename(pictures / "renamed.png")
    reports = [
        [indexer.build(pictures, where, model=HashEncoder(), prune=True)] for where in (place, tmp_path / "c")
    ]
    assert [report.removed for (report,) in reports] == [1, 1]
    assert indexer.doctor(place).faults == ()


def test_known_corpora_are_indexed_again_without_their_names(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    draw(pictures / "a.png", (1, 2, 3))
    place = new_place()
    indexer.build(pictures, place, model=HashEncoder())
    draw(pictures / "b.png", (4, 5, 6))

    (updated,) = indexer.update(place, model=HashEncoder())

    assert updated.report is not None
    assert (updated.report.encoded, updated.report.unchanged) == (1, 1)


def test_a_second_writer_and_a_copy_wait_for_the_first_and_readers_do_not(
    place: ServerAddress, tmp_path: Path
) -> None:
    other = collection_of(tmp_path / "c", (["a"], unit_rows(1)))
    with open_place(place):
        with pytest.raises(CollectionLocked):
            open_place(place)
        with pytest.raises(CollectionLocked):
            indexer.copy_collection(other, place, replace=True)
        with Collection.open(place) as opened:
            assert opened.count("image") == 2

    open_place(place).close()


def test_a_writer_that_was_killed_frees_the_lock_and_leaves_a_folder_that_the_next_removes(
    place: ServerAddress, tmp_path: Path
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    code = (
        "import time\nfrom indexer.store.writers import open_place\n"
        f"writer = open_place({place.shown!r})\nprint('open', flush=True)\ntime.sleep(60)"
    )
    killed = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    assert killed.stdout is not None
    killed.stdout.readline()
    (left,) = tmp_path.glob("vlsearch-writer-*")
    killed.kill()
    killed.communicate()
    old = time.time() - 3600
    os.utime(left, (old, old))

    before = tempfile.tempdir
    tempfile.tempdir = str(tmp_path)
    try:
        with open_place(place, 5):
            assert not left.exists()
    finally:
        tempfile.tempdir = before
    assert list(tmp_path.iterdir()) == []


def test_a_connection_that_is_cut_costs_what_was_not_committed_and_ends_the_writer(
    place: ServerAddress,
) -> None:
    with indexer.open_writer(place, model=HashEncoder()) as writer:
        writer.add("kept", None, vector=unit_rows(1, seed=50)[0])
        writer.commit()
        cut_writer(place)
        for key in ("lost", "later"):
            writer.add(key, None, vector=unit_rows(1, seed=len(key))[0])
            with pytest.raises(CollectionError, match="cannot be reached"):
                writer.commit()

    with Collection.open(place) as opened, opened.reading() as view:
        keys, _ = view.keys()
    assert "kept" in keys
    assert not {"lost", "later"} & set(keys)
    assert indexer.doctor(place).faults == ()


def test_a_server_that_refuses_in_the_middle_of_a_commit_leaves_both_sides_as_before(
    place: ServerAddress,
) -> None:
    before = answers(place)
    send(place, "ALTER TABLE ~.items ADD CONSTRAINT none CHECK (key IS DISTINCT FROM 'bad')")

    with indexer.open_writer(place, model=HashEncoder()) as writer:
        writer.add("bad", None, vector=unit_rows(1, seed=50)[0])
        with pytest.raises(CollectionError, match="violates check constraint"):
            writer.commit()
        assert answers(place) == before
        send(place, "ALTER TABLE ~.items DROP CONSTRAINT none")
        writer.add("bad", None, vector=unit_rows(1, seed=50)[0])

    assert indexer.doctor(place).faults == ()
    with Collection.open(place) as opened, opened.reading() as view:
        assert view.item("bad") is not None


def test_a_copy_of_the_catalogue_that_fell_behind_is_not_written_from(
    place: ServerAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    with indexer.open_writer(place, model=HashEncoder()) as writer:
        catalogue: Any = writer._writer.catalogue
        send_changes = catalogue.before_commit

        def send_and_fail(connection: Any) -> None:
            send_changes(connection)
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(catalogue, "before_commit", send_and_fail)
        writer.add("sent", None, vector=unit_rows(1, seed=50)[0])
        with pytest.raises(CollectionError):
            writer.commit()
        monkeypatch.setattr(catalogue, "before_commit", send_changes)
        writer.add("later", None, vector=unit_rows(1, seed=51)[0])
        with pytest.raises(CollectionError, match="is behind it; what was committed is safe"):
            writer.commit()

    assert indexer.doctor(place).faults == ()


def test_a_collection_that_others_changed_is_not_written_over(place: ServerAddress) -> None:
    with open_place(place) as writer:
        send(place, "UPDATE ~.settings SET value = '99' WHERE name = 'generation'")
        with pytest.raises(CollectionError, match="was changed by somebody else than its one writer"):
            writer.commit_rows(Change(hidden=["test:x"]))


def test_a_change_needs_a_collection_where_it_makes_no_sense_on_an_empty_one() -> None:
    place = new_place()

    for change in (indexer.delete, indexer.hide):
        with pytest.raises(CollectionNotFound):
            change(place, ["x"])
    with pytest.raises(CollectionNotFound):
        indexer.reindex(place, HashEncoder())
    with pytest.raises(CollectionNotFound):
        indexer.doctor(place)
    with pytest.raises(CollectionNotFound):
        Collection.open(place)


def test_a_schema_of_somebody_else_is_not_written_to() -> None:
    place = new_place()
    send(place, "CREATE SCHEMA ~", "CREATE TABLE ~.precious (id bigint)")

    with pytest.raises(UsageError, match="a schema of that name that is not a collection"):
        open_place(place)


def test_another_encoder_is_refused_by_the_address_and_reindex_takes_it(place: ServerAddress) -> None:
    other = HashEncoder(weights="1" * 64, dimension=24)
    with pytest.raises(IdentityMismatch, match=f"collection {place.shown.partition('?')[0]}"):
        indexer.open_writer(place, model=other)

    done = indexer.reindex(place, other, skip_unreadable=True)

    assert (done.encoded, done.unreadable) == (1, 3)
    with Collection.open(place) as opened, opened.reading() as view:
        assert view.identity == other.identity
        assert view.vectors_of_kind("text").vectors.shape == (1, 24)
        assert len(view.vectors_of_kind("image").vectors) == 0
    assert indexer.doctor(place).faults == ()


def test_a_reindex_that_is_refused_keeps_its_vectors_beside_and_readers_see_the_old(
    place: ServerAddress,
) -> None:
    before = answers(place)
    other = HashEncoder(weights="1" * 64, dimension=24)

    with pytest.raises(CollectionError, match="cannot be read again"):
        indexer.reindex(place, other)
    now = answers(place)
    assert {name: told for name, told in now.items() if name != "state"} == {
        name: told for name, told in before.items() if name != "state"
    }
    assert indexer.doctor(place).faults == ()

    third = HashEncoder(weights="2" * 64, dimension=20)
    assert indexer.reindex(place, third, skip_unreadable=True).encoded == 1
    assert indexer.doctor(place).faults == ()


def test_a_text_that_postgresql_cannot_hold_is_one_sentence(place: ServerAddress) -> None:
    with open_place(place) as writer:
        corpus = writer.ensure_corpus("test:", "test")
        with pytest.raises(
            CollectionError, match="holds a text with a character that PostgreSQL cannot hold"
        ):
            writer.commit_rows(Change(failures={"test:x": NewFailure("test:x", "a\0b", corpus)}))
        writer.commit_rows(Change(failures={"test:x": NewFailure("test:x", "a b", corpus)}))

    assert indexer.doctor(place).faults == ()


def test_masked_vectors_leave_the_server_when_many_are_masked() -> None:
    place = new_place()
    with indexer.open_writer(place, model=HashEncoder()) as writer:
        for number, row in enumerate(unit_rows(20, seed=7)):
            writer.add(f"k{number}", None, vector=row)
    indexer.delete(place, [f"k{number}" for number in range(10)])

    with Collection.open(place) as opened:
        facts = opened.info()
    assert (facts.rows, facts.dead) == (10, 0)
    assert indexer.doctor(place).faults == ()


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["DELETE FROM ~.image_vectors WHERE encoding_id = 1"], "1 vectors of images are not there"),
        (
            [
                "UPDATE ~.image_vectors SET vector = array_fill(9, ARRAY[16])::public.vector WHERE encoding_id = 1"
            ],
            "1 vectors of images are damaged",
        ),
        (["INSERT INTO ~.dead VALUES (1)"], "1 encodings in use that are masked"),
    ],
)
def test_the_doctor_finds_and_mends(place: ServerAddress, statements: list[str], said: str) -> None:
    send(place, *statements)

    (fault,) = indexer.doctor(place).faults
    assert said in fault
    repaired = indexer.doctor(place, repair=True)
    assert (repaired.faults, repaired.repaired) == ((), (fault,))
    assert indexer.doctor(place).faults == ()


def test_the_doctor_tells_what_it_cannot_mend(place: ServerAddress) -> None:
    columns = "content_id, source_id, kind, uri, key, lang, attributes"
    send(place, f"INSERT INTO ~.items (id, {columns}) SELECT 900, {columns} FROM ~.items LIMIT 1")

    (fault,) = indexer.doctor(place).faults
    assert "its table items breaks a rule: UNIQUE constraint failed" in fault
    with pytest.raises(CollectionDamaged, match="Look closer with: vlsearch doctor"):
        open_place(place)


def test_the_tables_that_writers_send_are_all_of_the_catalogue_but_those_of_files() -> None:
    from indexer.store.postgres.mirror import TABLES

    of_files = {"segments", "accelerators", "regions", "attribute_names", "attribute_values"}
    assert {table.name for table in TABLES} == set(schema.metadata.tables) - of_files


def test_vectors_arrive_bit_for_bit(place: ServerAddress) -> None:
    rows = unit_rows(3, seed=77)
    with indexer.open_writer(place, model=HashEncoder()) as writer:
        for number, row in enumerate(rows):
            writer.add(f"bit{number}", None, vector=row)

    with Collection.open(place) as opened, opened.reading() as view:
        items = [view.item(f"bit{number}") for number in range(3)]
        found = view.item_vectors([item.id for item in items if item is not None])
    stored = np.array([one.vector for one in found.values()])
    assert stored.tobytes() == rows.tobytes()


def test_a_writers_copy_has_the_tables_and_indexes_of_a_folders_catalogue_but_for_words(
    place: ServerAddress, tmp_path: Path
) -> None:
    def objects(folder: Path) -> set[tuple[str, ...]]:
        with closing(sqlite3.connect(folder / "catalogue.sqlite")) as catalogue:
            return set(catalogue.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))

    with open_place(place) as writer, Writer(tmp_path / "folder"):
        assert objects(writer.path) == objects(tmp_path / "folder") - objects_of_words()


def test_only_a_folders_catalogue_waits_for_the_disk(place: ServerAddress, tmp_path: Path) -> None:
    def synchronous(writer: Writer) -> object:
        with writer.catalogue.look_up() as connection:
            return connection.exec_driver_sql("PRAGMA synchronous").scalar_one()

    with open_place(place) as writer, Writer(tmp_path / "folder") as of_folder:
        off, full = 0, 2
        assert (synchronous(writer), synchronous(of_folder)) == (off, full)


def test_what_the_server_cannot_hold_is_refused_when_it_is_given(place: ServerAddress) -> None:
    with indexer.open_writer(place, model=HashEncoder()) as writer:
        writer.add("before", "words before")
        wrongs: dict[str, dict[str, Any]] = {
            "a\0b": {},
            "bad": {"lang": "a\0b"},
            "bad ": {"uri": "x:\0"},
            " bad": {"content": "wo\0rds"},
            "lang": {"lang": "\ud800"},
        }
        for key, wrong in wrongs.items():
            with pytest.raises(UsageError, match=r"NUL|not a language"):
                writer.add(key, **({"content": "words"} | wrong))
        with pytest.raises(UsageError, match="NUL"):
            writer.set_text("p0", "a\0b", origin="read", maker="reader 1")
        writer.add("attributes", "of any character", attributes={"a": "b\0"})
        assert (writer.delete("\ud800"), writer.hide("a\0b")) == (0, 0)

    with Collection.open(place) as opened:
        assert {"before", "attributes"} <= set(opened.keys())
        assert opened.get("\ud800") is opened.get("a\0b") is None
