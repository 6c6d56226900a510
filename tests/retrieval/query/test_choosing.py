"""Which ranking answers a search that names none, and what stays as it was: orders, pages, places of other pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import indexer
import retrieval
from retrieval.collection import fulltext
from retrieval.errors import CursorExpired
from retrieval.query import by_words
from retrieval.query.fuse import fuse, fuse_in_places, with_rest
from retrieval.types import Hit, Hits
from tests.builders import HashEncoder, unit_rows

COUNT = 60
BARE = [number for number in range(COUNT) if number % 5 == 4]  # pictures without captions
THINGS = ("dog", "cat", "bridge", "狗")


def caption(number: int) -> str:
    return f"picture {number} of a {THINGS[number % 4]}"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pictures, every fifth without captions, with copies of each third; one is titled, one caption is hidden."""
    folder = tmp_path_factory.mktemp("choosing") / "collection"
    rows = unit_rows(COUNT)
    with indexer.open_writer(folder, model=HashEncoder()) as writer:
        for number in range(COUNT):
            title = {"title": "a zebra"} if number == 7 else {}
            vector = rows[number - number % 3 // 2]  # every third is a copy of the one before
            writer.add(f"{number}", None, vector=vector, attributes={"number": number, **title})
            if number not in BARE:
                writer.add(f"{number}/0", caption(number), describes=[f"{number}"])
        writer.add("secret", "a walrus", describes=["1"])
        writer.hide("secret")
    return folder


@pytest.fixture
def engine(path: Path) -> Iterator[retrieval.SearchEngine]:
    with retrieval.open(path, encoder=HashEncoder()) as opened:
        yield opened


def facts(hits: list[Hit]) -> list[tuple[int, int, float]]:
    return [(hit.rank, hit.id, hit.score) for hit in hits]


def test_words_of_captions_rank_beside_vectors_and_the_answer_says_so(
    engine: retrieval.SearchEngine,
) -> None:
    hits = engine.search("a dog", k=COUNT)
    captioned = engine.search("a dog", k=COUNT, where="not (number is null)", mode="vector")

    assert hits.mode == "hybrid"
    assert {hit.id for hit in hits} == {hit.id for hit in captioned}
    assert "dog" in str([one.text for one in next(hit for hit in hits if hit.captions).captions])
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_where_all_pictures_have_captions_the_order_is_that_of_hybrid(
    engine: retrieval.SearchEngine,
) -> None:
    condition = "number in (0, 1, 2, 3, 5, 6, 8, 10, 11, 12, 13)"

    for words in ("a dog", "狗", "picture 8"):
        hits = engine.search(words, k=20, where=condition)
        assert hits.mode == "hybrid"
        assert list(hits) == list(engine.search(words, k=20, where=condition, mode="hybrid"))


@pytest.mark.parametrize("depth", [1, 5, 200])
@pytest.mark.parametrize("mode", [None, "hybrid"])
def test_each_hit_has_the_score_that_it_has_by_vectors_whichever_source_found_it(
    engine: retrieval.SearchEngine,
    monkeypatch: pytest.MonkeyPatch,
    depth: int,
    mode: Literal["hybrid"] | None,
) -> None:
    monkeypatch.setattr(by_words, "FUSED_DEPTH", depth)
    by_vector = engine.search("a dog", k=COUNT, mode="vector")
    score = {hit.id: hit.score for hit in by_vector}
    rank = {hit.id: hit.rank for hit in by_vector}

    hits = engine.search("a dog", k=4, offset=2, mode=mode)

    assert hits.mode == "hybrid"
    assert [hit.cosine for hit in hits] == [score[hit.id] for hit in hits]
    assert all(hit.ranks.get("vector", rank[hit.id]) == rank[hit.id] for hit in hits)
    assert {hit.cosine for hit in engine.search("dog", mode="words")} == {None}


def test_a_picture_without_captions_keeps_the_place_that_its_vector_gives_it(
    engine: retrieval.SearchEngine,
) -> None:
    by_vector = {hit.key: hit.rank for hit in engine.search("a dog", k=COUNT, mode="vector")}

    hits = engine.search("a dog", k=COUNT)

    bare = [hit for hit in hits if not hit.captions]
    assert len(bare) == len(BARE)
    assert all(hit.rank == by_vector[hit.key] for hit in bare)
    assert [hit.rank for hit in hits] != [by_vector[hit.key] for hit in hits]


SEARCHES: dict[str, dict[str, object]] = {
    "words that no caption holds": {"query": "zeppelin"},
    "words that most captions hold": {"query": "a picture of a zeppelin"},
    "signs": {"query": "!?"},
    "words of a title": {"query": "zebra"},
    "words of a hidden caption": {"query": "walrus"},
    "a picture": {"query": Image.new("RGB", (9, 9)), "find": "image"},
    "a sum": {"query": ["a dog", "a cat"]},
    "a sum with a picture": {"query": ["a dog", Image.new("RGB", (9, 9))]},
    "what is excluded": {"query": "a dog without a cat"},
    "captions as hits": {"query": "a dog", "find": "text"},
    "a least score": {"query": "a dog", "min_score": -0.9},
    "a key": {"key": "3"},
    "a condition that pictures without captions alone meet": {"query": "a dog", "where": "number in (4, 9)"},
}


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_everything_else_is_ranked_by_vectors_bit_for_bit(
    engine: retrieval.SearchEngine, search: dict[str, object]
) -> None:
    hits = engine.search(k=COUNT, **search)  # type: ignore[arg-type]
    expected = engine.search(k=COUNT, mode="vector", **search)  # type: ignore[arg-type]

    assert hits.mode == expected.mode == "vector"
    assert list(hits) == list(expected)


def test_words_that_very_many_items_hold_do_not_choose(
    engine: retrieval.SearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fulltext, "MOST_ANY", 5)

    assert engine.search("a dog", k=3).mode == "vector"
    assert engine.search("picture 11", k=3).mode == "hybrid"


def test_queries_of_a_batch_are_each_ranked_as_alone(engine: retrieval.SearchEngine) -> None:
    queries: list[retrieval.Queryable] = ["a dog", "zeppelin", "picture 8", "狗"]

    answers = engine.search_batch(queries, k=9)

    assert [one.mode for one in answers] == ["hybrid", "vector", "hybrid", "hybrid"]
    assert [list(one) for one in answers] == [list(engine.search(one, k=9)) for one in queries]


# Pages


def by_cursor(engine: retrieval.SearchEngine, k: int, **options: object) -> list[Hit]:
    found: list[Hit] = []
    cursor: str | None = None
    while True:
        page = engine.search("a dog", k=k, cursor=cursor, **options)  # type: ignore[arg-type]
        found += page
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("depth", [3, 10, 200])
@pytest.mark.parametrize("k", [1, 4, 25, 100])
@pytest.mark.parametrize("options", [{}, {"distinct": True}, {"mode": "hybrid"}], ids=str)
def test_pages_of_any_size_join_to_the_whole_ranking(
    engine: retrieval.SearchEngine,
    k: int,
    depth: int,
    options: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(by_words, "FUSED_DEPTH", depth)
    whole = engine.search("a dog", k=100, **options)  # type: ignore[arg-type]

    offsets = range(0, len(whole), k)
    cut = [hit for at in offsets for hit in engine.search("a dog", k=k, offset=at, **options)]  # type: ignore[arg-type]

    assert whole.mode == "hybrid"
    assert len(whole) == (len({hit.id for hit in whole}) if options else COUNT)
    assert facts(cut) == facts(by_cursor(engine, k, **options)) == facts(whole)
    assert [hit.score for hit in whole] == sorted((hit.score for hit in whole), reverse=True)


@pytest.mark.parametrize("sort", ["taken", "name"])
def test_another_order_is_of_the_same_hits(
    engine: retrieval.SearchEngine, sort: retrieval.types.Sort
) -> None:
    hits = engine.search("a dog", k=12, sort=sort)

    assert hits.mode == "hybrid"
    assert sorted(facts(hits)) == facts(engine.search("a dog", k=12))


@pytest.mark.parametrize("mode", [None, "hybrid"])
def test_as_many_different_pictures_come_as_there_are_however_many_copies_the_nearest_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: retrieval.types.Mode | None
) -> None:
    monkeypatch.setattr(by_words, "FUSED_DEPTH", 4)
    names = [f"{tmp_path}/{number}.png" for number in range(30)]
    for number, name in enumerate(names):
        Image.new("RGB", (9, 9), (max(0, number - 24), 0, 0)).save(name)
    with indexer.open_writer(tmp_path / "c", model=HashEncoder()) as writer:
        for number, name in enumerate(names):
            writer.add(f"{number}", Path(name))
            writer.add(f"{number}/0", "a dog" if number % 2 else "a cat", describes=[f"{number}"])

    with retrieval.open(tmp_path / "c", encoder=HashEncoder()) as opened:
        hits = opened.search("dog", k=6, distinct=True, mode=mode)

    assert hits.mode == "hybrid"
    assert len(hits) == 6


def test_what_the_first_page_was_ranked_by_ranks_all_pages(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    rows = unit_rows(9)
    with indexer.open_writer(folder, model=HashEncoder()) as writer:
        for number in range(9):
            writer.add(f"{number}", None, vector=rows[number])
        writer.add("8/0", "a frisbee", describes=["8"])
    with retrieval.open(folder, encoder=HashEncoder()) as opened:
        whole = opened.search("dog", k=9)
        by_vector, by_both = opened.search("dog", k=4), opened.search("frisbee", k=4)
        assert (by_vector.mode, by_both.mode) == ("vector", "hybrid")
        with indexer.open_writer(folder, model=HashEncoder()) as writer:
            writer.add("8/1", "a dog", describes=["8"])

        rest = opened.search("dog", k=9, cursor=by_vector.cursor)
        assert opened.search("dog", k=9).mode == "hybrid"
        assert (rest.mode, facts([*by_vector, *rest])) == ("vector", facts(whole))
        with pytest.raises(CursorExpired, match="has changed"):
            opened.search("frisbee", k=9, cursor=by_both.cursor)


def test_a_collection_without_full_text_is_ranked_by_vectors(path: Path, tmp_path: Path) -> None:
    import shutil
    import sqlite3
    from contextlib import closing

    copy = shutil.copytree(path, tmp_path / "copy")
    with closing(sqlite3.connect(copy / "catalogue.sqlite")) as catalogue:
        catalogue.execute("DROP TABLE words")
        catalogue.commit()

    with retrieval.open(copy, encoder=HashEncoder()) as opened:
        hits = opened.search("a dog", k=9)

    assert hits.mode == "vector"
    assert isinstance(hits, Hits)


# The fusion in places

ITEMS = st.lists(st.integers(1, 12), unique=True, max_size=12)


@given(ITEMS, ITEMS, st.sets(st.integers(1, 12)))
def test_items_without_words_keep_their_places_and_the_others_the_order_of_their_fusion(
    by_vector: list[int], by_words: list[int], having: set[int]
) -> None:
    having |= set(by_words)

    found = fuse_in_places(by_vector, by_words, having)

    assert len({one.id for one in found}) == len(found)
    assert {one.id for one in found} == {*by_vector, *by_words}
    assert all(one.id == item for one, item in zip(found, by_vector, strict=False) if item not in having)
    moved = fuse({"vector": [item for item in by_vector if item in having], "words": by_words})
    assert [(one.id, one.score) for one in found if one.id in having] == [
        (one.id, one.score) for one in moved
    ]
    for rank, item in enumerate(by_vector, start=1):
        assert next(one for one in found if one.id == item).ranks["vector"] == rank
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)


@given(ITEMS, ITEMS)
def test_where_all_have_words_it_is_the_plain_fusion_and_where_none_has_the_order_by_vector(
    by_vector: list[int], by_words: list[int]
) -> None:
    plain = fuse({"vector": by_vector, "words": by_words})

    assert fuse_in_places(by_vector, by_words, {*by_vector, *by_words}) == plain
    assert [one.id for one in fuse_in_places(by_vector, [], [])] == by_vector


@given(ITEMS, ITEMS, st.integers(0, 12))
def test_further_items_of_a_ranking_come_behind_in_its_order(
    by_vector: list[int], by_words: list[int], depth: int
) -> None:
    fused = fuse({"vector": by_vector[:depth], "words": by_words[:depth]})

    whole = with_rest(fused, by_vector, "vector")

    assert whole[: len(fused)] == fused
    rest = [one.id for one in whole[len(fused) :]]
    assert rest == [item for item in by_vector if item not in {one.id for one in fused}]
    assert [one.score for one in whole] == sorted((one.score for one in whole), reverse=True)
