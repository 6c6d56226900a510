"""The second look: which hits change their places, what stays visible, and what happens when the time is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import retrieval
from retrieval.decoding.preparations import Squash
from retrieval.errors import UsageError
from retrieval.query.engine import SearchEngine
from retrieval.query.parts import TextPart
from tests.builders import Fill, HashEncoder, draw

COLOURS = {f"{number:02}.png": (number * 20, 128, 128) for number in range(10)}


class Redness:
    """A reranker that likes red, and tells of each picture that it looks at."""

    name = "redness"
    preparation = Squash(8)

    def __init__(self, on_look: Callable[[], None] = lambda: None) -> None:
        self.looked = 0
        self._on_look = on_look

    def check(self, text: str) -> None:
        """Every text will do."""

    def score(self, prepared: NDArray[np.uint8], texts: Sequence[str]) -> list[float]:
        self.looked += 1
        self._on_look()
        return [float(prepared[..., 0].mean())] * len(texts)


@pytest.fixture
def engine(fill: Fill, encoder: HashEncoder) -> Iterator[SearchEngine]:
    with retrieval.open(fill(COLOURS, {}, []), encoder=encoder) as opened:
        yield opened


def names(hits: Sequence[retrieval.Hit]) -> list[str]:
    return [Path(hit.uri).name for hit in hits]


def by_redness(hits: Sequence[retrieval.Hit]) -> list[str]:
    return sorted(names(hits), reverse=True)


def test_the_first_hits_are_sorted_anew_and_the_first_ranking_stays_visible(engine: SearchEngine) -> None:
    hits = engine.search("a dog", k=10)

    found = engine.rerank(hits, "a dog", model=Redness(), depth=6)

    assert names(found.hits) == by_redness(hits[:6]) + names(hits[6:])
    assert [hit.rank for hit in found.hits] == [hit.rank for hit in hits]
    assert (found.looked_at, found.failed, found.exceeded, found.model) == (6, 0, False, "redness")
    before = {hit.id: hit for hit in hits}
    for hit in found.hits[:6]:
        assert hit.score == before[hit.id].score
        assert hit.second_look is not None
        assert hit.second_look.first_rank == before[hit.id].rank
        assert hit.second_look.score == pytest.approx(int(Path(hit.uri).stem) * 20)
    assert [hit.second_look for hit in found.hits[6:]] == [None] * 4


def test_the_same_hits_give_the_same_order_and_equal_scores_go_by_item_id(engine: SearchEngine) -> None:
    class Even(Redness):
        def score(self, prepared: NDArray[np.uint8], texts: Sequence[str]) -> list[float]:
            return [1.0]

    hits = engine.search("a dog", k=10)

    found = [engine.rerank(hits, "a dog", model=Even()).hits for _ in range(2)]

    assert found[0] == found[1]
    assert [hit.id for hit in found[0]] == sorted(hit.id for hit in hits)


def test_a_picture_that_cannot_be_read_keeps_its_place_and_has_its_reason(engine: SearchEngine) -> None:
    hits = engine.search("a dog", k=10)
    gone, other = (Path(hit.uri.removeprefix("file://")) for hit in (hits[2], hits[4]))
    gone.unlink()
    draw(other, (1, 2, 3))

    found = engine.rerank(hits, "a dog", model=Redness())

    assert (found.looked_at, found.failed) == (8, 2)
    assert [found.hits[place].id for place in (2, 4)] == [hits[place].id for place in (2, 4)]
    rest = [hit for place, hit in enumerate(hits) if place not in (2, 4)]
    assert names([hit for place, hit in enumerate(found.hits) if place not in (2, 4)]) == by_redness(rest)
    reasons = [found.hits[place].second_look for place in (2, 4)]
    assert [None if look is None else look.score for look in reasons] == [None, None]
    assert reasons[1] is not None
    assert "has changed since it was indexed" in str(reasons[1].failure)


@pytest.mark.parametrize(("seconds", "looks"), [(2.5, 3), (9.5, 10)])
def test_when_the_time_is_over_the_first_order_comes_back_and_no_more_is_looked_at(
    engine: SearchEngine, monkeypatch: pytest.MonkeyPatch, seconds: float, looks: int
) -> None:
    now = [0.0]
    monkeypatch.setattr("retrieval.query.reranking.time.monotonic", lambda: now[0])

    def pass_a_second() -> None:
        now[0] += 1

    slow = Redness(pass_a_second)
    hits = engine.search("a dog", k=10)

    found = engine.rerank(hits, "a dog", model=slow, seconds=seconds)

    assert found.hits == hits
    assert (found.exceeded, found.looked_at, slow.looked) == (True, 0, looks)


def test_when_the_time_suffices_the_order_is_the_new_one(
    engine: SearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.query.reranking.time.monotonic", lambda: 0.0)
    hits = engine.search("a dog", k=10)

    found = engine.rerank(hits, "a dog", model=Redness(), seconds=0.1)

    assert not found.exceeded
    assert names(found.hits) == by_redness(hits)


def test_equal_pictures_are_looked_at_once(fill: Fill, encoder: HashEncoder) -> None:
    same, model = {"a.png": (9, 9, 9), "b.png": (9, 9, 9), "c.png": (99, 9, 9)}, Redness()
    with retrieval.open(fill(same, {}, []), encoder=encoder) as engine:
        found = engine.rerank(engine.search("a dog"), "a dog", model=model)

    assert (names(found.hits), model.looked) == (["c.png", "a.png", "b.png"], 2)


def test_no_hits_are_no_hits(engine: SearchEngine) -> None:
    found = engine.rerank([], "a dog", model=Redness())

    assert (found.hits, found.looked_at, found.exceeded) == ([], 0, False)


def test_the_probability_of_the_first_hit_is_not_said_of_another_one(engine: SearchEngine) -> None:
    hits = retrieval.Hits(engine.search("a dog"), 0.9, "sure")

    assert engine.rerank(hits, "a dog", model=Redness()).hits.probability is None


@pytest.mark.parametrize(
    ("query", "options", "sentence"),
    [
        (["a dog", TextPart("snow", 2.0)], {}, "by one text"),
        (TextPart("snow", -1.0), {}, "by one text"),
        (b"\xff\xd8", {}, "by one text"),
        ("a dog", {"depth": 0}, "a depth of 1 to 1000"),
        ("a dog", {"seconds": 0.0}, "above 0"),
        ("a dog", {"seconds": float("nan")}, "above 0"),
    ],
)
def test_what_cannot_be_re_ranked_is_a_sentence(
    engine: SearchEngine, query: retrieval.Queryable, options: dict[str, float], sentence: str
) -> None:
    asked = retrieval.Query.of(query)

    with pytest.raises(UsageError, match=sentence):
        engine.rerank([], asked, model=Redness(), **options)  # type: ignore[arg-type]  # one of two numbers


def test_texts_are_not_re_ranked(fill: Fill, encoder: HashEncoder) -> None:
    with retrieval.open(
        fill(COLOURS, {"test:1": "a dog"}, [("01.png", "test:1")]), encoder=encoder
    ) as engine:
        hits = engine.search("a dog", find="text")

        with pytest.raises(UsageError, match="only pictures are re-ranked"):
            engine.rerank(hits, "a dog", model=Redness())
