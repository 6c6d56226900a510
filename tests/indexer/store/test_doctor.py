"""``vlsearch doctor``: every kind of damage is named, orphans are none, and repair leaves a sound collection."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import indexer
from retrieval.collection import Collection
from retrieval.errors import CollectionDamaged, CollectionNotFound
from tests.builders import Index

Damage = Callable[[Path], None]


def segment(collection: Path, suffix: str) -> Path:
    return sorted(path for path in (collection / "segments").iterdir() if path.name.endswith(suffix))[0]


def cut_short(collection: Path) -> None:
    os.truncate(segment(collection, ".faiss"), 40)


def flip_a_bit(collection: Path) -> None:
    path = segment(collection, ".faiss")
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def lose_the_vectors(collection: Path) -> None:
    segment(collection, ".faiss").unlink()


def lose_the_ids(collection: Path) -> None:
    segment(collection, ".ids.npy").unlink()


def empty_the_ids(collection: Path) -> None:
    os.truncate(segment(collection, ".ids.npy"), 0)


def swap_two_rows(collection: Path) -> None:
    with closing(sqlite3.connect(collection / "catalogue.sqlite")) as connection, connection:
        connection.execute("UPDATE encodings SET row = 1 - row WHERE segment_id = 1 AND row < 2")


DAMAGE = [cut_short, flip_a_bit, lose_the_vectors, lose_the_ids, empty_the_ids, swap_two_rows]


def test_a_sound_collection_has_neither_faults_nor_orphans(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)

    assert indexer.doctor(collection) == indexer.Diagnosis((), ())


def test_orphans_are_reported_are_no_damage_and_are_left_to_the_next_writer(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    (collection / "segments" / ".new-7-7f3a09c1e4b2d855.faiss").touch()

    diagnosis = indexer.doctor(collection)

    assert diagnosis == indexer.Diagnosis((), ("segments/.new-7-7f3a09c1e4b2d855.faiss",))
    index(photos)
    assert indexer.doctor(collection).orphans == ()


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_named_repaired_and_made_good_by_the_next_run(
    damage: Damage, index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    damage(collection)

    found = indexer.doctor(collection)
    assert len(found.faults) == 1
    assert "segments/" in found.faults[0]

    assert indexer.doctor(collection, repair=True) == indexer.Diagnosis((), (), found.faults)
    with Collection.open(collection) as opened:
        assert opened.info().unencoded > 0
        assert opened.count("image") == 3
    assert index(photos).encoded > 0
    with Collection.open(collection) as opened:
        assert opened.info().unencoded == 0
        assert len(opened.search(_query(), "image", 9)[0]) == 3


@pytest.mark.parametrize("damage", [cut_short, lose_the_vectors, empty_the_ids], ids=lambda d: d.__name__)
def test_a_reader_refuses_a_damaged_segment_with_a_sentence(
    damage: Damage, index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    damage(collection)

    with pytest.raises(CollectionDamaged, match="Look closer with: vlsearch doctor"):
        Collection.open(collection)


def test_a_catalogue_that_is_overwritten_is_damage_beyond_repair(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    (collection / "catalogue.sqlite").write_bytes(b"not a database at all" * 300)

    assert "not a database" in indexer.doctor(collection).faults[0]
    with pytest.raises(CollectionDamaged):
        indexer.doctor(collection, repair=True)
    with pytest.raises(CollectionDamaged):
        Collection.open(collection)


def test_a_page_of_the_catalogue_that_rots_is_a_fault_and_no_traceback(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    path = collection / "catalogue.sqlite"
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    path.write_bytes(data)

    assert indexer.doctor(collection).faults


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE items SET kind = 'text' WHERE id = 1", "items whose kind is not their content's"),
        ("INSERT INTO dead VALUES (1)", "encodings in use that are masked"),
        ("UPDATE items SET content_id = 999 WHERE id = 1", "refers to a row of contents that is not there"),
        ("UPDATE contents SET text = NULL WHERE kind = 'text'", "text contents without their text"),
        (
            "UPDATE links SET image_item = text_item WHERE rank = 0",
            "links that do not join a picture to a text",
        ),
    ],
)
def test_rows_that_contradict_each_other_are_faults(
    statement: str, fault: str, index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    with closing(sqlite3.connect(collection / "catalogue.sqlite")) as connection, connection:
        connection.execute(statement)

    assert any(fault in found for found in indexer.doctor(collection).faults)


def alter(collection: Path, *statements: str) -> None:
    with closing(sqlite3.connect(collection / "catalogue.sqlite")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_masks_that_contradict_the_items_are_mended(index: Index, photos: Path, collection: Path) -> None:
    index(photos)
    alter(
        collection,
        "INSERT INTO dead VALUES (1)",
        "DELETE FROM links",
        "DELETE FROM items WHERE kind = 'text'",
        "DELETE FROM words WHERE rowid NOT IN (SELECT id FROM items)",
    )
    assert len(indexer.doctor(collection).faults) == 2

    diagnosis = indexer.doctor(collection, repair=True)

    assert diagnosis.faults == ()
    assert len(diagnosis.repaired) == 2
    with Collection.open(collection) as opened:
        assert len(opened.search(_query(), "image", 9)[0]) == 3


def test_a_folder_of_segments_that_is_gone_is_damage_and_is_repaired(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    shutil.rmtree(collection / "segments")

    assert len(indexer.doctor(collection).faults) == 4
    assert indexer.doctor(collection, repair=True).faults == ()
    assert index(photos).encoded == 5


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("DELETE FROM settings WHERE name = 'generation'", "the setting generation is not a number"),
        (
            "UPDATE settings SET value = 'x' WHERE name = 'generation'",
            "the setting generation is not a number",
        ),
        ("UPDATE settings SET value = '77' WHERE name = 'active_encoder'", "its encoder 77"),
        ("UPDATE encoders SET identity = '{}'", "its encoder 1"),
        ("UPDATE items SET attributes = '{' WHERE id = 1", "attributes are not JSON"),
    ],
)
def test_settings_that_make_no_sense_are_damage_to_doctor_and_readers(
    statement: str, fault: str, index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    alter(collection, statement)

    assert any(fault in found for found in indexer.doctor(collection).faults)
    if "attributes" not in fault:
        with pytest.raises(CollectionDamaged, match=fault), Collection.open(collection) as opened:
            opened.info()


def test_where_there_is_no_collection_the_doctor_says_so_and_makes_none(tmp_path: Path) -> None:
    for repair in (False, True):
        with pytest.raises(CollectionNotFound):
            indexer.doctor(tmp_path / "none", repair=repair)
    assert list(tmp_path.iterdir()) == []


def _query() -> NDArray[np.float32]:
    from tests.builders import HashEncoder

    return HashEncoder().encode_texts(["anything"])
