"""A view is one generation: what is read through it belongs together, whatever a writer does meanwhile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import indexer
from indexer.store.changes import Change, NewFailure
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.errors import UsageError
from retrieval.types import Request
from tests.builders import IDENTITY, HashEncoder, collection_of, image_change, names_and_scores, unit_rows

NAMES = ["a", "b", "c", "d", "e"]


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Five images in two segments."""
    rows = unit_rows(5)
    return collection_of(tmp_path / "collection", (NAMES[:2], rows[:2]), (NAMES[2:], rows[2:]))


def test_pages_give_every_item_with_its_vector_in_the_order_of_ids(collection: Path) -> None:
    with Collection.open(collection) as opened, opened.reading() as view:
        pages = list(view.pages("image", size=2))
        rows = [row for page in pages for row in page]
        vectors = view.vectors("image", [row.encoding for row in rows if row.encoding is not None])

    assert [len(page) for page in pages] == [2, 2, 1]
    assert [row.uri for row in rows] == [f"test:{name}" for name in NAMES]
    assert (vectors == unit_rows(5)).all()


def test_a_view_goes_on_with_its_generation_while_a_writer_commits(collection: Path) -> None:
    query = unit_rows(1, seed=7)
    with Collection.open(collection) as opened:
        with opened.reading() as view:
            before, hits = view.generation, view.search(query, "image", Request())
            with Writer(collection) as writer:
                writer.commit(image_change(1, ["f"], query), IDENTITY)
                writer.commit(Change(removed=[1, 2]), IDENTITY)

            assert view.search(query, "image", Request()) == hits
            assert view.generation == before
            assert [item.id for item in view.items(range(1, 9))] == [1, 2, 3, 4, 5]
        with opened.reading() as later:
            assert later.generation == before + 2
            assert later.search(query, "image", Request(k=1))[0][0].uri == "test:f"


@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_pages_of_hits_by_offset_are_the_ranking_without_gap_or_repeat(collection: Path, k: int) -> None:
    query = unit_rows(1, seed=8)
    with Collection.open(collection) as opened, opened.reading() as view:
        whole = view.search(query, "image", Request(k=9))[0]
        paged = [
            hit
            for start in range(0, 9, k)
            for hit in view.search(query, "image", Request(k=k, offset=start))[0]
        ]

    assert paged == whole
    assert [hit.rank for hit in whole] == [1, 2, 3, 4, 5]
    assert len(names_and_scores(whole)) == 5


def test_a_request_for_no_hits_or_from_before_the_first_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="k is 0"):
        Request(k=0)
    with pytest.raises(UsageError, match="offset is -1"):
        Request(offset=-1)


def test_vectors_come_in_the_order_asked_for(collection: Path) -> None:
    with Collection.open(collection) as opened, opened.reading() as view:
        vectors = view.vectors("image", [5, 1, 3])

    assert np.array_equal(vectors, unit_rows(5)[[4, 0, 2]])


def test_rows_and_links_of_hidden_items_come_and_are_said_to_be_hidden(tmp_path: Path) -> None:
    path = tmp_path / "collection"
    with indexer.open_writer(path, model=HashEncoder()) as writer:
        for name in ("a", "b"):
            writer.add(name, None, vector=unit_rows(1, seed=ord(name))[0])
        for words, describes in (("first", ["a", "b"]), ("second", ["a"]), ("alone", [])):
            writer.add(words, words, lang="en", describes=describes)
        writer.hide("second")

    with Collection.open(path) as opened, opened.reading() as view:
        images = [row for page in view.pages("image") for row in page]
        texts = {row.id: row for row in view.rows(range(99)) if row.text is not None}
        links = view.links("image", [image.id for image in images])

        assert [(texts[link.text].key, link.image) for link in links] == [
            ("first", images[0].id),
            ("second", images[0].id),
            ("first", images[1].id),
        ]
        assert set(view.links("text", texts)) == set(links)
        assert [row.key for row in texts.values() if view.hides(row.id)] == ["second"]
        assert {row.lang for row in texts.values()} == {"en"}
        assert (view.count("image"), view.count("text")) == (2, 2)
        assert [item.key for item in view.hidden()] == ["second"]
        assert view.info().texts == 3


def test_failures_of_all_corpora_or_of_one_come_in_the_order_of_the_first_failure(collection: Path) -> None:
    with Writer(collection) as writer:
        sources = {name: writer.ensure_corpus(f"test:{name}", "test") for name in ("x", "y")}
        for uri, source in (("test:3", "x"), ("test:1", "y"), ("test:2", "x")):
            failure = NewFailure(uri, "is damaged", sources[source])
            writer.commit_rows(Change(failures={uri: failure}))

    with Collection.open(collection) as opened, opened.reading() as view:
        assert [failure.uri for failure in view.failures()] == ["test:3", "test:1", "test:2"]
        assert [failure.uri for failure in view.failures("test:x")] == ["test:3", "test:2"]
        assert view.failures("test:z") == []
