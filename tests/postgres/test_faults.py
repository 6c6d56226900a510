"""Connections that are cut, and databases of strangers."""

from __future__ import annotations

from pathlib import Path

import pytest

import indexer
from retrieval.collection import Collection
from retrieval.collection.postgres.server_connection import connect
from retrieval.errors import CollectionDamaged, CollectionError, CollectionTooNew
from retrieval.places import ServerAddress
from retrieval.types import Request
from tests.builders import collection_of, unit_rows
from tests.postgres.collections import QUERIES
from tests.postgres_server import new_place


@pytest.fixture
def place(tmp_path: Path) -> ServerAddress:
    """A collection of three images on the server."""
    place = new_place()
    indexer.copy_collection(collection_of(tmp_path / "c", (["a", "b", "c"], unit_rows(3))), place)
    return place


def change(place: ServerAddress, *statements: str) -> None:
    connection = connect(place, 60)
    for statement in statements:
        connection.driver.execute(statement.replace("~", place.schema).encode())
    connection.close()


def read_all(place: ServerAddress) -> None:
    with Collection.open(place) as opened, opened.reading() as view:
        view.search(QUERIES, "image", Request(k=3))
        view.vectors_of_kind("image")


def delete_items(place: ServerAddress) -> None:
    with Collection.open(place) as opened, opened.reading() as view:
        view.connection.execute("DELETE FROM items")


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["UPDATE ~.settings SET value = 'x' WHERE name = 'generation'"], "generation is not a number"),
        (["UPDATE ~.encoders SET identity = '{}'"], "does not know its encoder"),
        (
            ["ALTER TABLE ~.items RENAME TO other", "CREATE VIEW ~.items AS SELECT * FROM ~.other"],
            "no plain table items",
        ),
        (["ALTER TABLE ~.items ENABLE ROW LEVEL SECURITY"], "no plain table items"),
        (["DROP TABLE ~.hidden"], "no plain table hidden"),
        (["DELETE FROM ~.migrations"], "does not say which schema"),
        (
            ["ALTER TABLE ~.items ALTER attributes TYPE bytea USING attributes::bytea"],
            "holds a value of type bytes",
        ),
        (["ALTER TABLE ~.items ALTER uri TYPE int USING 7"], "operator does not exist"),
        (
            [
                "ALTER TABLE ~.image_vectors ALTER vector TYPE public.vector",
                "UPDATE ~.image_vectors SET vector = '[1,0]' WHERE encoding_id = 2",
            ],
            "different vector dimensions|dimension is not 16",
        ),
        (["ALTER TABLE ~.encodings DROP COLUMN part"], "part"),
        (["ALTER TABLE ~.items DROP CONSTRAINT items_content_id_fkey", "DELETE FROM ~.image_vectors"], ""),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_database_that_was_altered_is_one_sentence(
    place: ServerAddress, statements: list[str], said: str
) -> None:
    change(place, *statements)

    if not said:
        with Collection.open(place) as opened:
            assert opened.search(QUERIES, "image", 3) == [[], [], []]
        return
    with pytest.raises(CollectionError, match=said):
        read_all(place)


def test_a_newer_schema_is_refused(place: ServerAddress) -> None:
    change(place, "INSERT INTO ~.migrations VALUES (99)")

    with pytest.raises(CollectionTooNew):
        Collection.open(place)


def test_a_vector_that_is_not_unit_stops_a_copy_to_a_folder(place: ServerAddress, tmp_path: Path) -> None:
    change(
        place,
        "UPDATE ~.image_vectors SET vector = array_fill(9, ARRAY[16])::public.vector WHERE encoding_id = 2",
    )

    with pytest.raises(
        CollectionDamaged, match="of the vectors of images, row 1 is not a finite unit vector"
    ):
        indexer.copy_collection(place, tmp_path / "back")

    assert not (tmp_path / "back").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_reader_changes_nothing(place: ServerAddress) -> None:
    with pytest.raises(CollectionError, match="read-only"):
        delete_items(place)


def test_connections_that_were_cut_are_made_again(place: ServerAddress) -> None:
    with Collection.open(place) as opened:
        assert opened.count("image") == 3
        with opened.reading() as view:
            pid = view.connection.execute("SELECT pg_backend_pid()").fetchone()[0]
        change(place, f"SELECT pg_terminate_backend({pid})")
        assert opened.count("image") == 3
