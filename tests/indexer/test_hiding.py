"""``vlsearch hide``: what is hidden is never a hit, whatever happens to its file, until it is unhidden."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import indexer
import retrieval
from indexer.store.changes import Change
from indexer.store.maintenance import optimize
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.collection.migrations import MIGRATIONS, SCHEMA_VERSION
from retrieval.errors import (
    CollectionError,
    CollectionLocked,
    CollectionNotFound,
    CorpusFormatError,
    UsageError,
)
from retrieval.uris import file_uri
from tests.builders import (
    HashEncoder,
    Index,
    collection_of,
    draw,
    names_and_scores,
    rank_naively,
    take_back_schema,
    unit_rows,
)


def found(collection: Path) -> set[str]:
    """Names of all pictures that a search finds."""
    with Collection.open(collection) as opened:
        return {hit.uri.rpartition("/")[2] for hit in opened.search(unit_rows(1), "image", 100)[0]}


def hidden(collection: Path) -> set[str]:
    with Collection.open(collection) as opened:
        return {item.uri.rpartition("/")[2] for item in opened.hidden()}


def test_a_path_a_uri_and_a_key_each_hide_one_item_and_unhide_shows_it_again(
    index: Index, photos: Path, collection: Path, encoder: HashEncoder
) -> None:
    index(photos)
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("my key", (photos / "red.png").read_bytes() + b"x")

    assert indexer.hide(collection, [str(photos / "red.png")]) == 1
    assert indexer.hide(collection, [file_uri(photos / "green.png"), "my key"]) == 2
    assert found(collection) == {"blue.png"}
    assert indexer.unhide(collection, ["my key", str(photos)]) == 3
    assert found(collection) == {"red.png", "green.png", "blue.png", "key:my%20key"}


def test_a_folder_and_an_archive_hide_what_is_in_them(
    index: Index, photos: Path, tmp_path: Path, collection: Path
) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(photos / "red.png", "one.png")
        tar.add(photos / "green.png", "two.png")
    index(tmp_path / "a.tar")
    index(photos)

    assert indexer.hide(collection, [str(tmp_path / "a.tar#one.png")]) == 1
    assert found(collection) == {"red.png", "green.png", "blue.png", "a.tar#two.png"}
    assert indexer.hide(collection, [str(tmp_path / "a.tar"), str(photos / "sub")]) == 4
    assert found(collection) == {"red.png", "green.png"}


@settings(max_examples=8, deadline=None)
@given(gone=st.sets(st.integers(0, 399)), k=st.integers(1, 50), compact=st.booleans())
def test_hidden_items_never_cost_hits_and_compaction_changes_no_answer(
    gone: set[int], k: int, compact: bool
) -> None:
    vectors = unit_rows(400)
    names = [f"{number}" for number in range(400)]
    seen = [number for number in range(400) if number not in gone]
    query = unit_rows(1, seed=9)

    with tempfile.TemporaryDirectory() as folder:
        path = collection_of(Path(folder), (names[:150], vectors[:150]), (names[150:], vectors[150:]))
        with Writer(path) as writer:
            writer.commit_rows(Change(hidden=[f"test:{number}" for number in gone]))
        if compact:
            optimize(path)
        with Collection.open(path) as collection:
            hits = collection.search(query, "image", k)[0]
            assert collection.count("image") == len(seen)
            assert collection.has("image") == bool(seen)
            assert (collection.info().hidden, collection.info().rows) == (len(gone), 400)

    assert names_and_scores(hits) == rank_naively([names[n] for n in seen], vectors[seen], query[0], k)


def test_of_two_items_with_one_content_the_one_that_is_not_hidden_is_found(tmp_path: Path) -> None:
    vectors = unit_rows(3)
    names, vectors[1] = ["a", "b=a", "c"], vectors[0]
    path = collection_of(tmp_path, (names, vectors))
    with Writer(path) as writer:
        writer.commit_rows(Change(hidden=["test:a"]))

    with Collection.open(path) as collection:
        items = collection.search(vectors[:1], "image", 2)[0]
        contents = collection.search(vectors[:1], "image", 2, distinct=True)[0]

    assert [hit.uri for hit in items] == [hit.uri for hit in contents] == ["test:b=a", "test:c"]


def test_a_hidden_caption_is_neither_a_hit_nor_shown_with_its_picture(
    index: Index, photos: Path, collection: Path, encoder: HashEncoder
) -> None:
    index(photos)
    indexer.hide(collection, [str(photos / "red.txt")])

    with retrieval.open(collection, encoder=encoder) as engine:
        texts = engine.search("a red square", find="text")
        pictures = engine.search("a red square", find="image")

    assert [hit.text for hit in texts] == ["a blue square"]
    assert sorted(caption.text for hit in pictures for caption in hit.captions) == ["a blue square"]


def test_a_collection_of_hidden_pictures_holds_none_to_search_for(
    index: Index, photos: Path, collection: Path, encoder: HashEncoder
) -> None:
    index(photos)
    indexer.hide(collection, [str(photos)])

    with (
        retrieval.open(collection, encoder=encoder) as engine,
        pytest.raises(CollectionError, match="is empty"),
    ):
        engine.search("a red square")


def test_indexing_again_with_other_bytes_or_attributes_shows_nothing(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    indexer.hide(collection, [str(photos / "red.png")])
    draw(photos / "red.png", (1, 2, 3), (9, 9))

    index(photos)
    index(photos, prune=True)

    assert found(collection) == {"green.png", "blue.png"}


def test_a_renamed_file_stays_hidden_and_its_old_name_is_free(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    indexer.hide(collection, [str(photos / "red.png")])
    (photos / "red.png").rename(photos / "crimson.png")
    draw(photos / "red.png", (9, 9, 9))

    index(photos, prune=True)

    # The name is taken again at once, so this is not a rename: the uri is hidden, and so are the bytes that were.
    assert "red.png" not in found(collection)
    (photos / "red.png").unlink()
    shutil.move(photos / "sub/blue.png", photos / "sea.png")
    indexer.hide(collection, [str(photos / "sub/blue.png")])
    index(photos)
    draw(photos / "sub/blue.png", (7, 7, 7))
    index(photos)
    assert "sea.png" not in found(collection)
    assert "blue.png" in found(collection)


def test_what_was_pruned_and_comes_back_is_hidden_under_its_old_name_and_under_a_new_one(
    index: Index, photos: Path, collection: Path, tmp_path: Path
) -> None:
    index(photos)
    indexer.hide(collection, [str(photos / "red.png")])
    (photos / "red.png").rename(tmp_path / "red.png")
    index(photos, prune=True)
    assert hidden(collection) == {"red.png"}

    (tmp_path / "red.png").rename(photos / "red.png")
    index(photos)
    assert found(collection) == {"green.png", "blue.png"}

    (photos / "red.png").rename(tmp_path / "red.png")
    index(photos, prune=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "red.png").rename(tmp_path / "elsewhere/scarlet.png")
    index(tmp_path / "elsewhere")

    assert found(collection) == {"green.png", "blue.png"}
    assert hidden(collection) == {"scarlet.png"}


def test_a_copy_of_a_hidden_picture_is_another_item_and_is_found(
    index: Index, photos: Path, collection: Path
) -> None:
    index(photos)
    indexer.hide(collection, [str(photos / "red.png")])
    shutil.copy(photos / "red.png", photos / "copy.png")

    index(photos)

    assert found(collection) == {"copy.png", "green.png", "blue.png"}


def test_deleting_a_hidden_item_does_not_unhide_it(index: Index, photos: Path, collection: Path) -> None:
    index(photos)
    indexer.hide(collection, [str(photos / "red.png")])
    assert indexer.delete(collection, [str(photos / "red.png")]).items == 1

    index(photos)

    assert found(collection) == {"green.png", "blue.png"}
    assert indexer.unhide(collection, [str(photos / "red.png")]) == 1
    assert "red.png" in found(collection)


def test_a_file_can_be_hidden_before_it_is_indexed(index: Index, photos: Path, collection: Path) -> None:
    index(photos / "sub")

    assert indexer.hide(collection, [str(photos / "red.png")]) == 1
    index(photos)

    assert found(collection) == {"green.png", "blue.png"}


def test_a_change_of_model_encodes_hidden_items_and_keeps_them_hidden(
    index: Index, photos: Path, collection: Path, other_encoder: HashEncoder
) -> None:
    index(photos)
    indexer.hide(collection, [str(photos / "red.png")])

    assert indexer.reindex(collection, other_encoder).encoded == 5

    assert found(collection) == {"green.png", "blue.png"}
    indexer.unhide(collection, [str(photos)])
    assert found(collection) == {"red.png", "green.png", "blue.png"}


def test_an_export_leaves_hidden_items_out_and_with_hidden_carries_them_hidden(
    index: Index, photos: Path, collection: Path, tmp_path: Path
) -> None:
    index(photos)
    indexer.hide(collection, [str(photos / "red.png"), str(photos / "sub/blue.txt")])

    done = indexer.export_collection(collection, tmp_path / "seen")
    whole = indexer.export_collection(collection, tmp_path / "all", hidden=True)

    assert (done.images, done.texts, done.left_out) == (2, 1, 0)
    assert (whole.images, whole.texts, whole.left_out) == (3, 2, 0)
    indexer.import_collection(tmp_path / "seen", tmp_path / "one")
    indexer.import_collection(tmp_path / "all", tmp_path / "two")
    assert found(tmp_path / "one") == found(tmp_path / "two") == {"green.png", "blue.png"}
    assert hidden(tmp_path / "one") == set()
    assert hidden(tmp_path / "two") == {"red.png", "blue.txt#L1"}
    with Collection.open(tmp_path / "one") as opened:
        assert [hit.text for hit in opened.search(unit_rows(1), "text", 9)[0]] == ["a red square"]
    assert json.loads((tmp_path / "seen/vlsearch.json").read_text())["version"] == 1


def test_an_export_with_something_else_than_uris_as_hidden_is_refused(
    index: Index, photos: Path, collection: Path, tmp_path: Path
) -> None:
    index(photos)
    indexer.hide(collection, [str(photos / "red.png")])
    indexer.export_collection(collection, tmp_path / "all", hidden=True)
    manifest = tmp_path / "all/vlsearch.json"
    facts = json.loads(manifest.read_text())

    for wrong in ("x", [1], [""], {"a": 1}, ["\ud800"]):
        manifest.write_text(json.dumps(facts | {"hidden": wrong}))
        with pytest.raises(CorpusFormatError, match="list of uris"):
            indexer.import_collection(tmp_path / "all", tmp_path / "two")


def test_hiding_is_no_damage_and_survives_a_repair(index: Index, photos: Path, collection: Path) -> None:
    index(photos)
    indexer.hide(collection, [str(photos / "red.png")])

    assert indexer.doctor(collection) == indexer.Diagnosis((), ())
    for path in (collection / "segments").iterdir():
        path.unlink()
    indexer.doctor(collection, repair=True)
    index(photos)

    assert found(collection) == {"green.png", "blue.png"}
    assert indexer.doctor(collection) == indexer.Diagnosis((), ())


def test_hiding_is_seen_by_a_reader_that_is_open(index: Index, photos: Path, collection: Path) -> None:
    index(photos)

    with Collection.open(collection) as opened:
        assert len(opened.search(unit_rows(1), "image", 9)[0]) == 3
        indexer.hide(collection, [str(photos / "red.png")])
        assert len(opened.search(unit_rows(1), "image", 9)[0]) == 2


def test_a_collection_of_schema_2_is_read_as_it_is_and_migrated_by_the_next_writer(
    index: Index, photos: Path, collection: Path, tmp_path: Path
) -> None:
    index(photos)
    take_back_schema(collection, 2)

    with Collection.open(collection) as opened:
        assert (opened.info().schema_version, opened.info().hidden, list(opened.hidden())) == (2, 0, [])
        assert len(opened.search(unit_rows(1), "image", 9)[0]) == 3
    assert indexer.doctor(collection).faults == ()
    indexer.export_collection(collection, tmp_path / "out", hidden=True)
    assert indexer.hide(collection, [str(photos / "red.png")]) == 1
    assert found(collection) == {"green.png", "blue.png"}
    with Collection.open(collection) as opened:
        assert opened.info().schema_version == SCHEMA_VERSION


def test_a_migration_to_schema_3_that_fails_leaves_schema_2(
    index: Index, photos: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(photos)
    take_back_schema(collection, 2)

    with monkeypatch.context() as patch:
        failing = f"{MIGRATIONS[2]}CREATE TABLE items (fails);\n"
        patch.setattr(
            "retrieval.collection.migrations.MIGRATIONS", (*MIGRATIONS[:2], failing, *MIGRATIONS[3:])
        )
        with pytest.raises(CollectionError, match="table items already exists"):
            indexer.hide(collection, [str(photos / "red.png")])

    with closing(sqlite3.connect(collection / "catalogue.sqlite")) as catalogue:
        assert catalogue.execute("PRAGMA user_version").fetchone() == (2,)
        assert catalogue.execute("SELECT 1 FROM sqlite_master WHERE name = 'hidden'").fetchone() is None
    assert found(collection) == {"red.png", "green.png", "blue.png"}


def test_what_is_not_there_counts_nothing(
    index: Index, photos: Path, collection: Path, tmp_path: Path
) -> None:
    index(photos)

    assert indexer.hide(collection, ["nothing", str(photos / "no.png")]) == 0
    assert indexer.unhide(collection, [str(photos)]) == 0
    for act in (indexer.hide, indexer.unhide):
        with pytest.raises(UsageError, match="is empty"):
            act(collection, [""])
        with pytest.raises(CollectionNotFound):
            act(tmp_path / "typo", ["x"])
        with Writer(collection), pytest.raises(CollectionLocked):
            act(collection, ["x"])


def test_an_item_moved_by_its_key_stays_hidden(collection: Path, encoder: HashEncoder) -> None:
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("a", "some words")
        writer.add("b", "other words")
    indexer.hide(collection, ["a"])
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.upsert("a", "new words", uri="https://example.org/a")

    with retrieval.open(collection, encoder=encoder) as engine:
        assert [hit.key for hit in engine.search("new words")] == ["b"]
    assert hidden(collection) == {"a"}


@pytest.mark.parametrize("name", ["a.pdf", "a.tif", "a.mp4"])
def test_a_file_of_several_pictures_has_to_be_indexed_before_it_is_hidden(
    name: str, index: Index, photos: Path, collection: Path, tmp_path: Path
) -> None:
    index(photos)
    (tmp_path / name).write_bytes(b"pages")

    with pytest.raises(UsageError, match="may hold several pictures; index it, then hide it"):
        indexer.hide(collection, [str(photos / "red.png"), str(tmp_path / name)])
    assert found(collection) == {"red.png", "green.png", "blue.png"}


@pytest.mark.parametrize("name", ["\ud800", "file:///a\ud800", 2**63, -1, 2**200])
def test_a_name_that_no_item_can_have_names_nothing(
    collection: Path, encoder: HashEncoder, name: str | int
) -> None:
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("k", "words")

    assert indexer.hide(collection, [name]) == indexer.unhide(collection, [name]) == 0
    assert indexer.set_attributes(collection, [name], {"a": 1}) == 0
    for call in (indexer.keep, indexer.forget_kept):
        with pytest.raises(UsageError, match="names no picture"):
            call(collection, [name])
    if isinstance(name, str):
        assert indexer.delete(collection, [name]).items == 0
        with retrieval.open(collection) as engine:
            assert (engine.get(name), engine.named(name)) == (None, None)
            assert list(engine.collection.failures(name)) == []
