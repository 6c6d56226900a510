"""Pages by cursor: no gap and no repeat while a writer adds, deletes and compacts; a wrong cursor gets a sentence."""

from __future__ import annotations

import hashlib
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import indexer
import retrieval
from indexer.store.changes import Change, NewItem
from indexer.store.writer import Writer
from retrieval.errors import CursorExpired, QueryError
from retrieval.query.cursor import Cursor
from retrieval.query.parts import ItemPart, TextPart
from retrieval.types import After, Hit
from tests.builders import IDENTITY, HashEncoder, collection_of, image_change, unit_rows

ASKED: list[retrieval.Queryable] = [ItemPart(1), ItemPart(2, 0.5)]
OTHERS = [number for number in range(60) if number % 3 == 2]  # contents with one item, which may be deleted


def facts(hits: list[Hit]) -> list[tuple[int, int, float]]:
    return [(hit.rank, hit.id, hit.score) for hit in hits]


def pages(
    engine: retrieval.SearchEngine, k: int, between: Callable[[int], None] = lambda _: None, **options: object
) -> Iterator[list[Hit]]:
    """Yield the pages of a search, and do something between two of them."""
    cursor: str | None = None
    number = 0
    while True:
        hits = engine.search(ASKED, k=k, cursor=cursor, **options)  # type: ignore[arg-type]
        yield list(hits)
        cursor = hits.cursor
        if cursor is None:
            return
        number += 1
        between(number)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Sixty pictures, every third of which has a copy under another name, in three segments."""
    names = [f"{number}" if number % 3 or number == 39 else f"{number}={number + 1}" for number in range(60)]
    vectors = unit_rows(60)
    return collection_of(
        tmp_path / "c", *[(names[at : at + 20], vectors[at : at + 20]) for at in range(0, 60, 20)]
    )


@pytest.fixture
def engine(collection: Path) -> Iterator[retrieval.SearchEngine]:
    with retrieval.open(collection) as opened:
        yield opened


@pytest.mark.parametrize("k", [1, 7, 20, 60, 100])
@pytest.mark.parametrize("distinct", [False, True])
def test_pages_joined_are_the_whole_ranking(engine: retrieval.SearchEngine, k: int, distinct: bool) -> None:
    whole = facts(engine.search(ASKED, k=200, distinct=distinct))

    joined = [fact for page in pages(engine, k, distinct=distinct) for fact in facts(page)]

    assert joined == whole


def test_pages_of_any_order_and_size_and_from_any_score_join(engine: retrieval.SearchEngine) -> None:
    whole = facts(engine.search(ASKED, k=200, min_score=-0.2))
    first = engine.search(ASKED, k=10, sort="name", min_score=-0.2)
    second = engine.search(ASKED, k=300, sort="taken", min_score=-0.2, cursor=first.cursor)

    assert sorted(facts(first)) + sorted(facts(second)) == whole
    assert len(whole) < 60
    assert second.cursor is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("distinct", [False, True])
def test_whatever_a_writer_does_between_pages_there_is_no_gap_and_no_repeat(
    engine: retrieval.SearchEngine, collection: Path, seed: int, distinct: bool
) -> None:
    found = {hit.id: hit.uri for hit in engine.search(ASKED, k=200, distinct=distinct)}
    kept = {f"test:{one}" for one in OTHERS} | {"test:0=1", "test:1"}  # the last two are asked with
    rng = random.Random(seed)
    given_, gone = list[int](), set[int]()

    def write(number: int) -> None:
        names = [f"new {number}/{at}" for at in range(rng.randrange(1, 8))]
        near = unit_rows(1) + 0.3 * unit_rows(len(names), seed=number)
        left = [item for item, uri in found.items() if item not in gone and uri not in kept]
        if not distinct:  # of equal pictures another one would stand for the deleted
            gone.update(rng.sample(left, min(len(left), rng.randrange(4))))
        with Writer(collection) as writer:
            source = writer.ensure_corpus("test:", "test")
            change = image_change(source, names, near / np.linalg.norm(near, axis=1, keepdims=True))
            writer.commit(change, IDENTITY)
            copy = hashlib.sha256(str(rng.choice(OTHERS)).encode()).digest()
            uri = f"test:copy {number}"  # a new item of a content that is there
            new = {uri: NewItem(uri, "image", copy, source)}
            writer.commit_rows(Change(items=new, removed=sorted(gone)))
        if rng.random() < 0.5:
            indexer.optimize(collection)

    for page in pages(engine, 4 + seed, write, distinct=distinct):
        given_ += [hit.id for hit in page]
        assert not gone & {hit.id for hit in page}

    whole = list(found)
    assert len(given_) == len(set(given_))
    assert given_ == [item for item in whole if item in set(given_)]
    assert set(whole) - set(given_) <= gone
    assert bool(gone) != distinct


def test_ten_thousand_hits_come_without_gap_or_repeat_while_a_writer_commits(tmp_path: Path) -> None:
    path = collection_of(tmp_path / "c", ([f"{number}" for number in range(10_000)], unit_rows(10_000)))

    def write(number: int) -> None:
        collection_of(path, ([f"new {number}/{at}" for at in range(50)], unit_rows(50, seed=number)))
        assert number < 9

    with retrieval.open(path) as engine:
        whole = [hit.id for hit in engine.search(ASKED, k=20_000)]
        given_ = [hit.id for page in pages(engine, 1300, write) for hit in page]

    assert given_ == whole
    assert len(given_) == 10_000


def test_a_page_behind_the_first_tells_no_probability_and_counts_its_ranks_on(
    engine: retrieval.SearchEngine,
) -> None:
    first = engine.search(ASKED, k=5)
    second = engine.search(ASKED, k=5, cursor=first.cursor)

    assert [hit.rank for hit in second] == [6, 7, 8, 9, 10]
    assert second.probability is None


def test_what_a_page_begins_behind_may_itself_be_deleted(
    engine: retrieval.SearchEngine, collection: Path
) -> None:
    whole = [hit.id for hit in engine.search(ASKED, k=60)]
    first = engine.search(ASKED, k=15)
    assert first[-1].id > 2  # is not asked with

    with Writer(collection) as writer:
        writer.commit_rows(Change(removed=[first[-1].id]))

    assert len(engine.search(ASKED, k=60)) == 59
    assert [hit.id for hit in engine.search(ASKED, k=60, cursor=first.cursor)] == whole[15:]


# Cursors that are refused


@pytest.mark.parametrize("cursor", ["", "x", "é", "A" * 300, "=" * 100, "\ud800", "A" * 104])
def test_a_text_that_is_no_cursor_gets_a_sentence(engine: retrieval.SearchEngine, cursor: str) -> None:
    with pytest.raises(QueryError, match="the cursor is not one that a search has given"):
        engine.search(ASKED, cursor=cursor)


@given(st.data())
def test_a_cursor_with_any_character_changed_is_refused(data: st.DataObject) -> None:
    cursor = Cursor("image", True, 7, After(0.5, 3, 2, 9, 9), bytes(16), bytes(8)).to_text()
    at = data.draw(st.integers(0, len(cursor) - 2))
    other = data.draw(st.characters(max_codepoint=0x100).filter(lambda one: one != cursor[at]))

    assert Cursor.from_text(cursor).to_text() == cursor
    with pytest.raises(QueryError):
        Cursor.from_text(cursor[:at] + other + cursor[at + 1 :])


@pytest.mark.parametrize(
    "other",
    [
        {"query": [ItemPart(1)]},
        {"query": [ItemPart(1), ItemPart(2, 0.6)]},
        {"query": [ItemPart(2, 0.5), ItemPart(1)]},
        {"find": "image"},
        {"distinct": True},
        {"where": "width is null"},
        {"min_score": 0.0},
        {"regions": False},
    ],
    ids=str,
)
def test_a_cursor_of_another_search_is_refused(
    engine: retrieval.SearchEngine, other: dict[str, object]
) -> None:
    cursor = engine.search(ASKED, k=5).cursor

    with pytest.raises(QueryError, match="the cursor is of another search"):
        engine.search(**{"query": ASKED, "cursor": cursor, **other})  # type: ignore[arg-type]


def test_a_cursor_of_another_collection_is_refused(engine: retrieval.SearchEngine, tmp_path: Path) -> None:
    path = collection_of(tmp_path / "other", ([f"{number}" for number in range(60)], unit_rows(60)))

    with retrieval.open(path) as other, pytest.raises(QueryError, match="of another search"):
        other.search(ASKED, cursor=engine.search(ASKED, k=5).cursor)


def test_a_cursor_goes_with_one_query_and_no_offset(engine: retrieval.SearchEngine) -> None:
    cursor = engine.search(ASKED, k=5).cursor
    query = retrieval.Query.of(ASKED)

    with pytest.raises(QueryError, match="leave out the offset"):
        engine.search(ASKED, offset=3, cursor=cursor)
    with pytest.raises(QueryError, match="one query"):
        engine.answer([query, query], retrieval.Request(), cursor)


def test_an_earlier_state_of_the_collection_expires_a_cursor(
    engine: retrieval.SearchEngine, collection: Path
) -> None:
    cursor = engine.search(ASKED, k=5).cursor
    with closing(sqlite3.connect(collection / "catalogue.sqlite")) as catalogue:
        catalogue.execute("UPDATE settings SET value = '1' WHERE name = 'generation'")
        catalogue.commit()

    with pytest.raises(CursorExpired, match="earlier state"):
        engine.search(ASKED, cursor=cursor)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    with indexer.open_writer(tmp_path / "texts", model=HashEncoder()) as writer:
        for number in range(9):
            writer.add(f"{number}", f"text number {number}")
    return tmp_path / "texts"


def test_a_change_of_model_expires_a_cursor(texts: Path) -> None:
    encoder = HashEncoder()
    other = HashEncoder()
    other.identity = replace(other.identity, weights="1" * 64)
    with retrieval.open(texts, encoder=encoder) as engine:
        cursor = engine.search("number", k=3).cursor
        indexer.reindex(texts, other)
    with retrieval.open(texts, encoder=other) as engine, pytest.raises(CursorExpired, match="another vector"):
        engine.search("number", k=3, cursor=cursor)


@pytest.mark.parametrize("mode", ["words", "hybrid"])
def test_ranks_of_words_go_on_in_their_generation_alone(texts: Path, mode: retrieval.types.Mode) -> None:
    with retrieval.open(texts, encoder=HashEncoder()) as engine:
        whole = engine.search("number", k=9, mode=mode)
        first = engine.search("number", k=4, mode=mode)
        second = engine.search("number", k=5, mode=mode, cursor=first.cursor)
        assert facts(first) + facts(second) == facts(whole)

        with indexer.open_writer(texts, model=HashEncoder()) as writer:
            writer.add("new", "another text with a number")
        with pytest.raises(CursorExpired, match="has changed"):
            engine.search("number", k=5, mode=mode, cursor=first.cursor)


def test_the_kind_of_the_first_page_stays(texts: Path) -> None:
    with retrieval.open(texts, encoder=HashEncoder()) as engine:
        whole = [hit.id for hit in engine.search("number", k=9)]
        first = engine.search("number", k=4)
        with indexer.open_writer(texts, model=HashEncoder()) as writer:
            writer.add("picture", None, vector=unit_rows(1)[0])
        assert engine.search("number", k=1)[0].kind == "image"

        assert [hit.id for hit in engine.search("number", k=9, cursor=first.cursor)] == whole[4:]


def test_a_content_that_comes_back_is_not_given_again(texts: Path) -> None:
    with retrieval.open(texts, encoder=HashEncoder()) as engine:
        first = engine.search([TextPart("number")], k=4)
        rest = engine.search("number", k=9, cursor=first.cursor)
        last = rest[-1]
        indexer.delete(texts, [str(last.key)])
        with indexer.open_writer(texts, model=HashEncoder()) as writer:
            writer.add("again", str(last.text))

        page = engine.search("number", k=9, cursor=first.cursor)

    assert [hit.id for hit in page] == [hit.id for hit in rest[:-1]]
