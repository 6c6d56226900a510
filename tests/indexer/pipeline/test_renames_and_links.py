"""Which new items are renamed old ones and which links need no writing, asked of a catalogue in batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.pipeline.links import new_links
from indexer.pipeline.renames import find_renames
from indexer.store.changes import Change, NewContent, NewItem, NewLink
from indexer.store.writer import Writer
from retrieval.types import Kind
from retrieval.uris import file_uri
from tests.builders import HashEncoder, unit_rows

DIGEST = b"d" * 32


@pytest.fixture
def writer(collection: Path) -> Iterator[Writer]:
    with Writer(collection) as writer:
        writer.ensure_corpus("test:", "test")
        yield writer


def add(writer: Writer, *uris: str, kind: Kind = "image", links: tuple[tuple[str, str], ...] = ()) -> None:
    """Commit items of one content."""
    change = Change()
    change.contents[kind, DIGEST] = NewContent(
        kind, DIGEST, unit_rows(1)[0], "words" if kind == "text" else None
    )
    change.items = {uri: NewItem(uri, kind, DIGEST, corpus_id=1) for uri in uris}
    change.links = {pair: NewLink(*pair, 1) for pair in links}
    writer.commit(change, HashEncoder().identity)


def renames(writer: Writer, *uris: str, kind: Kind = "image") -> dict[str, int | None]:
    items = {uri: NewItem(uri, kind, DIGEST, corpus_id=1) for uri in uris}
    with writer.look_up() as connection:
        return {uri: item.renames for uri, item in find_renames(connection, items, items.keys()).items()}


def test_each_item_whose_file_is_gone_is_taken_over_once_in_the_order_of_the_corpus(
    writer: Writer, tmp_path: Path
) -> None:
    old = [file_uri(tmp_path / f"old{number}.png") for number in range(2)]
    new = [file_uri(tmp_path / f"new{number}.png") for number in range(3)]
    add(writer, *old)

    assert renames(writer, *new) == {new[0]: 1, new[1]: 2}


def test_a_file_that_is_there_is_no_file_that_was_renamed(writer: Writer, tmp_path: Path) -> None:
    (tmp_path / "old.png").touch()
    add(writer, file_uri(tmp_path / "old.png"))

    assert renames(writer, file_uri(tmp_path / "new.png")) == {}


def test_members_are_taken_over_by_the_member_in_the_same_place(writer: Writer, tmp_path: Path) -> None:
    old = [file_uri(tmp_path / "old.tar", name) for name in ("a.png", "b.png")]
    add(writer, *old)
    new = [file_uri(tmp_path / "new.tar", name) for name in ("b.png", "c.png", "a.png")]

    assert renames(writer, *new) == {new[0]: 2, new[2]: 1}


def test_contents_of_the_other_kind_and_uris_that_are_no_files_rename_nothing(
    writer: Writer, tmp_path: Path
) -> None:
    add(writer, file_uri(tmp_path / "old.png"))

    assert renames(writer, file_uri(tmp_path / "new.txt"), kind="text") == {}
    assert renames(writer, "https://example.org/a.png") == {}


def test_links_of_a_text_are_written_unless_all_stand_as_the_corpus_states_them(writer: Writer) -> None:
    add(writer, "x:text", kind="text")
    add(writer, "x:a", "x:b", links=(("x:a", "x:text"),))

    def left(*images: str) -> set[str]:
        links = {(image, "x:text"): NewLink(image, "x:text", 1) for image in images}
        with writer.look_up() as connection:
            return {image for image, _ in new_links(connection, links, corpus_id=1)}

    assert left("x:a") == set()
    assert left("x:b") == {"x:b"}
    assert left("x:a", "x:b") == {"x:a", "x:b"}
    assert left("x:unknown") == {"x:unknown"}


def test_a_corpus_leaves_the_links_of_others_as_they_are(writer: Writer) -> None:
    add(writer, "x:text", kind="text")
    add(writer, "x:a", links=(("x:a", "x:text"),))
    links = {("x:a", "x:text"): NewLink("x:a", "x:text", 2)}

    with writer.look_up() as connection:
        assert new_links(connection, links, corpus_id=2) == {}
