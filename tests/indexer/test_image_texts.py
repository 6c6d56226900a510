"""Texts of images that are not captions: marked with where they come from, found by words, never ground truth."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import indexer
import retrieval
from indexer import ItemWriter
from indexer.exchange.image_texts import parse_texts
from retrieval import ImageText, SearchEngine, UsageError
from retrieval.answers import hit_facts
from retrieval.collection import Collection
from tests.builders import HashEncoder, draw, take_back_schema

BOX = (0.1, 0.1, 0.9, 0.1, 0.9, 0.2, 0.1, 0.2)


@pytest.fixture
def writer(collection: Path, tmp_path: Path) -> Iterator[ItemWriter]:
    with indexer.open_writer(collection, model=HashEncoder()) as opened:
        opened.add("sign", draw(tmp_path / "a.png", (1, 0, 0)))
        opened.add("caption", "a red sign", describes=["sign"])
        opened.commit()
        yield opened


@pytest.fixture
def engine(writer: ItemWriter, collection: Path) -> Iterator[SearchEngine]:
    with retrieval.open(collection, encoder=HashEncoder()) as opened:
        yield opened


def by_words(engine: SearchEngine, words: str) -> list[str]:
    return sorted(hit.key or "" for hit in engine.search(words, mode="words", find="image"))


def test_hits_carry_a_text_with_its_origin_and_maker_apart_from_captions(
    writer: ItemWriter, engine: SearchEngine
) -> None:
    writer.set_text("sign", "NO ENTRY\n禁止入内", origin="read", maker="reader 1", boxes=[BOX, BOX])
    writer.commit()

    hit = engine.search("anything", find="image")[0]
    assert hit.texts == (ImageText("read", "reader 1", "NO ENTRY\n禁止入内", (BOX, BOX)),)
    assert [caption.text for caption in hit.captions] == ["a red sign"]
    facts = hit_facts(hit)["texts"]
    assert facts == [
        {"origin": "read", "maker": "reader 1", "text": "NO ENTRY\n禁止入内", "boxes": (BOX, BOX)}
    ]


def test_words_find_an_image_by_its_texts_and_no_more_by_one_that_was_replaced(
    writer: ItemWriter, engine: SearchEngine
) -> None:
    writer.set_text("sign", "NO ENTRY", origin="read", maker="reader 1")
    writer.commit()
    assert by_words(engine, "entry no") == ["sign"]

    writer.set_text("sign", "禁止入内", origin="read", maker="reader 2")
    writer.commit()
    assert (by_words(engine, "entry"), by_words(engine, "禁止")) == ([], ["sign"])


def test_a_text_belongs_to_the_bytes_of_an_image(
    writer: ItemWriter, engine: SearchEngine, tmp_path: Path
) -> None:
    writer.set_text("sign", "EXIT", origin="read", maker="reader 1")
    writer.add("copy", (tmp_path / "a.png").read_bytes())
    writer.commit()
    assert by_words(engine, "exit") == ["copy", "sign"]

    writer.upsert("sign", draw(tmp_path / "a.png", (2, 0, 0)))
    writer.commit()
    assert by_words(engine, "exit") == ["copy"]

    writer.delete("copy")
    assert by_words(engine, "exit") == []
    assert not engine.info().image_texts


def test_texts_of_images_are_neither_items_nor_links(writer: ItemWriter, collection: Path) -> None:
    for origin in retrieval.ORIGINS:
        writer.set_text("sign", f"some {origin}", origin=origin, maker="maker 1")
    writer.commit()

    with Collection.open(collection) as opened:
        info = opened.info()
    assert (info.images, info.texts, info.links) == (1, 1, 1)
    assert info.image_texts == {"page by maker 1": 1, "read by maker 1": 1, "written by maker 1": 1}


def test_a_title_and_a_description_are_texts_of_an_image_and_marked_as_such(
    writer: ItemWriter, engine: SearchEngine
) -> None:
    writer.set_attributes("sign", {"title": "Old gate", "description": "seen in Xi'an"})
    writer.commit()

    (hit,) = engine.search("xi'an", mode="words", find="image")
    assert hit.texts == (
        ImageText("title", None, "Old gate"),
        ImageText("description", None, "seen in Xi'an"),
    )


@pytest.mark.parametrize(
    ("key", "text", "boxes", "said"),
    [
        ("nobody", "x", [], "no picture with the key 'nobody'"),
        ("caption", "x", [], "no picture"),
        ("sign", "two\nlines", [BOX], "a box for each line"),
        ("sign", "x", [(0.5, 9, 9, 9, 9, 9, 9, 9)], "a box is not eight shares"),
        ("sign", "\ud800", [], "the text is not one"),
        ("sign", "x", None, "the boxes are not a list"),
    ],
)
def test_a_text_that_cannot_be_kept_is_refused_with_a_sentence(
    writer: ItemWriter, key: str, text: str, boxes: Any, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        writer.set_text(key, text, origin="read", maker="reader 1", boxes=boxes)


def test_the_doctor_names_texts_that_break_a_rule(writer: ItemWriter, collection: Path) -> None:
    writer.set_text("sign", "EXIT", origin="read", maker="reader 1")
    writer.commit()
    assert indexer.doctor(collection).faults == ()
    with closing(sqlite3.connect(collection / "catalogue.sqlite")) as catalogue:
        catalogue.execute("UPDATE image_texts SET boxes = '[[1]]'")
        catalogue.commit()

    (fault,) = indexer.doctor(collection).faults
    assert "lists of eight numbers" in fault
    with pytest.raises(retrieval.CollectionDamaged), Collection.open(collection) as opened:
        opened.items([1])


def test_a_collection_of_schema_5_is_read_as_it_is_and_gets_the_table_by_its_next_writer(
    collection: Path, tmp_path: Path
) -> None:
    with indexer.open_writer(collection, model=HashEncoder()) as first:
        first.add("sign", draw(tmp_path / "a.png", (1, 0, 0)), attributes={"title": "gate"})
    take_back_schema(collection, 5)

    with Collection.open(collection) as opened:
        assert [text.text for text in opened.items([1])[0].texts] == ["gate"]
        assert opened.info().image_texts == {}
    assert indexer.doctor(collection).faults == ()
    with indexer.open_writer(collection, model=HashEncoder()) as second:
        second.set_text("sign", "EXIT", origin="read", maker="reader 1")
    with Collection.open(collection) as opened:
        assert [text.origin for text in opened.items([1])[0].texts] == ["title", "read"]
    assert indexer.doctor(collection).faults == ()


def test_an_export_takes_texts_of_images_along_and_an_import_takes_them_in(
    writer: ItemWriter, collection: Path, tmp_path: Path
) -> None:
    writer.set_text("sign", "NO ENTRY\n禁止入内", origin="read", maker="reader 1", boxes=[BOX, BOX])
    writer.set_text("sign", "A red sign.", origin="written", maker="model 2")
    writer.commit()

    indexer.export_collection(collection, tmp_path / "export")
    indexer.import_collection(tmp_path / "export", tmp_path / "imported")

    with retrieval.open(tmp_path / "imported", encoder=HashEncoder()) as engine:
        (hit,) = engine.search("禁止", mode="words", find="image")
    assert hit.texts == (
        ImageText("read", "reader 1", "NO ENTRY\n禁止入内", (BOX, BOX)),
        ImageText("written", "model 2", "A red sign."),
    )


@pytest.mark.parametrize(
    "stored",
    [
        "[",
        "[]",
        '{"title": ["a", "b", []]}',
        '{"read": "x"}',
        '{"read": ["r", "x", [[1]]]}',
        '{"read": ["", "x", []]}',
    ],
)
def test_a_row_with_texts_of_images_that_break_a_rule_cannot_be_taken(stored: str) -> None:
    with pytest.raises(ValueError, match="image_texts"):
        parse_texts(stored)
