"""Pictures that were moved, and collections that move with their pictures: paths change, nothing is encoded."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import indexer
import retrieval
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.collection.moved import Move
from retrieval.errors import CollectionError, UsageError
from retrieval.places import CollectionPlace
from retrieval.query.pictures import Pictures
from retrieval.types import Kind
from retrieval.uris import file_uri
from tests.builders import IDENTITY, HashEncoder, image_change, unit_rows
from tests.postgres_server import new_place

Place = Callable[[Path], tuple[Path, Path]]
NAMES = ("a.png", "b #1.png", "雪/c%.png")


def fill(folder: Path) -> Path:
    """Three pictures with captions, one of them broken, one name with what uris escape."""
    for number, name in enumerate(NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10), (number * 90, 10, 200)).save(path)
        path.with_suffix(".txt").write_text(f"picture number {number}\n", encoding="utf-8")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return folder


@pytest.fixture
def drive(tmp_path: Path, encoder: HashEncoder) -> Path:
    """A drive with pictures and, beside them, a collection of them that has one hidden."""
    drive = tmp_path / "usb"
    fill(drive / "Pictures")
    indexer.build(drive / "Pictures", drive / "collection", model=encoder, relative=True)
    indexer.hide(drive / "collection", [str(drive / "Pictures" / "a.png")])
    return drive


@pytest.fixture(params=["folder", "server"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> CollectionPlace:
    """Where a collection is made, in a folder or on a server."""
    return new_place() if request.param == "server" else tmp_path / "collection"


def everything(collection: CollectionPlace) -> dict[str, Any]:
    """What readers see of a collection."""
    with Collection.open(collection) as opened, opened.reading() as view:
        kinds: tuple[Kind, Kind] = ("image", "text")
        return {
            "items": {row.uri for kind in kinds for page in view.pages(kind) for row in page},
            "failures": {failure.uri for failure in view.failures()},
            "hidden": {hidden.uri for hidden in view.hidden()},
            "corpora": [(one.uri, one.spec and one.spec.source) for one in view.corpora()],
            "visible": [view.count(kind) for kind in kinds],
        }


def moved(facts: Any, old: Path, new: Path) -> Any:
    """The same facts with another place in every path."""
    if isinstance(facts, str):
        for before, after in ((file_uri(old), file_uri(new)), (str(old), str(new))):
            if facts == before or facts.startswith(f"{before}/"):
                return after + facts[len(before) :]
        return facts
    if isinstance(facts, dict):
        return {name: moved(fact, old, new) for name, fact in facts.items()}
    is_many = isinstance(facts, (set, list, tuple))
    return type(facts)(moved(fact, old, new) for fact in facts) if is_many else facts


def test_what_is_relocated_is_found_at_its_new_place_and_nothing_is_encoded(
    tmp_path: Path, encoder: HashEncoder, anywhere: CollectionPlace
) -> None:
    old, new, collection = fill(tmp_path / "old" / "Pictures"), tmp_path / "new place", anywhere
    indexer.build(old, collection, model=encoder)
    indexer.hide(collection, [str(old / "a.png")])
    before = everything(collection)
    old.rename(new)

    done = indexer.relocate(collection, old, new)

    assert everything(collection) == moved(before, old, new)
    assert (done.items, done.corpora, done.failures, done.missing) == (6, 1, 1, 0)
    assert indexer.doctor(collection).faults == ()
    (again,) = indexer.update(collection, model=encoder)
    assert again.report is not None
    assert (again.report.encoded, again.report.unchanged, again.report.vanished) == (0, 6, 0)


def test_a_dry_run_tells_the_same_and_changes_nothing(tmp_path: Path, encoder: HashEncoder) -> None:
    old, collection = fill(tmp_path / "old"), tmp_path / "collection"
    indexer.build(old, collection, model=encoder)
    shutil.copytree(old, tmp_path / "new")
    before, generation = everything(collection), Collection.open(collection).generation

    planned = indexer.relocate(collection, old, tmp_path / "new", dry_run=True)

    assert (everything(collection), Collection.open(collection).generation) == (before, generation)
    assert planned == indexer.relocate(collection, old, tmp_path / "new")


@pytest.mark.parametrize(("old", "new"), [("a", "a/b"), ("a/b", "a"), ("a", "ab"), ("a/b/c", "a/b")])
def test_a_folder_may_move_into_itself_and_out_again(
    tmp_path: Path, encoder: HashEncoder, old: str, new: str
) -> None:
    collection, folder = tmp_path / "collection", tmp_path / old
    for name in ("1.png", "b/1.png", "b/b/1.png", "b/b/b/2.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (len(name), 0, 0)).save(folder / name)
    indexer.build(folder, collection, model=encoder)
    before = everything(collection)
    folder.rename(tmp_path / "aside")
    shutil.rmtree(tmp_path / new, ignore_errors=True)
    (tmp_path / new).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "aside").rename(tmp_path / new)

    indexer.relocate(collection, folder, tmp_path / new)

    assert everything(collection) == moved(before, folder, tmp_path / new)


def test_a_place_on_another_system_is_named_as_it_was_there(tmp_path: Path) -> None:
    collection = tmp_path / "collection"
    with Writer(collection) as writer:
        corpus = writer.ensure_corpus("file:///C%3A/Users/me/My%20Pictures", "folder")
        change = image_change(corpus, ["x"], unit_rows(1))
        item = change.items.pop("test:x")
        uri = "file:///C%3A/Users/me/My%20Pictures/x.png"
        change.items[uri] = type(item)(uri, "image", item.sha256, corpus)
        writer.commit(change, IDENTITY)
    Image.new("RGB", (9, 9)).save(tmp_path / "x.png")

    indexer.relocate(collection, r"C:\Users\me\My Pictures", tmp_path)

    assert everything(collection)["items"] == {file_uri(tmp_path / "x.png")}


def test_an_archive_that_has_another_name_keeps_its_members(tmp_path: Path, encoder: HashEncoder) -> None:
    import tarfile

    fill(tmp_path / "p")
    with tarfile.open(tmp_path / "old.tar", "w") as tar:
        tar.add(tmp_path / "p" / "a.png", "a.png")
    collection = tmp_path / "collection"
    indexer.build(tmp_path / "old.tar", collection, model=encoder)
    (tmp_path / "old.tar").rename(tmp_path / "new.tar")

    indexer.relocate(collection, tmp_path / "old.tar", tmp_path / "new.tar")

    assert everything(collection)["items"] == {file_uri(tmp_path / "new.tar", "a.png")}
    with retrieval.open(collection, encoder=encoder) as engine, Pictures(engine.collection) as pictures:
        (found,) = pictures.find(hit.id for hit in engine.search("a", find="image")).values()
        assert pictures.original(found) == (tmp_path / "p" / "a.png").read_bytes()


def test_a_file_that_has_another_name_is_found_by_its_new_words(
    tmp_path: Path, encoder: HashEncoder, anywhere: CollectionPlace
) -> None:
    fill(tmp_path / "p")
    collection = anywhere
    indexer.build(tmp_path / "p", collection, model=encoder)
    (tmp_path / "p" / "a.png").rename(tmp_path / "p" / "sunset.png")

    indexer.relocate(collection, tmp_path / "p" / "a.png", tmp_path / "p" / "sunset.png")

    with retrieval.open(collection, encoder=encoder) as engine:
        (hit,) = engine.search("sunset", mode="words", find="image")
    assert hit.uri == file_uri(tmp_path / "p" / "sunset.png")
    assert indexer.doctor(collection).faults == ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("old", "old", "both the old and the new place"),
        ("", "new", "empty"),
        ("elsewhere", "new", "its corpora are"),
        ("ol", "new", "its corpora are"),
        ("old", "nowhere", "there is no"),
        ("old", "empty", "none of 6 files"),
        ("old", "new", "has already"),
        ("https://example.org/p", "new", "only files are moved"),
        ("old", "https://example.org/p", "only files are moved"),
    ],
)
def test_a_move_that_makes_no_sense_is_refused_in_a_sentence_and_changes_nothing(
    tmp_path: Path, encoder: HashEncoder, monkeypatch: pytest.MonkeyPatch, old: str, new: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    collection = tmp_path / "collection"
    fill(tmp_path / "old")
    (tmp_path / "empty").mkdir()
    indexer.build(tmp_path / "old", collection, model=encoder)
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    indexer.build(tmp_path / "new", collection, model=encoder)
    before = everything(collection)

    with pytest.raises(UsageError) as error:
        indexer.relocate(collection, old, new)

    assert said.replace("has already", "already") in str(error.value)
    assert "\n" not in str(error.value)
    assert everything(collection) == before


def test_a_collection_that_moved_with_its_pictures_is_read_at_its_new_place(
    drive: Path, tmp_path: Path, encoder: HashEncoder
) -> None:
    before, new = everything(drive / "collection"), tmp_path / "mnt" / "stick"
    new.parent.mkdir()
    drive.rename(new)
    written = (new / "collection" / "catalogue.sqlite").read_bytes()

    assert everything(new / "collection") == moved(before, drive, new)
    with retrieval.open(new / "collection", encoder=encoder) as engine:
        hits = engine.search("picture", find="image")
        assert {hit.uri for hit in hits} == {file_uri(new / "Pictures" / name) for name in NAMES[1:]}
        assert not any(hit.missing for hit in hits)
        assert (
            engine.named(str(new / "Pictures" / "b #1.png"))
            == hits[[*map(named, hits)].index("b #1.png")].item
        )
        inside = retrieval.under(str(new / "Pictures" / "雪"))
        assert [named(hit) for hit in engine.search("p", find="image", where=inside)] == ["c%.png"]
        assert len(engine.search("p", find="image", where=f'corpus = "{new / "Pictures"}"')) == 2
        with Pictures(engine.collection) as pictures:
            for picture in pictures.find(hit.id for hit in hits).values():
                assert pictures.thumbnail(picture, 240)
    assert indexer.doctor(new / "collection").faults == ()
    assert (new / "collection" / "catalogue.sqlite").read_bytes() == written


def named(hit: retrieval.Hit) -> str:
    from retrieval.collection.filters.fields import place_of

    place = place_of(hit.uri)
    assert place is not None
    return place[1]


def test_the_next_writer_of_a_moved_collection_notes_where_it_is_and_encodes_nothing(
    drive: Path, tmp_path: Path, encoder: HashEncoder
) -> None:
    before, new = everything(drive / "collection"), tmp_path / "stick"
    drive.rename(new)

    (done,) = indexer.update(new / "collection", model=encoder, prune=True)

    assert done.report is not None
    assert (done.report.encoded, done.report.removed, done.report.unchanged) == (0, 0, 6)
    assert everything(new / "collection") == moved(before, drive, new)
    with closing(sqlite3.connect(new / "collection" / "catalogue.sqlite")) as catalogue:
        stored = {uri for (uri,) in catalogue.execute("SELECT uri FROM items")}
    assert stored == everything(new / "collection")["items"]


def test_a_reader_that_stays_open_sees_a_move_before_and_after_it_is_noted(
    drive: Path, tmp_path: Path, encoder: HashEncoder
) -> None:
    new = tmp_path / "stick"
    drive.rename(new)
    with Collection.open(new / "collection") as opened:
        seen = [item.uri for item in opened.listed("image")]
        Writer(new / "collection").close()

        assert [item.uri for item in opened.listed("image")] == seen
        assert seen == [file_uri(new / "Pictures" / name) for name in NAMES[1:]]


def test_a_moved_collection_in_a_folder_that_cannot_be_written_is_read_too(
    drive: Path, tmp_path: Path
) -> None:
    new = tmp_path / "stick"
    drive.rename(new)
    for path in (new / "collection").glob("catalogue.sqlite-*"):
        path.unlink()
    (new / "collection").chmod(0o500)
    try:
        uris = everything(new / "collection")["items"]
    finally:
        (new / "collection").chmod(0o700)

    assert all(uri.startswith(file_uri(new)) for uri in uris)


def test_a_collection_reached_through_a_link_has_not_moved(drive: Path, tmp_path: Path) -> None:
    before = everything(drive / "collection")
    (tmp_path / "link").symlink_to(drive / "collection")

    assert everything(tmp_path / "link") == before


def test_paths_are_kept_relative_only_where_the_collection_lies_beside_the_pictures(
    tmp_path: Path, encoder: HashEncoder
) -> None:
    pictures = fill(tmp_path / "Pictures")

    with pytest.raises(UsageError, match="does not lie in it"):
        indexer.build(pictures, tmp_path / "elsewhere" / "collection", model=encoder, relative=True)

    assert not (tmp_path / "elsewhere").exists()


def test_what_lies_outside_the_folder_keeps_its_paths_when_the_collection_moves(
    drive: Path, tmp_path: Path, encoder: HashEncoder
) -> None:
    outside = fill(tmp_path / "usb-not")  # whose name begins as the drive's does
    indexer.build(outside, drive / "collection", model=encoder)
    drive.rename(tmp_path / "stick")

    uris = everything(tmp_path / "stick" / "collection")["items"]

    assert sum(uri.startswith(f"{file_uri(outside)}/") for uri in uris) == 6
    assert not any(uri.startswith(f"{file_uri(drive)}/") for uri in uris)


def test_a_collection_that_would_have_two_items_of_one_name_is_not_written(
    drive: Path, tmp_path: Path, encoder: HashEncoder
) -> None:
    there = fill(tmp_path / "stick" / "Pictures")
    indexer.build(there, drive / "collection", model=encoder)
    shutil.rmtree(tmp_path / "stick")
    drive.rename(tmp_path / "stick")

    with pytest.raises(CollectionError, match="under both places"):
        Writer(tmp_path / "stick" / "collection")


@pytest.mark.parametrize("value", ["", "Pictures", "https://x/", "file:///a#b", "file://x\0", "file:///"])
def test_a_strangers_note_of_where_a_collection_was_does_no_harm(drive: Path, value: str) -> None:
    with closing(sqlite3.connect(drive / "collection" / "catalogue.sqlite")) as catalogue:
        catalogue.execute("UPDATE settings SET value = ? WHERE name = 'relative_to'", (value,))
        catalogue.commit()

    uris = everything(drive / "collection")["items"]

    assert len(uris) == 6
    Writer(drive / "collection").close()
    assert indexer.doctor(drive / "collection").faults == ()


TREES = st.lists(st.sampled_from(["a", "b", "a#b", "a b", "%", "雪"]), max_size=4).map("/".join)


@given(old=TREES, new=TREES, uri=TREES)
def test_readers_and_writers_move_a_path_alike(old: str, new: str, uri: str) -> None:
    from retrieval.collection.moved import show_moved

    move = Move(file_uri(Path("/", old)), file_uri(Path("/", new)))
    shown = file_uri(Path("/", uri))
    with closing(sqlite3.connect(":memory:")) as connection:
        for table in ("items", "sources", "failures"):
            connection.execute(f"CREATE TABLE {table} (uri TEXT)")
        connection.execute("INSERT INTO items VALUES (?)", (shown,))
        show_moved(connection, move, 1)

        ((seen,),) = connection.execute("SELECT uri FROM items").fetchall()

    assert seen == move.uri(shown)
    assert seen == file_uri(Path(move.path(f"/{uri}".rstrip("/") or "/")))


def test_relocate_tells_what_it_does(tmp_path: Path, encoder: HashEncoder) -> None:
    from tests.command_line import vlsearch

    old, collection = fill(tmp_path / "old"), tmp_path / "collection"
    indexer.build(old, collection, model=encoder)
    old.rename(tmp_path / "new")
    (tmp_path / "new" / "a.png").unlink()

    planned = vlsearch("relocate", old, tmp_path / "new", "--dry-run", "--collection", collection)
    done = vlsearch("relocate", old, tmp_path / "new", "--collection", collection)
    again = vlsearch("relocate", old, tmp_path / "new", "--collection", collection)

    assert planned.stdout.startswith("6 items, 1 corpus, 1 failure would move to ")
    assert done.stdout.startswith("6 items, 1 corpus, 1 failure moved to ")
    assert done.stderr == "1 of 6 files that were looked for are not there\n"
    assert (again.exit_code, len(again.stderr.splitlines())) == (2, 1)
    listed = vlsearch("list", "--json", "--collection", collection)
    assert json.loads(listed.stdout.splitlines()[0])["uri"].startswith(file_uri(tmp_path / "new"))
