"""Why a hit is one: shares of parts and words, and where in the picture; nothing of it changes a score."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import retrieval
from retrieval.encoders.relevance import ImageRelevance
from retrieval.errors import ImageError, QueryError
from retrieval.query.engine import SearchEngine
from retrieval.query.explanation import PictureShare
from retrieval.query.leave_one_out import word_spans
from retrieval.query.picture_shares import picture_share
from tests.builders import Fill
from tests.command_line import fill_photos, vlsearch


@pytest.fixture
def engine(tmp_path: Path, model: Path) -> Iterator[SearchEngine]:
    photographs = fill_photos(tmp_path / "photographs")
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    Image.fromarray(noise).resize((120, 90)).save(photographs / "noise.png")
    done = vlsearch("index", photographs, "--model", model, "--collection", tmp_path / "c", "--quiet")
    assert done.exit_code == 0, done.stderr
    with retrieval.open(tmp_path / "c") as opened:
        yield opened


def hit_of(engine: SearchEngine, name: str, query: str = "a red square") -> retrieval.Hit:
    return next(
        hit for hit in engine.search(query, k=9, find="image", mode="vector") if hit.uri.endswith(name)
    )


def picture_of(explanation: retrieval.Explanation) -> PictureShare:
    assert explanation.picture is not None, explanation.reason
    return explanation.picture


def test_an_explanation_has_the_score_of_the_hit(engine: SearchEngine) -> None:
    for hit in engine.search("a red square", k=9, find="image", mode="vector"):
        assert engine.explain(hit, "a red square").score == hit.score


def test_contributions_of_parts_add_up_to_the_score(engine: SearchEngine, tmp_path: Path) -> None:
    parts: list[retrieval.Queryable] = [
        "red",
        retrieval.TextPart("blue", -0.5),
        tmp_path / "photographs" / "green.png",
    ]
    hit = engine.search(parts, k=1, find="image", mode="vector")[0]

    explanation = engine.explain(hit, parts)

    assert [part.weight for part in explanation.parts] == [1.0, -0.5, 1.0]
    assert [part.part for part in explanation.parts][:2] == ["red", "blue"]
    assert sum(part.contribution for part in explanation.parts) == pytest.approx(hit.score, abs=1e-6)


def test_contributions_of_places_and_the_rest_add_up_to_the_score(engine: SearchEngine) -> None:
    hit = hit_of(engine, "noise.png")

    picture = picture_of(engine.explain(hit, "a red square"))

    assert picture.contributions is not None
    assert picture.rest is not None
    total = sum(map(sum, picture.contributions.values))
    assert total + picture.rest == pytest.approx(hit.score, abs=1e-9)
    assert abs(picture.rest) <= 1e-5


def test_shares_of_words_are_of_the_whole_query(engine: SearchEngine) -> None:
    hit = hit_of(engine, "noise.png")

    (part,) = engine.explain(hit, "a red square").parts

    assert [word.text for word in part.words] == ["a", "red", "square"]
    assert [word.start for word in part.words] == [0, 2, 6]
    assert sum(word.share for word in part.words) == pytest.approx(1)
    assert all((word.share > 0) == (word.drop > 0) for word in part.words)


def test_what_a_query_excludes_is_explained_as_it_was_read(engine: SearchEngine) -> None:
    hit = hit_of(engine, "noise.png")

    explanation = engine.explain(hit, "a red square without blue")

    assert [(part.part, part.weight) for part in explanation.parts] == [("a red square", 1.0), ("blue", -0.5)]
    assert len(engine.explain(hit, "a red square without blue", literal=True).parts) == 1


def test_a_text_has_words_and_no_picture(engine: SearchEngine) -> None:
    hit = engine.search("a red square", k=1, find="text")[0]

    explanation = engine.explain(hit, "a red square")

    assert explanation.picture is None
    assert explanation.reason is None
    assert explanation.score == hit.score
    with pytest.raises(ImageError, match="is not a picture"):
        engine.overlay(explanation)


def test_a_file_that_has_changed_is_not_read_as_what_was_indexed(
    engine: SearchEngine, tmp_path: Path
) -> None:
    hit = hit_of(engine, "noise.png")
    Image.new("RGB", (120, 90)).save(tmp_path / "photographs" / "noise.png")

    explanation = engine.explain(hit, "a red square")

    assert explanation.picture is None
    assert explanation.reason is not None
    assert "has changed" in explanation.reason
    assert explanation.score == hit.score
    assert explanation.parts


def test_a_model_that_cannot_tell_says_so(fill: Fill) -> None:
    from tests.builders import HashEncoder

    with retrieval.open(fill({"one.png": (1, 2, 3)}), encoder=HashEncoder()) as opened:
        hit = opened.search("red", k=1, mode="vector")[0]
        explanation = opened.explain(hit, "red")

    assert explanation.picture is None
    assert explanation.reason is not None
    assert "cannot tell where" in explanation.reason


def test_an_item_that_is_not_there_is_an_error(engine: SearchEngine) -> None:
    with pytest.raises(QueryError, match="no item 999"):
        engine.explain(999, "red")


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_an_overlay_is_a_picture_of_the_same_shape(engine: SearchEngine, file_format: str) -> None:
    explanation = engine.explain(hit_of(engine, "noise.png"), "a red square")

    drawn = Image.open(io.BytesIO(engine.overlay(explanation, file_format)))  # type: ignore[arg-type]  # a Literal

    assert drawn.format == file_format
    assert drawn.size == (120, 90)


class Half:
    """An explainer that sees the left half of a picture."""

    preparations = ()

    def seen(self, width: int, height: int) -> tuple[int, int, int, int]:
        return 0, 0, width // 2, height

    def explain(self, prepared: object, query: object) -> ImageRelevance:
        raise NotImplementedError


def test_maps_are_placed_over_what_the_model_sees() -> None:
    relevance = np.zeros((4, 4))
    relevance[3, 3] = 1

    share = picture_share(Half(), ImageRelevance(None, relevance), 200, 100, 0.5)

    assert share.relevance.seen == retrieval.Region(0, 0, 0.5, 1)
    assert share.point is not None
    assert share.point[0] == pytest.approx(0.44, abs=0.06)
    assert share.point[1] == pytest.approx(0.88, abs=0.12)
    assert share.region is not None
    assert share.region.left >= 0.25
    assert share.region.left + share.region.width <= 0.5
    assert share.contributions is None
    assert share.rest is None


def test_where_nothing_stands_out_there_is_no_point() -> None:
    share = picture_share(Half(), ImageRelevance(None, np.zeros((4, 4))), 200, 100, 0.5)

    assert share.point is None
    assert share.region is None


def test_regions_are_of_connected_places() -> None:
    relevance = np.zeros((8, 8))
    relevance[1, 1], relevance[6, 6] = 1, 0.9

    share = picture_share(Half(), ImageRelevance(None, relevance), 200, 100, 0.5)

    assert share.region is not None
    assert share.region.left + share.region.width < 0.25


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a dog's 3.5-inch ball, red!", ["a", "dog's", "3.5-inch", "ball", "red"]),
        ("...", []),
        ("狗在 beach 上", ["狗", "在", "beach", "上"]),
        ("naïve café", ["naïve", "café"]),
    ],
)
def test_words_stand_between_blanks_and_signs(text: str, words: list[str]) -> None:
    assert [text[start:stop] for start, stop in word_spans(text)] == words


def test_chinese_words_are_the_pieces_that_the_model_knows() -> None:
    class Pieces:
        def pieces(self, text: str) -> list[tuple[int, int]]:
            return [(0, 2), (2, 4), (4, 9)]

    assert word_spans("两个人在滑雪 fun", Pieces()) == [(0, 2), (2, 4), (4, 6), (7, 10)]
