"""Several calls for one item before a commit leave what they would leave with a commit after each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import indexer
from indexer import ItemWriter
from retrieval.collection import Collection
from tests.builders import HashEncoder

Call = Callable[[ItemWriter], object]


def contents(collection: Path) -> list[tuple[str | None, str, str | None, list[str | None]]]:
    """Key, uri, words and the words of captions, in the order in which the items came."""
    with Collection.open(collection) as opened:
        return [
            (item.key, item.uri, item.text, [caption.text for caption in item.captions])
            for item in opened.items(range(1, 100))
        ]


def fill(path: Path, encoder: HashEncoder) -> Path:
    """Two pictures, and a text that describes the first."""
    with indexer.open_writer(path, model=encoder) as writer:
        writer.add("p1", Image.new("RGB", (4, 4), "red"))
        writer.add("p2", Image.new("RGB", (4, 4), "blue"))
        writer.add("t", "first words", describes=["p1"])
    return path


HISTORIES: dict[str, list[Call]] = {
    "a text that describes other pictures": [
        lambda writer: writer.upsert("t", "second", describes=["p1"]),
        lambda writer: writer.upsert("t", "third", describes=["p2"]),
    ],
    "a new text that describes other pictures": [
        lambda writer: writer.upsert("u", "second", describes=["p1", "p2"]),
        lambda writer: writer.upsert("u", "third", describes=["p2"]),
    ],
    "a text that keeps its pictures": [
        lambda writer: writer.upsert("t", "second", describes=["p2"]),
        lambda writer: writer.upsert("t", "third"),
    ],
    "a text that moves and changes": [
        lambda writer: writer.upsert("t", "second", uri="shop:1"),
        lambda writer: writer.upsert("t", "third"),
    ],
    "a text that moves and is given its new uri again": [
        lambda writer: writer.upsert("t", "second", uri="shop:1"),
        lambda writer: writer.upsert("t", "third", uri="shop:1", describes=["p2"]),
    ],
    "a picture that moves after a text described it": [
        lambda writer: writer.add("u", "second", describes=["p1"]),
        lambda writer: writer.upsert("p1", Image.new("RGB", (4, 4), "red"), uri="shop:1"),
    ],
    "a picture that moves before a text describes it": [
        lambda writer: writer.upsert("p1", Image.new("RGB", (4, 4), "green"), uri="shop:1"),
        lambda writer: writer.add("u", "second", describes=["p1"]),
    ],
    "attributes between a move and another content": [
        lambda writer: writer.upsert("p2", Image.new("RGB", (4, 4), "red"), uri="shop:1"),
        lambda writer: writer.set_attributes("p2", {"n": 1}),
        lambda writer: writer.upsert("p2", Image.new("RGB", (4, 4), "green")),
    ],
}


@pytest.mark.parametrize("calls", HISTORIES.values(), ids=HISTORIES.keys())
def test_calls_in_one_commit_leave_what_they_leave_in_a_commit_each(
    calls: list[Call], tmp_path: Path, encoder: HashEncoder
) -> None:
    together, apart = fill(tmp_path / "together", encoder), fill(tmp_path / "apart", encoder)

    with indexer.open_writer(together, model=encoder) as writer:
        for call in calls:
            call(writer)
    for call in calls:
        with indexer.open_writer(apart, model=encoder) as writer:
            call(writer)

    assert contents(together) == contents(apart)
    assert indexer.doctor(together) == indexer.Diagnosis((), ())


def test_a_move_keeps_the_id_whatever_follows_in_its_commit(tmp_path: Path, encoder: HashEncoder) -> None:
    path = fill(tmp_path / "collection", encoder)
    with Collection.open(path) as opened:
        before = opened.get("t")

    with indexer.open_writer(path, model=encoder) as writer:
        writer.upsert("t", "second", uri="shop:1")
        writer.upsert("t", "third")

    with Collection.open(path) as opened:
        after = opened.get("t")
    assert before is not None
    assert after is not None
    assert (after.id, after.uri, after.text) == (before.id, "shop:1", "third")


def test_a_text_is_linked_once_to_a_picture_that_it_describes_twice(
    tmp_path: Path, encoder: HashEncoder
) -> None:
    path = fill(tmp_path / "collection", encoder)
    with indexer.open_writer(path, model=encoder) as writer:
        writer.upsert("t", "words", describes=["p2", "p2"])

    with Collection.open(path) as opened:
        assert opened.info().links == 1
