"""A writer looks up once an item, writes to SQLite once a commit, loads a model only to encode, and can wait."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import indexer
import retrieval
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.errors import (
    CollectionError,
    CollectionLocked,
    IdentityMismatch,
    ModelError,
    UnknownModel,
    UsageError,
)
from retrieval.types import Item
from tests.builders import HashEncoder, Index, draw

ITEMS = 60


def begun(statements: list[str]) -> tuple[int, int]:
    """Read and write transactions."""
    return statements.count("BEGIN"), statements.count("BEGIN IMMEDIATE")


def by_uri(collection: Path) -> dict[str, Item]:
    with Collection.open(collection) as opened:
        return {hit.uri: hit for hit in opened.items(range(1, 500))}


def by_key(collection: Path) -> dict[str | None, Item]:
    with Collection.open(collection) as opened:
        return {hit.key: hit for hit in opened.items(range(1, 500))}


def test_an_item_costs_one_look_up_and_no_write_transaction(
    collection: Path, encoder: HashEncoder, statements: list[str]
) -> None:
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("picture", (draw(collection.parent / "a.png", (1, 2, 3))).read_bytes())
        writer.commit()
        statements.clear()

        for number in range(ITEMS):
            writer.add(f"{number}", f"words {number % 7}", attributes={"n": number}, describes=["picture"])
        for number in range(0, ITEMS, 2):
            writer.upsert(f"{number}", f"words {number}")
        assert begun(statements) == (ITEMS + ITEMS // 2, 0)

        statements.clear()
        writer.commit()
        assert begun(statements)[1] <= 3  # names of new files, the commit


def test_renamed_files_cost_one_look_up_a_commit_and_no_write_transaction_each(
    photos: Path, collection: Path, index: Index, statements: list[str]
) -> None:
    def transactions() -> tuple[int, int]:
        statements.clear()
        index(photos)
        return begun(statements)

    for number in range(ITEMS):
        draw(photos / "old" / f"{number}.png", (number, 1, 2))
        (photos / "old" / f"{number}.txt").write_text(f"words {number}")
    index(photos)
    unchanged = transactions()
    ids = {hit.id for hit in by_uri(collection).values()}
    (photos / "old").rename(photos / "new")

    reads, writes = transactions()

    asked_for_each_image = ITEMS  # by the thread that has read its bytes: does the content have a vector?
    assert reads - unchanged[0] - asked_for_each_image <= 6
    assert writes - unchanged[1] <= 2
    assert sum("LIMIT 16" in statement for statement in statements) == 2  # one look-up a kind
    assert {hit.id for hit in by_uri(collection).values()} == ids
    assert not [uri for uri in by_uri(collection) if "/old/" in uri]


def test_replacing_and_deleting_items_begins_no_write_transaction_before_the_commit(
    collection: Path, encoder: HashEncoder, statements: list[str]
) -> None:
    with indexer.open_writer(collection, model=encoder) as writer:
        for number in range(ITEMS):
            writer.add(f"{number}", f"words {number}")
        writer.commit()
        statements.clear()

        for number in range(ITEMS):
            writer.set_attributes(f"{number}", {"n": number})
            writer.upsert(f"{number}", f"words {number}", uri=f"https://example.org/{number}")
        assert begun(statements) == (2 * ITEMS, 0)

        statements.clear()
        assert writer.delete(*map(str, range(ITEMS))) == ITEMS
        assert begun(statements)[1] == 2  # what was staged, then the deletion


def test_a_look_up_cannot_write_and_leaves_the_writer_able_to(collection: Path) -> None:
    with Writer(collection) as writer:
        with pytest.raises(CollectionError), writer.look_up() as connection:
            connection.exec_driver_sql("INSERT INTO settings VALUES ('a', 'b')")

        assert writer.ensure_corpus("test:", "test") == writer.ensure_corpus("test:", "test")


def test_no_model_is_loaded_where_nothing_is_to_be_encoded(
    collection: Path, encoder: HashEncoder, tmp_path: Path
) -> None:
    """The identity names a model that nobody can load."""
    picture = draw(tmp_path / "a.png", (1, 2, 3))
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("a", picture)
        writer.add("b", "some words")

    for model in ("auto", "hash"):
        with indexer.open_writer(collection, model=model) as writer:
            writer.upsert("a", picture, attributes={"model": model})
            writer.upsert("c", " some words ")
            writer.upsert("d", "other words", vector=encoder.encode_texts(["other words"])[0])
            writer.set_attributes("b", {"x": 1})
            writer.hide("c")
            assert writer.delete("d") == 1
        assert by_key(collection)["a"].attributes == {"model": model}
        with (
            pytest.raises((ModelError, UnknownModel)),
            indexer.open_writer(collection, model=model) as writer,
        ):
            writer.add("e", "words that are new")


def test_another_model_by_name_is_refused_before_anything_is_added(
    collection: Path, encoder: HashEncoder
) -> None:
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("a", "some words")

    with pytest.raises(IdentityMismatch), indexer.open_writer(collection, model="mini") as writer:
        writer.add("b", "some words")
    assert by_key(collection).keys() == {"a"}


def test_attributes_change_alone_and_nothing_is_encoded(collection: Path, encoder: HashEncoder) -> None:
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("a", "some words", attributes={"price": 1, "old": True})
        writer.add("b", "more words")
        writer.set_attributes("b", {"staged": 1})
    before = by_key(collection)
    encoder.encoded.clear()

    with indexer.open_writer(collection, model=encoder) as writer:
        writer.set_attributes("a", {"price": 2, "tags": ("red", "mug")})
        writer.set_attributes("b", {"gone": 1})
        writer.upsert("b", "more words", attributes={"last": 1})
        with pytest.raises(UsageError, match="no item with the key 'c'"):
            writer.set_attributes("c", {})
        with pytest.raises(UsageError, match="lists of texts"):
            writer.set_attributes("a", {"x": [1]})  # type: ignore[list-item]

    after = by_key(collection)
    assert encoder.encoded == []
    assert after["a"].attributes == {"price": 2, "tags": ["red", "mug"]}
    assert (after["a"].id, after["a"].text) == (before["a"].id, "some words")
    assert (before["b"].attributes, after["b"].attributes) == ({"staged": 1}, {"last": 1})
    assert indexer.doctor(collection) == indexer.Diagnosis((), ())


def test_tags_go_through_a_corpus_an_export_and_an_import(
    collection: Path, encoder: HashEncoder, tmp_path: Path
) -> None:
    draw(tmp_path / "a.png", (1, 2, 3))
    table = tmp_path / "t.jsonl"
    table.write_text(
        '{"image": "a.png", "caption": "a mug", "tags": ["red", "mug"], "odd": [1, "x"], "none": []}\n'
    )
    indexer.build(table, collection, model=encoder, workers=2)
    again = indexer.build(table, collection, model=encoder, workers=2)

    indexer.export_collection(collection, tmp_path / "out")
    indexer.import_collection(tmp_path / "out", tmp_path / "copy")

    assert again.encoded == 0
    for path in (collection, tmp_path / "copy"):
        with Collection.open(path) as opened:
            (picture,) = [hit for hit in opened.items(range(1, 9)) if hit.kind == "image"]
        assert picture.attributes == {"tags": ["red", "mug"], "odd": '[1, "x"]', "none": []}
        assert indexer.doctor(path) == indexer.Diagnosis((), ())


def test_a_writer_hides_and_unhides_by_key(collection: Path, encoder: HashEncoder) -> None:
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("a", "some words")
        writer.add("b", "more words")
        assert writer.hide("a", "nobody") == 1
        with retrieval.open(collection, encoder=encoder) as engine:
            assert [hit.key for hit in engine.search("x", find="text")] == ["b"]
        assert writer.unhide("a") == 1
    assert by_key(collection).keys() == {"a", "b"}


def hold(collection: Path, held: object, release: object) -> None:
    with Writer(collection):
        held.set()  # type: ignore[attr-defined]
        release.wait()  # type: ignore[attr-defined]


WAITING: list[Callable[..., object]] = [
    lambda path, photos, timeout: indexer.build(
        photos, path, model=HashEncoder(), workers=2, timeout=timeout
    ),
    lambda path, photos, timeout: indexer.delete(path, ["x"], timeout=timeout),
    lambda path, photos, timeout: indexer.hide(path, ["x"], timeout=timeout),
    lambda path, photos, timeout: indexer.unhide(path, ["x"], timeout=timeout),
    lambda path, photos, timeout: indexer.reindex(path, HashEncoder(), timeout=timeout),
    lambda path, photos, timeout: indexer.optimize(path, timeout=timeout),
    lambda path, photos, timeout: indexer.doctor(path, repair=True, timeout=timeout),
    lambda path, photos, timeout: indexer.open_writer(path, timeout=timeout).__exit__(None, None, None),
]


def test_every_writer_waits_for_another_process_as_long_as_asked(collection: Path, photos: Path) -> None:
    indexer.build(photos, collection, model=HashEncoder(), workers=2)
    context = multiprocessing.get_context("forkserver")
    held, release = context.Event(), context.Event()
    process = context.Process(target=hold, args=(collection, held, release), daemon=True)
    process.start()
    held.wait()

    for act in WAITING:
        for timeout in (0.0, 0.01):
            with pytest.raises(CollectionLocked, match="--wait SECONDS"):
                act(collection, photos, timeout)
    waiting = [threading.Thread(target=act, args=(collection, photos, 600.0)) for act in WAITING]
    for thread in waiting:
        thread.start()
    time.sleep(0.1)
    assert all(thread.is_alive() for thread in waiting)
    release.set()
    for thread in waiting:
        thread.join()
    process.join()

    assert indexer.doctor(collection).faults == ()


@pytest.mark.parametrize("timeout", [-1.0, float("nan"), float("inf")])
def test_a_timeout_that_is_no_length_of_time_is_refused(collection: Path, timeout: float) -> None:
    with pytest.raises(UsageError, match="timeout is"):
        Writer(collection, timeout)
