"""``indexer.open_writer``: add, upsert and delete single items by a key of the caller's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import indexer
from indexer import ItemWriter
from retrieval.collection import Collection
from retrieval.errors import (
    CollectionLocked,
    IdentityMismatch,
    ImageError,
    UsageError,
    VlsearchError,
)
from retrieval.types import Item, Limits
from retrieval.uris import file_uri
from tests.builders import IDENTITY, HashEncoder, Index, draw, png, unit_rows


@pytest.fixture
def writer(collection: Path, encoder: HashEncoder) -> Iterator[ItemWriter]:
    with indexer.open_writer(collection, model=encoder) as opened:
        yield opened


def by_key(collection: Path) -> dict[str | None, Item]:
    with Collection.open(collection) as opened:
        return {hit.key: hit for hit in opened.items(range(1, 2000))}


def test_pictures_come_as_bytes_paths_or_pil_texts_as_str_and_are_found(
    collection: Path, tmp_path: Path, encoder: HashEncoder
) -> None:
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("bytes", png((1, 1, 1)), attributes={"price": 2.5})
        writer.add("path", draw(tmp_path / "a.png", (2, 2, 2)))
        writer.add("pil", Image.new("RGB", (8, 8), (3, 3, 3)))
        writer.add("text", "  some words\n", lang="en")

    found = by_key(collection)
    assert {key: hit.kind for key, hit in found.items()} == {
        "bytes": "image",
        "path": "image",
        "pil": "image",
        "text": "text",
    }
    assert found["bytes"].attributes == {"price": 2.5}
    assert found["path"].uri == file_uri(tmp_path / "a.png")
    assert (found["text"].text, found["text"].lang) == ("some words", "en")
    with Collection.open(collection) as opened:
        query = encoder.encode_images([Image.new("RGB", (8, 8), (3, 3, 3))])
        assert opened.search(query, "image", 1)[0][0].key == "pil"
    assert indexer.doctor(collection) == indexer.Diagnosis((), ())


def test_ready_vectors_are_kept_bit_by_bit_and_need_no_encoder(collection: Path) -> None:
    rows = unit_rows(3)
    with indexer.open_writer(collection, model=IDENTITY) as writer:
        writer.add("picture", None, vector=rows[0])
        writer.add("bytes", png(), vector=rows[1].tolist())
        writer.add(
            "text", "words", vector=rows[2], describes="picture"
        )  # a text is one key, and not its letters

    with Collection.open(collection) as opened:
        first = opened.search(rows[:1], "image", 2)[0][0]
        text = opened.search(rows[2:], "text", 1)[0][0]
    assert (first.key, [caption.text for caption in first.captions]) == ("picture", ["words"])
    assert first.score == np.float32(np.sum(np.multiply(rows[0], rows[0], dtype=np.float64)))
    assert text.key == "text"


@pytest.mark.parametrize("spell", [str, Path])
def test_a_model_is_named_or_is_a_folder_and_then_comes_from_the_collection(
    spell: Callable[[Path], str | Path], model: Path, collection: Path
) -> None:
    with indexer.open_writer(collection, model=spell(model)) as writer:
        writer.add("red", Image.new("RGB", (8, 8), "red"))
    with indexer.open_writer(collection) as writer:
        writer.add("text", "words")
        writer.add("blue", Image.new("RGB", (8, 8), "blue"))

    assert set(by_key(collection)) == {"red", "text", "blue"}


def test_what_is_added_is_seen_after_commit_and_not_before(collection: Path, writer: ItemWriter) -> None:
    writer.add("a", "first")
    writer.commit()
    writer.add("b", "second")

    assert by_key(collection).keys() == {"a"}
    writer.commit()
    assert by_key(collection).keys() == {"a", "b"}


def test_a_block_that_raises_drops_what_was_not_committed(collection: Path, encoder: HashEncoder) -> None:
    def add_two_and_fail() -> None:
        with indexer.open_writer(collection, model=encoder) as writer:
            writer.add("a", "first")
            writer.commit()
            writer.add("b", "second")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        add_two_and_fail()

    assert by_key(collection).keys() == {"a"}
    with indexer.open_writer(collection):  # and the lock is free
        pass


def test_many_items_are_committed_on_the_way(collection: Path, encoder: HashEncoder) -> None:
    pace = indexer.CommitPace(contents=10)
    with indexer.open_writer(collection, model=encoder, pace=pace) as writer:
        for number in range(25):
            writer.add(f"{number}", f"text {number}")

        assert len(by_key(collection)) == 20


def test_a_key_is_added_once(collection: Path, writer: ItemWriter) -> None:
    writer.add("a", "words")
    with pytest.raises(UsageError, match="upsert"):
        writer.add("a", "other words")
    writer.commit()
    with pytest.raises(UsageError, match="'a' already"):
        writer.add("a", "other words")


def test_upsert_adds_or_replaces_and_keeps_the_id(collection: Path, writer: ItemWriter) -> None:
    writer.upsert("a", "one")
    writer.upsert("b", png())
    writer.commit()
    before = by_key(collection)

    writer.upsert("a", "two", lang="en", attributes={"n": 1})
    writer.upsert("a", "three")
    writer.commit()

    after = by_key(collection)
    assert after["a"].id == before["a"].id
    assert (after["a"].text, after["a"].lang, after["a"].attributes) == ("three", None, {})
    assert after["b"] == before["b"]


def test_a_replaced_content_is_found_no_more(
    collection: Path, writer: ItemWriter, encoder: HashEncoder
) -> None:
    writer.add("a", "one")
    writer.commit()
    writer.upsert("a", "two")
    writer.commit()

    with Collection.open(collection) as opened:
        hits = opened.search(encoder.encode_texts(["one"]), "text", 5)[0]
    assert [hit.text for hit in hits] == ["two"]
    assert hits[0].score < 0.99


def test_upsert_may_move_an_item_to_another_uri(collection: Path, writer: ItemWriter, tmp_path: Path) -> None:
    writer.add("a", draw(tmp_path / "old.png", (1, 1, 1)))
    writer.commit()
    before = by_key(collection)["a"]

    writer.upsert("a", draw(tmp_path / "new.png", (2, 2, 2)))
    writer.commit()

    after = by_key(collection)["a"]
    assert (after.id, after.uri) == (before.id, file_uri(tmp_path / "new.png"))


def test_delete_takes_keys_counts_those_that_there_were_and_sees_what_was_just_added(
    collection: Path, writer: ItemWriter
) -> None:
    for key in ("a", "b", "c"):
        writer.add(key, f"text {key}")

    assert writer.delete("a", "c", "never") == 2
    assert by_key(collection).keys() == {"b"}
    writer.add("a", "again")
    writer.commit()
    assert by_key(collection).keys() == {"a", "b"}


def test_links_join_a_text_to_pictures_and_new_ones_replace_the_old(
    collection: Path, writer: ItemWriter
) -> None:
    for key, colour in {"p1": (1, 1, 1), "p2": (2, 2, 2)}.items():
        writer.add(key, png(colour))
    writer.add("t", "words", describes=["p1", "p2"])
    writer.commit()
    writer.upsert("t", "other words")
    writer.commit()
    kept = by_key(collection)
    writer.upsert("t", "other words", describes=["p2"])
    writer.commit()
    replaced = by_key(collection)

    assert [len(kept[key].captions) for key in ("p1", "p2")] == [1, 1]
    assert [len(replaced[key].captions) for key in ("p1", "p2")] == [0, 1]


def test_equal_contents_are_encoded_once_and_are_separate_items(
    collection: Path, encoder: HashEncoder
) -> None:
    encoder.encoded.clear()
    with indexer.open_writer(collection, model=encoder) as writer:
        for key in ("a", "b"):
            writer.add(key, "same words")
        writer.commit()
        writer.add("c", "same words")

    assert len(set(encoder.encoded)) == 1
    with Collection.open(collection) as opened:
        assert opened.info().contents == 1
        assert len(opened.search(encoder.encode_texts(["x"]), "text", 9)[0]) == 3


def test_an_item_that_an_index_run_brought_can_be_given_a_key(
    index: Index, photos: Path, collection: Path, encoder: HashEncoder
) -> None:
    index(photos)
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("mine", photos / "red.png")

    assert by_key(collection)["mine"].uri == file_uri(photos / "red.png")
    with Collection.open(collection) as opened:
        assert opened.count("image") == 3
    assert index(photos).encoded == 0
    assert "mine" in by_key(collection)


@pytest.mark.parametrize(
    ("arguments", "options", "reason"),
    [
        (("", "words"), {}, "not a key"),
        (("\ud800", "words"), {}, "not a key"),
        (("k", " \n"), {}, "not a text"),
        (("k", "half \ud83d of a pair"), {}, "not a text"),
        (("k", None), {}, "a content or a vector"),
        (("k", "words"), {"vector": [1.0, 0.0]}, r"shape \(2,\)"),
        (("k", "words"), {"vector": [0.5] * 16}, "not a finite unit vector"),
        (("k", "words"), {"vector": [float("nan")] * 16}, "finite"),
        (("k", "words"), {"attributes": {"a": [1]}}, "plain JSON"),
        (("k", "words"), {"attributes": {"a": float("inf")}}, "JSON cannot hold"),
        (("k", "words"), {"attributes": {"a": "\udcff"}}, "surrogate pair"),
        (("k", "words"), {"attributes": {"a": ["x", 1]}}, "lists of texts"),
        (("k", "words"), {"describes": ["nobody"]}, "no picture with the key 'nobody'"),
        (("k", "words"), {"describes": ["text"]}, "no picture with the key 'text'"),
        (("k", b"\x89PNG"), {"describes": ["picture"]}, "only texts describe"),
        (("text", b"\x89PNG"), {}, "'text' already"),
        (("k", "words"), {"uri": "key:picture"}, "give 'k' another uri"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence_and_changes_nothing(
    arguments: tuple[str, None] | tuple[str, bytes] | tuple[str, str],
    options: dict[str, Any],
    reason: str,
    collection: Path,
    writer: ItemWriter,
) -> None:
    writer.add("picture", png())
    writer.add("text", "first words")
    writer.commit()
    before = by_key(collection)

    with pytest.raises(UsageError, match=reason):
        writer.add(*arguments, **options)
    writer.commit()

    assert by_key(collection) == before


def test_a_key_cannot_change_its_kind(writer: ItemWriter) -> None:
    writer.add("a", "words")
    with pytest.raises(UsageError, match="delete it first"):
        writer.upsert("a", png())


def test_a_picture_that_cannot_be_read_raises_and_nothing_is_added(
    collection: Path, encoder: HashEncoder, tmp_path: Path
) -> None:
    limits = Limits(file_bytes=200, pixels=100)
    with indexer.open_writer(collection, model=encoder, limits=limits) as writer:
        for broken in (b"", b"no picture", bytes(300), tmp_path / "no.png", tmp_path, png()[:40]):
            with pytest.raises(ImageError):
                writer.add("k", broken)

    assert by_key(collection) == {}


def test_another_model_is_refused_at_once_and_the_lock_is_freed(
    collection: Path, encoder: HashEncoder, other_encoder: HashEncoder
) -> None:
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("a", "words")
    for model in (other_encoder, other_encoder.identity):
        with pytest.raises(IdentityMismatch):
            indexer.open_writer(collection, model=model)
    with indexer.open_writer(collection, model=encoder) as writer, pytest.raises(CollectionLocked):
        indexer.open_writer(collection, model=encoder)


def test_an_identity_alone_encodes_nothing(collection: Path) -> None:
    with indexer.open_writer(collection, model=IDENTITY) as writer, pytest.raises(UsageError, match="vector"):
        writer.add("a", "words")


def test_a_commit_that_fails_keeps_nothing_of_it_and_the_writer_goes_on(
    collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(HashEncoder):
        fails = True

        def encode_texts(self, texts: Sequence[str], batch_size: int | None = None) -> NDArray[np.float32]:
            if self.fails:
                raise VlsearchError("the encoder is out of order")
            return super().encode_texts(texts, batch_size)

    encoder = Failing()
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("a", "words")
        with pytest.raises(VlsearchError, match="out of order"):
            writer.commit()
        encoder.fails = False
        writer.add("b", "words")

    assert by_key(collection).keys() == {"b"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"lang": "\ud800"},
        {"lang": 5},
        {"lang": b"en"},
        {"uri": 5},
        {"uri": "x:\ud800"},
        {"attributes": [("a", 1)]},
        {"describes": ["\ud800"]},
        {"describes": [2**70]},
        {"describes": None},
        {"describes": 5},
        {"content": 5},
        {"vector": "abc"},
    ],
)
def test_what_cannot_be_kept_is_refused_when_it_is_given_and_the_rest_is_committed(
    collection: Path, encoder: HashEncoder, wrong: dict[str, Any]
) -> None:
    with indexer.open_writer(collection, model=encoder) as writer:
        writer.add("before", "words before")
        with pytest.raises(UsageError):
            writer.add("bad", **({"content": "words"} | wrong))
        writer.add("after", "words after")

    assert by_key(collection).keys() == {"before", "after"}
    assert indexer.doctor(collection) == indexer.Diagnosis((), ())


@pytest.mark.parametrize("size", [(0, 0), (0, 7), (7, 0)])
def test_a_picture_without_pixels_is_refused(
    collection: Path, encoder: HashEncoder, size: tuple[int, int]
) -> None:
    with indexer.open_writer(collection, model=encoder) as writer:
        for vector in (None, unit_rows(1)[0]):
            with pytest.raises(ImageError, match="no pixels"):
                writer.add("empty", Image.new("RGB", size), vector=vector)
        writer.add("k", "words")

    assert by_key(collection).keys() == {"k"}
    assert indexer.doctor(collection) == indexer.Diagnosis((), ())


@pytest.mark.parametrize("key", ["\ud800", "", "no such key"])
def test_what_cannot_be_a_key_names_no_item(writer: ItemWriter, key: str) -> None:
    writer.add("k", "words")

    assert (writer.delete(key), writer.hide(key), writer.unhide(key)) == (0, 0, 0)
    with pytest.raises(UsageError, match="no item with the key"):
        writer.set_attributes(key, {"a": 1})
    with pytest.raises(UsageError, match="no picture with the key"):
        writer.set_text(key, "words", origin="read", maker="reader 1")


@pytest.mark.parametrize("path", ["a\0b", "a\ud800"])
def test_a_path_that_no_file_can_have_is_refused_as_a_collection_and_as_a_picture(
    writer: ItemWriter, collection: Path, path: str
) -> None:
    with pytest.raises(ImageError):
        writer.add("k", Path(path))
    writer.add("k", "words")
    writer.commit()
    for call in (
        lambda: Collection.open(path),
        lambda: indexer.open_writer(path),
        lambda: indexer.hide(path, ["k"]),
        lambda: indexer.doctor(path),
        lambda: indexer.copy_collection(collection, path),
        lambda: indexer.export_collection(collection, path),
    ):
        with pytest.raises(UsageError, match="cannot be the path"):
            call()
