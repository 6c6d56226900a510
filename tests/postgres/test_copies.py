"""A copy of a collection gives the answers of the original, on a server and back in a folder."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import indexer
import retrieval
from indexer.exchange.tables import TABLES
from indexer.store.changes import Change, NewFailure
from indexer.store.postgres.bulk import copy_vectors
from indexer.store.writer import Writer
from retrieval.collection import Collection, schema
from retrieval.collection.postgres.server_connection import connect
from retrieval.collection.postgres.server_schema import DERIVED
from retrieval.errors import CollectionError, CollectionLocked, UsageError
from retrieval.expressions import Under
from retrieval.postgres_address import parse_address
from retrieval.types import Request
from tests.builders import collection_of, unit_rows
from tests.postgres.collections import QUERIES, STEPS, Step, answers, full_collection, play
from tests.postgres_server import new_place


def check_both_ways(folder: Path, parent: Path) -> None:
    place = new_place()

    there = indexer.copy_collection(folder, place)
    back = indexer.copy_collection(place, parent / "back")

    asked = answers(folder)
    assert answers(place) == asked
    assert answers(parent / "back") == asked
    assert there == back
    assert indexer.doctor(parent / "back").faults == ()


def test_a_server_and_a_folder_copied_from_it_answer_as_the_first_folder(tmp_path: Path) -> None:
    check_both_ways(full_collection(tmp_path / "c"), tmp_path)


@settings(max_examples=5)
@given(steps=STEPS)
def test_after_any_history_copies_answer_alike(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as parent:
        check_both_ways(play(Path(parent) / "c", steps), Path(parent))


@pytest.mark.slow
@settings(max_examples=100)
@given(steps=STEPS)
def test_after_any_of_many_histories_copies_answer_alike(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as parent:
        check_both_ways(play(Path(parent) / "c", steps), Path(parent))


def test_a_copy_back_goes_on_where_the_original_was(tmp_path: Path) -> None:
    place = new_place()
    folder = play(tmp_path / "c", [("add", 1), ("add", 2), ("delete", 2)])

    indexer.copy_collection(folder, place)
    indexer.copy_collection(place, tmp_path / "back")
    for path in (folder, tmp_path / "back"):
        play(path, [("add", 3), ("text", 1)])

    assert answers(folder) == answers(tmp_path / "back")


def test_folders_fields_and_words_are_conditions_that_a_server_answers(tmp_path: Path) -> None:
    place = new_place()
    folder = full_collection(tmp_path / "c")
    indexer.copy_collection(folder, place)

    for where in (
        Under("http://example.org/"),
        *map(retrieval.parse_where, ("n >= 1", "words contains stop")),
    ):
        assert answers(place, where) == answers(folder, where)


def test_nothing_is_overwritten_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    place = new_place()
    first = collection_of(tmp_path / "first", (["a"], unit_rows(1)))
    second = collection_of(tmp_path / "second", (["b", "c"], unit_rows(2, seed=3)))
    indexer.copy_collection(first, place)

    with pytest.raises(UsageError, match="already; to put this one in its place: vlsearch copy --replace"):
        indexer.copy_collection(second, place)
    assert answers(place) == answers(first)
    with Collection.open(place) as opened:
        assert opened.count("image") == 1
        indexer.copy_collection(second, place, replace=True)
        assert opened.count("image") == 2  # a reader that was open goes on with the new one
        assert len(opened.search(QUERIES[:1], "image", 9)[0]) == 2
    assert answers(place) == answers(second)
    with pytest.raises(UsageError, match="is there already"):
        indexer.copy_collection(place, first)
    with pytest.raises(UsageError, match="only a collection on a server can be replaced"):
        indexer.copy_collection(place, first, replace=True)


def test_a_reader_in_the_middle_of_a_view_sees_one_collection_to_its_end(tmp_path: Path) -> None:
    place = new_place()
    first = collection_of(tmp_path / "first", (["a"], unit_rows(1)))
    second = collection_of(tmp_path / "second", (["b", "c"], unit_rows(2, seed=3)))
    indexer.copy_collection(first, place)
    with Collection.open(place) as opened:
        with opened.reading() as view:
            replacing = threading.Thread(
                target=indexer.copy_collection, args=(second, place), kwargs={"replace": True}
            )
            replacing.start()
            replacing.join(0.5)  # it waits for this view
            seen = [item.uri for item in view.newest("image", 5)]
            hits = view.search(QUERIES[:1], "image", Request(k=5))
        replacing.join()

        assert seen == ["test:a"]
        assert [hit.uri for hit in hits[0]] == ["test:a"]
        assert opened.count("image") == 2


def test_a_schema_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    place = new_place()
    folder = collection_of(tmp_path / "c", (["a"], unit_rows(1)))
    connection = connect(place, 60)
    connection.driver.execute(f"CREATE SCHEMA {place.schema}".encode())
    connection.driver.execute(f"CREATE TABLE {place.schema}.precious (id bigint)".encode())

    for replace in (False, True):
        with pytest.raises(UsageError, match="a schema of that name that is not a collection"):
            indexer.copy_collection(folder, place, replace=replace)

    assert connection.send(f"SELECT * FROM {place.schema}.precious").fetchall() == []
    connection.close()


def test_one_process_at_a_time_copies_to_a_name(tmp_path: Path) -> None:
    place = new_place()
    folder = collection_of(tmp_path / "c", (["a"], unit_rows(1)))
    other = connect(place, 60)
    other.driver.execute("BEGIN")
    other.send("SELECT pg_advisory_xact_lock(hashtextextended('vlsearch ' || %s, 0))", [place.schema])

    with pytest.raises(CollectionLocked):
        indexer.copy_collection(folder, place)
    other.close()

    assert indexer.copy_collection(folder, place).images == 1


def test_a_copy_that_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = new_place()
    folder = collection_of(tmp_path / "c", (["a", "b"], unit_rows(2)))
    monkeypatch.setattr("indexer.exchange.to_server.copy_vectors", _one_bit_off(copy_vectors))

    with pytest.raises(CollectionError, match="the copy differs in its vectors of images"):
        indexer.copy_collection(folder, place)

    with pytest.raises(CollectionError, match="there is no collection"):
        Collection.open(place)


def _one_bit_off(copy: Callable[..., None]) -> Callable[..., None]:
    def changed(connection: object, table: str, pages: Iterable[Any], dimension: int) -> None:
        off = ((page, np.nextafter(vectors, np.float32(2))) for page, vectors in pages)
        copy(connection, table, off, dimension)

    return changed


def test_a_text_that_postgresql_cannot_hold_stops_the_copy_with_its_row(tmp_path: Path) -> None:
    place = new_place()
    folder = collection_of(tmp_path / "c", (["a"], unit_rows(1)))
    with Writer(folder) as writer:
        writer.commit_rows(Change(failures={"test:x": NewFailure("test:x", "a\0b", 1)}))

    with pytest.raises(
        CollectionError, match="row 1 of failures holds a text with a character that PostgreSQL"
    ):
        indexer.copy_collection(folder, place)


def test_the_tables_on_a_server_have_the_columns_of_the_catalogue(tmp_path: Path) -> None:
    place = new_place()
    indexer.copy_collection(collection_of(tmp_path / "c", (["a"], unit_rows(1))), place)
    connection = connect(place, 60)
    rows = connection.send(
        "SELECT table_name::text, column_name::text FROM information_schema.columns WHERE table_schema = %s "
        "ORDER BY ordinal_position",
        [place.schema],
    ).fetchall()
    connection.close()
    found: dict[str, list[str]] = {}
    for table, column in rows:
        found.setdefault(table, []).append(column)

    ours = {"migrations", "last_ids", "image_vectors", "text_vectors", *DERIVED}
    of_files = {"segments", "accelerators", "regions", "attribute_names", "attribute_values"}
    assert found.keys() - ours == set(schema.metadata.tables) - of_files
    for name in DERIVED:
        found.pop(name)
    for name, table in schema.metadata.tables.items():
        if name in found:
            assert found[name] == [one.name for one in table.columns if one.name not in ("segment_id", "row")]
    for copied in TABLES:
        assert sorted(copied.columns) == sorted(found[copied.name])


def test_a_collection_is_not_copied_onto_itself_however_its_address_is_written(tmp_path: Path) -> None:
    place = new_place()
    indexer.copy_collection(collection_of(tmp_path / "first", (["a"], unit_rows(1))), place)
    before = answers(place)
    mark = "&" if "?" in place.shown else "?"
    for target in (place, parse_address(f"{place.shown}{mark}connect_timeout=7")):
        with pytest.raises(UsageError, match="is the collection that is to be copied"):
            indexer.copy_collection(place, target, replace=True)
    assert answers(place) == before
