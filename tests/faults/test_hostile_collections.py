"""A collection of a stranger's reaches nothing outside its folder, and loses nothing that another catalogue names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import indexer
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.errors import CollectionDamaged, CollectionError, CollectionNotFound
from tests.builders import IDENTITY, HashEncoder, collection_of, image_change, unit_rows
from tests.command_line import vlsearch
from tests.faults.hostile_folders import (
    FOR_WRITERS_ONLY,
    REFUSED,
    Trick,
    alter,
    own_files,
    segment_file,
)
from tests.fuzz.harness import seal

NAMES = ["a", "b", "c", "d"]


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Two segments of two pictures each."""
    rows = unit_rows(4)
    return collection_of(tmp_path / "collection", (NAMES[:2], rows[:2]), (NAMES[2:], rows[2:]))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder that the collection has no business with."""
    return own_files(tmp_path / "own")


def found(collection: Path) -> int:
    with Collection.open(collection) as opened:
        return len(opened.search(unit_rows(1), "image", 9)[0])


def files(collection: Path) -> set[str]:
    return {path.name for path in (collection / "segments").iterdir()}


@pytest.mark.parametrize("trick", REFUSED, ids=lambda trick: trick.__name__)
def test_writers_refuse_what_would_lead_outside_and_touch_nothing(
    trick: Trick, collection: Path, own: Path
) -> None:
    trick(collection, own)
    before = seal(own)

    for command in (["optimize"], ["doctor", "--repair"], ["delete", "x"]):
        done = vlsearch(*command, "--collection", collection)

        assert done.exception is None or isinstance(done.exception, SystemExit)
        if command[0] != "delete":
            assert done.exit_code != 0 or command[0] == "doctor"
        assert seal(own) == before


def test_an_old_journal_of_decoding_that_is_a_link_is_left_alone(collection: Path, own: Path) -> None:
    (collection / "decoding.journal").symlink_to(own / "letter.txt")
    before = seal(own)

    for command in (["optimize"], ["doctor", "--repair"], ["info"]):
        assert vlsearch(*command, "--collection", collection).exit_code == 0

    assert seal(own) == before
    assert (collection / "decoding.journal").is_symlink()


@pytest.mark.parametrize(
    "trick", [trick for trick in REFUSED if trick not in FOR_WRITERS_ONLY], ids=lambda trick: trick.__name__
)
def test_readers_and_doctor_name_what_would_lead_outside(trick: Trick, collection: Path, own: Path) -> None:
    trick(collection, own)
    before = seal(own)

    with pytest.raises(CollectionDamaged):
        Collection.open(collection)

    assert indexer.doctor(collection).faults
    assert seal(own) == before


def test_a_collection_that_is_itself_reached_by_a_link_is_one(collection: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(collection, target_is_directory=True)

    assert found(tmp_path / "link") == 4
    assert indexer.optimize(tmp_path / "link") == (2, 1)
    assert found(tmp_path / "link") == 4


def test_a_sweep_leaves_what_has_not_the_shape_of_ours(collection: Path, own: Path) -> None:
    segments = collection / "segments"
    (segments / "notes.txt").write_text("mine")
    (segments / "9-0123456789abcdef.faiss").mkdir()
    (segments / ".new-9-0123456789abcdef.faiss").symlink_to(own / "letter.txt")
    (segments / ".new-letter.faiss").touch()
    (segments / ".new-9-0123456789abcdef.ids.npy").touch()
    before = files(collection)

    indexer.optimize(collection)

    kept = {"notes.txt", "9-0123456789abcdef.faiss", ".new-9-0123456789abcdef.faiss", ".new-letter.faiss"}
    assert files(collection) & before == kept
    assert indexer.doctor(collection).orphans == tuple(sorted(f"segments/{name}" for name in kept))


@pytest.mark.parametrize(
    "state", ["empty", "absent", "exchanged for a new one", "exchanged for another collection's"]
)
def test_where_segments_lie_and_the_catalogue_knows_none_nothing_is_made_and_nothing_swept(
    state: str, collection: Path, tmp_path: Path
) -> None:
    catalogue = collection / "catalogue.sqlite"
    kept = catalogue.read_bytes()
    catalogue.unlink()
    if state == "empty":
        catalogue.touch()
    elif "exchanged" in state:
        other = tmp_path / "other"
        with Writer(other):
            pass
        if "another" in state:
            collection_of(other, (["x"], unit_rows(1)))
        shutil.copy(other / "catalogue.sqlite", catalogue)
    before = {path: path.read_bytes() for path in collection.rglob("*") if path.is_file()}
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.txt").write_text("a caption")

    for act in (
        lambda: indexer.build(photos, collection, model=HashEncoder()),
        lambda: indexer.optimize(collection),
        lambda: indexer.doctor(collection, repair=True),
    ):
        with pytest.raises(CollectionDamaged, match="backup, or move the folder away"):
            act()

    assert any("backup" in fault for fault in indexer.doctor(collection).faults)
    after = {path: path.read_bytes() for path in collection.rglob("*") if path.is_file()}
    assert {
        path for path in after.keys() ^ before.keys() if path.suffix not in (".sqlite-wal", ".sqlite-shm")
    } == set()
    assert all(after[path] == before[path] for path in after if path.suffix in (".faiss", ".npy"))
    for name in ("-wal", "-shm"):
        (collection / f"catalogue.sqlite{name}").unlink(missing_ok=True)
    catalogue.write_bytes(kept)
    assert found(collection) == 4


def test_an_older_catalogue_from_a_backup_loses_no_file_of_the_newer_one(tmp_path: Path) -> None:
    rows = unit_rows(3)
    path = collection_of(tmp_path / "collection", (["a"], rows[:1]))
    catalogue = path / "catalogue.sqlite"
    older = catalogue.read_bytes()
    collection_of(path, (["b"], rows[1:2]), (["c"], rows[2:]))
    newer, before = catalogue.read_bytes(), files(path)

    catalogue.write_bytes(older)
    collection_of(path, (["d"], rows[1:2]))
    indexer.optimize(path)
    assert found(path) == 2
    assert {name for name in files(path) if name.startswith(".aside-")} == {
        f".aside-{name}" for name in before
    }
    catalogue.write_bytes(newer)

    faults = indexer.doctor(path).faults
    assert len(faults) == 6
    assert all("--repair brings it back" in fault for fault in faults)
    assert indexer.doctor(path, repair=True).faults == ()
    assert before <= files(path)
    assert found(path) == 3


def test_a_catalogue_that_is_gone_is_not_found_where_no_segment_lies(collection: Path) -> None:
    shutil.rmtree(collection)
    with pytest.raises(CollectionNotFound):
        Collection.open(collection)
    with pytest.raises(CollectionNotFound):
        indexer.doctor(collection)


@pytest.mark.parametrize(
    ("suffix", "offset", "value"),
    [
        (".faiss", 0, b"IwFl"),
        (".faiss", 4, (2**31 - 1).to_bytes(4, "little")),
        (".faiss", 4, (-1).to_bytes(4, "little", signed=True)),
        (".faiss", 8, (2**62).to_bytes(8, "little")),
        (".faiss", 32, b"\x02"),
        (".faiss", 33, (1).to_bytes(4, "little")),
        (".faiss", 37, (2**62).to_bytes(8, "little")),
        (".ids.npy", 0, b"\x93NUMPX"),
        (".ids.npy", 6, b"\x03\x00"),
        (".ids.npy", 8, b"\xff\xff"),
        (".ids.npy", 10, b"{'descr': '|O8', "),
        (".ids.npy", 10, b"{'descr': '<i8', 'fortran_order': True , "),
        (".ids.npy", 10, b"{'descr': '<i8', 'fortran_order': False, 'shape': (9" + b"9" * 17 + b",), }"),
    ],
)
def test_a_header_that_lies_is_damage_and_neither_faiss_nor_numpy_sees_it(
    suffix: str, offset: int, value: bytes, collection: Path
) -> None:
    path = segment_file(collection, suffix)
    data = path.read_bytes()
    path.write_bytes(data[:offset] + value + data[offset + len(value) :])

    with pytest.raises(CollectionDamaged, match=r"does not hold"):
        Collection.open(collection)
    assert indexer.doctor(collection).faults


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE items SET uri = x'ff00' WHERE id = 1",
        "UPDATE items SET attributes = '[1]'",
        "UPDATE items SET attributes = '" + "[" * 20000 + "'",
        "UPDATE items SET uri = CAST(x'ff' AS TEXT) WHERE id = 1",
        "UPDATE items SET content_id = 'x'",
        "UPDATE settings SET value = '-1' WHERE name = 'generation'",
        "UPDATE settings SET value = '" + "9" * 5000 + "' WHERE name = 'generation'",
        "UPDATE settings SET value = 'x' WHERE name = 'active_encoder'",
        "UPDATE encoders SET identity = '" + "[" * 20000 + "'",
        "UPDATE encoders SET identity = json_set(identity, '$.dimension', 'x')",
        "UPDATE encoders SET identity = json_set(identity, '$.dimension', 17)",
        "UPDATE encoders SET identity = json_set(identity, '$.name', 3)",
        "UPDATE segments SET kind = 'sound'",
        "UPDATE segments SET rows = 0",
        "UPDATE segments SET rows = -1",
        "UPDATE segments SET rows = 'x'",
        "UPDATE segments SET vectors_size = 9223372036854775807",
        "DELETE FROM contents",
        "DELETE FROM items",
        "DELETE FROM encodings",
    ],
)
def test_values_that_do_not_belong_are_damage_to_readers_and_to_doctor(
    statement: str, collection: Path
) -> None:
    alter(collection, statement)

    with pytest.raises(CollectionDamaged), Collection.open(collection) as opened:
        opened.search(unit_rows(1), "image", 9)
    assert indexer.doctor(collection).faults


@pytest.mark.parametrize("value", ["'x'", "1.5", "-1", "x'00'", "9223372036854775807"])
def test_a_last_id_that_is_not_one_is_named_by_the_writer_that_needs_it(collection: Path, value: str) -> None:
    alter(collection, f"UPDATE sqlite_sequence SET seq = {value} WHERE name = 'encodings'")

    with Writer(collection) as writer, pytest.raises(CollectionError):
        writer.commit(image_change(1, ["e"], unit_rows(1, seed=9)), IDENTITY)


def test_compaction_names_vectors_that_are_damaged_and_keeps_the_segments(collection: Path) -> None:
    with segment_file(collection, ".faiss").open("r+b") as file:
        file.seek(45)
        file.write(b"\xff" * 4)
    before = files(collection)

    done = vlsearch("optimize", "--collection", collection)

    assert done.exit_code == 1
    assert "damaged vectors: row 0 is not a finite unit vector" in done.stderr
    assert files(collection) == before


def test_a_schema_that_is_not_valid_unicode_is_damage(collection: Path) -> None:
    alter(
        collection,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = CAST(x'4352454154452054ce41424c45' AS TEXT) WHERE name = 'items'",
    )

    for command in ("info", "optimize", "doctor"):
        done = vlsearch(command, "--collection", collection)

        assert isinstance(done.exception, SystemExit)
        assert "Traceback" not in done.output
