"""Whether anything matches: how likely the first hit is right, told beside the hits and never changing them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrieval
from retrieval.calibration import CURVED, FILE, TERMS, Calibration, with_caption
from retrieval.cli.certainty import sentence
from retrieval.encoders.calibrations import calibration_of
from retrieval.encoders.registry import load_encoder
from retrieval.errors import UsageError
from retrieval.query import certainty
from retrieval.types import Hit, Hits, Item, Verdict
from tests.command_line import fill_photos, vlsearch

WORDS = "a red square"


def calibrated(model: Path, folder: Path) -> Path:
    """Copy a model, with a calibration by which its scores mean something between all verdicts."""
    shutil.copytree(model, folder)
    identity = load_encoder(folder).identity
    nothing = np.zeros(identity.dimension, np.float32)
    coefficients = (5.0, *[0.0] * (len(TERMS) - 1))
    centres, spreads = (0.0,) * len(CURVED), (1.0,) * len(CURVED)
    made = Calibration(
        identity.weights, nothing, 0.2, nothing, 0.1, nothing, 1.0, (1, 100), centres, spreads, coefficients, 0.0,
        coefficients, float(np.log(9)),
    )  # fmt: skip
    (folder / FILE).write_text(made.to_json(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    folder = tmp_path_factory.mktemp("calibrated")
    photographs = fill_photos(folder / "photographs")
    own = calibrated(model, folder / "model")
    done = vlsearch("index", photographs, "--model", own, "--collection", folder / "c", "--quiet")
    assert done.exit_code == 0, done.stderr
    return folder / "c"


@pytest.fixture
def engine(collection: Path) -> Iterator[retrieval.SearchEngine]:
    with retrieval.open(collection) as opened:
        yield opened


def test_hits_of_words_say_how_likely_the_first_is_right(engine: retrieval.SearchEngine) -> None:
    hits = engine.search(WORDS, k=9, mode="vector")

    assert isinstance(hits, Hits)
    assert hits.probability == pytest.approx(1 / (1 + np.exp(-5 * hits[0].score)), abs=1e-6)
    assert hits.verdict in ("sure", "likely", "doubtful")


def test_the_probability_depends_on_nothing_but_the_query_and_what_may_be_found(
    engine: retrieval.SearchEngine,
) -> None:
    whole = engine.search(WORDS, k=9)

    assert engine.search(WORDS, k=1).probability == whole.probability
    assert engine.search(WORDS, exact=True, distinct=True).probability == whole.probability
    assert engine.search(WORDS, sort="name").probability == whole.probability
    assert engine.search_batch([WORDS, "blue"])[0].probability == whole.probability


def test_sums_and_what_is_excluded_have_a_probability_too(engine: retrieval.SearchEngine) -> None:
    assert engine.search(["red", "blue"]).probability is not None
    assert engine.search("a square without red").probability is not None
    assert engine.search(WORDS, where="width >= 1").probability is not None


def test_the_wording_that_counts_is_that_of_the_wanted_texts(
    engine: retrieval.SearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = calibration_of(engine.encoder.identity)
    assert made is not None
    of_chinese = dict.fromkeys(TERMS, 0.0) | {"highest": 5.0, "chinese": -2.0}
    monkeypatch.setattr(
        certainty, "calibration_of", lambda _: replace(made, coefficients=tuple(of_chinese.values()))
    )

    def log_odds_by_wording(query: str | list[str | retrieval.TextPart]) -> float:
        hits = engine.search(query, k=1, mode="vector")
        assert hits.probability is not None
        return float(np.log(hits.probability / (1 - hits.probability))) - 5 * hits[0].score

    assert log_odds_by_wording("red") == pytest.approx(0, abs=1e-4)
    assert log_odds_by_wording("红色") == pytest.approx(-2, abs=1e-4)
    assert log_odds_by_wording(["红色", "red"]) == pytest.approx(-2 * 1.25 / 2.25, abs=1e-4)
    assert log_odds_by_wording(["red", retrieval.TextPart("红色", -0.5)]) == pytest.approx(0, abs=1e-4)


def test_what_was_not_calibrated_has_no_probability(engine: retrieval.SearchEngine, collection: Path) -> None:
    assert engine.search(collection.parent / "photographs" / "red.png", find="image").probability is None
    assert engine.search(WORDS, offset=1).probability is None
    assert engine.search(WORDS, mode="words").probability is None
    assert engine.search(WORDS, where="width >= 100000").probability is None


@pytest.mark.parametrize("only", ["sure", "likely", "doubtful"])
def test_only_leaves_out_what_would_be_less_likely_as_the_first(
    engine: retrieval.SearchEngine, only: Verdict
) -> None:
    bound = {"sure": 0.75, "likely": 0.4, "doubtful": 0.1}[only]
    hits = engine.search(WORDS, k=9, mode="vector")

    cut = engine.search(WORDS, k=9, mode="vector", only=only)

    assert list(cut) == [hit for hit in hits if 1 / (1 + np.exp(-5 * hit.score)) >= bound]
    assert cut.probability == hits.probability


@pytest.mark.parametrize("only", ["sure", "likely", "doubtful"])
def test_pages_of_what_only_leaves_join(engine: retrieval.SearchEngine, only: Verdict) -> None:
    whole = engine.search(WORDS, k=9, only=only)

    pages = [engine.search(WORDS, k=1, offset=offset, only=only) for offset in range(9)]

    assert [hit for page in pages for hit in page] == list(whole)
    assert [page.probability is None for page in pages] == [False] + [True] * 8


def test_only_is_refused_where_the_probability_is_not_known(
    engine: retrieval.SearchEngine, collection: Path, model: Path, tmp_path: Path
) -> None:
    photographs = collection.parent / "photographs"
    plain = vlsearch("index", photographs, "--model", model, "--collection", tmp_path / "c", "--quiet")
    assert plain.exit_code == 0, plain.stderr

    with pytest.raises(UsageError, match="known for words that find pictures"):
        engine.search(photographs / "red.png", find="image", only="likely")
    with pytest.raises(UsageError, match="goes with the mode vector alone"):
        engine.search(WORDS, mode="words", only="likely")
    with pytest.raises(UsageError, match="goes with the mode vector alone"):
        engine.search(WORDS, mode="hybrid", only="likely")
    with pytest.raises(UsageError, match="'perhaps'"):
        engine.search(WORDS, only="perhaps")  # type: ignore[arg-type]
    with retrieval.open(tmp_path / "c") as other:
        assert other.search(WORDS).probability is None
        with pytest.raises(UsageError, match="has no calibration"):
            other.search(WORDS, only="likely")


@pytest.mark.parametrize(
    "options", [{}, {"mode": "hybrid"}, {"distinct": "picture"}, {"sort": "name"}], ids=str
)
def test_where_words_have_a_say_and_no_caption_holds_all_the_probability_is_that_of_the_best_hit_by_vectors(
    engine: retrieval.SearchEngine, options: dict[str, Any]
) -> None:
    words = f"{WORDS} zeppelin"
    expected = engine.search(words, k=9, mode="vector")

    hits = engine.search(words, k=9, **options)

    assert (hits.mode, expected.mode) == ("hybrid", "vector")
    assert (hits.probability, hits.verdict) == (expected.probability, expected.verdict)
    assert engine.search(words, k=1, offset=1, **options).probability is None


@pytest.mark.parametrize(
    "options", [{}, {"mode": "hybrid"}, {"distinct": "picture"}, {"sort": "name"}, {"k": 1}], ids=str
)
def test_a_caption_with_all_the_words_makes_the_hit_that_is_shown_first_more_likely(
    engine: retrieval.SearchEngine, options: dict[str, Any]
) -> None:
    vectors = {hit.id: hit.score for hit in engine.search(WORDS, k=9, mode="vector")}

    hits = engine.search(WORDS, **{"k": 9, "where": "name = red.png", **options})

    first = min(hits, key=lambda hit: hit.rank)
    by_vector = 1 / (1 + np.exp(-5 * vectors[first.id]))
    assert hits.mode == "hybrid"
    assert hits.probability == pytest.approx(with_caption(by_vector), abs=1e-6)
    assert hits.probability > by_vector


@pytest.mark.parametrize("only", ["sure", "likely", "doubtful"])
def test_with_a_least_probability_vectors_alone_rank(engine: retrieval.SearchEngine, only: Verdict) -> None:
    hits = engine.search(WORDS, k=9, only=only)

    assert hits.mode == "vector"
    assert list(hits) == list(engine.search(WORDS, k=9, only=only, mode="vector"))


def test_a_first_hit_that_holds_all_the_words_is_never_probably_nothing(
    engine: retrieval.SearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = calibration_of(engine.encoder.identity)
    assert made is not None
    monkeypatch.setattr(
        certainty, "calibration_of", lambda _: replace(made, intercept=-7.0, nothing_intercept=-6.8)
    )

    red = "name = red.png"
    vector, both = engine.search(WORDS, where=red, mode="vector"), engine.search(WORDS, where=red)
    some = engine.search("red zeppelin", where=red)

    assert (vector.verdict, both.verdict, some.verdict) == (
        "probably nothing",
        "doubtful",
        "probably nothing",
    )
    least = 0.2  # of what is not "probably nothing", by this calibration
    assert both.probability == pytest.approx(max(with_caption(vector.probability or 0), least), abs=1e-6)
    assert (both.mode, some.mode) == ("hybrid", "hybrid")


def test_a_calibration_changes_no_hit_no_score_and_no_order(
    engine: retrieval.SearchEngine, collection: Path, model: Path, tmp_path: Path
) -> None:
    photographs = collection.parent / "photographs"
    vlsearch("index", photographs, "--model", model, "--collection", tmp_path / "c", "--quiet")

    with retrieval.open(tmp_path / "c") as plain:
        expected = [(hit.uri, hit.score) for hit in plain.search(WORDS, k=9)]

    assert [(hit.uri, hit.score) for hit in engine.search(WORDS, k=9)] == expected


def test_the_command_line_says_it_to_people_and_to_programs(collection: Path) -> None:
    shown = vlsearch("query", WORDS, "--collection", collection)
    told = vlsearch("query", WORDS, "--json", "--collection", collection)
    many = vlsearch("query", "--from", "-", "--json", "--collection", collection, input=WORDS)
    cut = vlsearch(
        "query", "--from", "-", "--json", "--only", "doubtful", "--collection", collection, input=WORDS
    )

    first, batch, only = (json.loads(done.stdout.splitlines()[0]) for done in (told, many, cut))
    assert "the first hit is right in " in shown.stderr
    assert first["answer"]["verdict"] == batch["verdict"]
    assert first["answer"]["probability"] == batch["probability"]
    assert (first["answer"]["mode"], batch["mode"], only["mode"]) == ("hybrid", "hybrid", "vector")


HIT = Hit(1, 0.3, Item(1, "image", "file:///a.jpg", None, None, None, (), {}))


@pytest.mark.parametrize(
    ("hits", "beginning"),
    [
        (
            Hits([], 0.031, "probably nothing"),
            "Nothing here is likely enough (the nearest: right in 3 of 100",
        ),
        (
            Hits([HIT], 0.001, "probably nothing"),
            "Probably nothing here shows this (the first hit: right in fewer",
        ),
        (Hits([HIT], 0.999, "sure"), "Sure: the first hit is right in 99 of 100 such cases"),
        (Hits([HIT], 0.21, "doubtful"), "Doubtful: the first hit is right in 21 of 100 such cases"),
    ],
)
def test_people_get_a_sentence(hits: Hits, beginning: str) -> None:
    assert str(sentence(hits)).startswith(beginning)


def test_people_hear_nothing_where_nothing_is_known() -> None:
    assert sentence(Hits([HIT])) is None
