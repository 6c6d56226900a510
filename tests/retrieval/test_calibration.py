"""How likely a first hit is right: pure functions of a query's scores, and the file that holds their figures."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from retrieval.calibration import (
    CURVED,
    FILE,
    FORMAT,
    TERMS,
    Asked,
    Calibration,
    read_calibration,
    statistics,
    terms,
    wording,
)
from retrieval.encoders.calibrations import calibration_of
from retrieval.encoders.registry import BUNDLED, load_encoder
from retrieval.types import VERDICTS

WEIGHTS = "ab" * 32
SCORES = st.floats(-1, 1)
CALIBRATION = Calibration(
    weights=WEIGHTS,
    expected=np.array([0.1, 0.0, 0.0, 0.0], np.float32),
    expected_bias=0.25,
    background=np.array([0.05, 0.05, 0.0, 0.0], np.float32),
    deviation=0.06,
    sense=np.array([-1.0, 0.0, 0.0, 0.0], np.float32),
    sense_bias=0.6,
    counts=(5.0, 1000.0),
    centres=(0.1, 0.09, 5.0, 0.4, 0.1),
    spreads=(0.03, 0.02, 1.5, 0.06, 0.04),
    coefficients=(
        19.0,
        3.0,
        7.0,
        -0.5,
        -9.0,
        -10.0,
        0.3,
        1.0,
        *[0.1] * 15,
        -4.0,
        *[0.5] * 5,
        0.2,
        -0.3,
        -0.8,
        -0.1,
        4.0,
    ),
    intercept=-2.0,
    nothing=(9.0, *[0.1] * (len(TERMS) - 1)),
    nothing_intercept=-1.0,
)
QUERY = np.array([1.0, 0.0, 0.0, 0.0], np.float32)


def asked(scores: list[float], count: int = 100, *texts: str) -> Asked:
    return Asked(QUERY, np.array(scores, np.float32), count, texts=texts)


@given(
    st.lists(SCORES, max_size=20),
    SCORES,
    SCORES,
    st.integers(1, 10**9),
    st.booleans(),
    st.booleans(),
    st.text(),
)
def test_a_higher_first_score_is_never_less_likely_right(
    scores: list[float], one: float, other: float, count: int, is_sum: bool, is_difference: bool, text: str
) -> None:
    query = replace(asked(scores, count, text), is_sum=is_sum, is_difference=is_difference)
    low, high = (CALIBRATION.judge(query).probability(score) for score in sorted((one, other)))

    assert 0 <= low <= high <= 1


@given(st.lists(SCORES, max_size=20), st.floats(0.01, 0.99), st.booleans(), st.booleans())
def test_the_least_score_of_a_probability_has_that_probability(
    scores: list[float], wanted: float, is_sum: bool, is_difference: bool
) -> None:
    query = replace(asked(scores), is_sum=is_sum, is_difference=is_difference)

    judge = CALIBRATION.judge(query)

    assert judge.probability(judge.least_score(wanted)) == pytest.approx(wanted, abs=1e-9)


@given(st.lists(SCORES, max_size=20), st.integers(1, 10**4), st.booleans(), st.booleans(), st.text())
def test_each_verdict_begins_at_its_bound(
    scores: list[float], count: int, is_sum: bool, is_difference: bool, text: str
) -> None:
    query = replace(asked(scores, count, text), is_sum=is_sum, is_difference=is_difference)
    judge = CALIBRATION.judge(query)
    bounds = [judge.bound(word) for word in VERDICTS[:-1]]

    assert bounds == sorted(bounds, reverse=True)
    assert [judge.verdict(bound) for bound in bounds] == list(VERDICTS[:-1])
    assert judge.verdict(math.nextafter(bounds[-1], 0)) == "probably nothing"
    assert bounds[-1] <= 0.2


@given(st.lists(SCORES, max_size=20), SCORES, st.booleans(), st.booleans())
def test_there_is_probably_nothing_where_the_sum_of_its_terms_is_below_zero(
    scores: list[float], highest: float, is_sum: bool, is_difference: bool
) -> None:
    query = replace(asked(scores), is_sum=is_sum, is_difference=is_difference)
    found = terms(statistics(CALIBRATION, query, highest), CALIBRATION.centres, CALIBRATION.spreads)
    total = float(np.dot(CALIBRATION.nothing, found)) + CALIBRATION.nothing_intercept
    judge = CALIBRATION.judge(query)
    probability = judge.probability(highest)
    assume(abs(total) > 1e-6)

    assert (judge.verdict(probability) == "probably nothing") == (total < 0 and probability < 0.2)


def test_where_nothing_else_may_be_found_the_background_stands_for_it() -> None:
    _, mean, deviation, _, _, background, *flags, _ = statistics(CALIBRATION, asked([]), 0.3)

    assert mean == background == pytest.approx(0.05)
    assert deviation == pytest.approx(0.06)
    assert flags == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), (0, 0)),
        (("dog",), (0, 0)),
        (("a red dog",), (0, 0.375)),
        (("two dogs run over wet sand",), (0, 1)),
        (("dog", "two dogs run over wet sand"), (0, 1)),
        (("狗",), (1, 0)),
        (("两只狗在湿的沙滩上奔跑。",), (1, 1)),
        (("T台上的女人",), (5 / 6.6, 0.65625)),
        (("dog", "狗"), (1 / 2.6, 0)),
        (("!?",), (0, 0)),
    ],
)
def test_the_wording_of_a_query_is_its_share_of_chinese_and_whether_it_is_a_sentence(
    texts: tuple[str, ...], expected: tuple[float, float]
) -> None:
    assert wording(texts) == pytest.approx(expected)
    assert statistics(CALIBRATION, asked([], 100, *texts), 0.3)[8:10] == pytest.approx(expected)


def test_a_probability_depends_on_the_wording_of_the_query() -> None:
    name, sentence, chinese = (
        CALIBRATION.judge(asked([0.1], 100, text)).probability(0.3)
        for text in ("dog", "two dogs run over wet sand", "狗")
    )

    assert sentence < name < chinese


def test_a_query_that_makes_no_sense_is_less_likely_answered_and_others_alike() -> None:
    none, little, enough, much = (
        replace(CALIBRATION, sense_bias=bias).judge(asked([0.1])).probability(0.3)
        for bias in (0.2, 0.6, 1, 9)
    )

    assert none < little < enough == much


def test_counts_beyond_those_that_were_fitted_count_as_the_nearest() -> None:
    said = [CALIBRATION.judge(asked([0.1], count)).probability(0.3) for count in (1, 5, 1000, 10**9)]

    assert said[0] == said[1] > said[2] == said[3]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(CALIBRATION.to_json(), encoding="utf-8")

    read = read_calibration(tmp_path, WEIGHTS, 4)

    assert read is not None
    assert read.to_json() == CALIBRATION.to_json()
    assert read.judge(asked([0.1], 100, "两只狗")).probability(0.3) == pytest.approx(
        CALIBRATION.judge(asked([0.1], 100, "两只狗")).probability(0.3), abs=1e-6
    )


def earlier(number: int) -> dict[str, Any]:
    """Facts of a file of an earlier format."""
    facts: dict[str, Any] = json.loads(CALIBRATION.to_json()) | {"format": number, "nothing_below": 0.07}
    for name in ("sense", "sense_bias", "nothing", "nothing_intercept"):
        del facts[name]
    for name in TERMS[-1:] if number == 2 else TERMS[-5:]:
        del facts["coefficients"][name]
    return facts


def test_a_file_of_the_second_format_is_read_and_knows_no_sense_and_one_bound(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps(earlier(2)), encoding="utf-8")

    read = read_calibration(tmp_path, WEIGHTS, 4)

    assert read is not None
    coefficients = (*CALIBRATION.coefficients[:-1], 0.0)
    for text in ("", "dog", "两只狗在湿的沙滩上奔跑"):
        query = asked([0.1, 0.2], 50, text)
        expected = replace(CALIBRATION, coefficients=coefficients).judge(query).probability(0.3)
        assert read.judge(query).probability(0.3) == pytest.approx(expected, abs=1e-6)
        assert read.judge(query).nothing_below == pytest.approx(0.07)


@pytest.mark.parametrize("bound", [0, 0.9, None])
def test_a_file_of_an_earlier_format_with_no_sound_bound_is_none(tmp_path: Path, bound: float | None) -> None:
    (tmp_path / FILE).write_text(json.dumps(earlier(2) | {"nothing_below": bound}), encoding="utf-8")

    assert read_calibration(tmp_path, WEIGHTS, 4) is None


def test_a_file_of_the_first_format_is_read_and_knows_no_wording(tmp_path: Path) -> None:
    facts = earlier(1)
    del facts["format"]
    (tmp_path / FILE).write_text(json.dumps(facts), encoding="utf-8")

    read = read_calibration(tmp_path, WEIGHTS, 4)

    assert read is not None
    without_sense = replace(CALIBRATION, coefficients=(*CALIBRATION.coefficients[:-1], 0.0))
    expected = pytest.approx(without_sense.judge(asked([0.1])).probability(0.3), abs=1e-6)
    for text in ("", "dog", "两只狗在湿的沙滩上奔跑"):
        assert read.judge(asked([0.1], 100, text)).probability(0.3) == expected


@pytest.mark.parametrize("of", ["coefficients", "nothing"])
@pytest.mark.parametrize("name", TERMS)
def test_a_file_of_this_format_has_every_coefficient(tmp_path: Path, name: str, of: str) -> None:
    facts = json.loads(CALIBRATION.to_json())
    del facts[of][name]
    (tmp_path / FILE).write_text(json.dumps(facts), encoding="utf-8")

    assert facts["format"] == FORMAT
    assert read_calibration(tmp_path, WEIGHTS, 4) is None


@pytest.mark.parametrize(
    "change",
    [
        {"weights": "cd" * 32},
        {"format": FORMAT + 1},
        {"format": "new"},
        {"format": []},
        {"expected": [0.1]},
        {"background": [math.nan] * 4},
        {"background": "no"},
        {"coefficients": {}},
        {"coefficients": [1]},
        {"intercept": math.inf},
        {"counts": [0, 10]},
        {"counts": [1]},
        {"centres": {}},
        {"spreads": dict.fromkeys(CURVED, 0.0)},
        {"nothing": {}},
        {"nothing_intercept": math.nan},
        {"sense": [0.1]},
        {"sense_bias": None},
        {"deviation": None},
    ],
)
def test_a_calibration_that_is_damaged_or_of_other_weights_is_none(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    facts = json.loads(CALIBRATION.to_json()) | change
    (tmp_path / FILE).write_text(json.dumps(facts), encoding="utf-8")

    assert read_calibration(tmp_path, WEIGHTS, 4) is None


def test_a_file_that_is_no_json_or_not_there_is_no_calibration(tmp_path: Path) -> None:
    assert read_calibration(tmp_path, WEIGHTS, 4) is None
    (tmp_path / FILE).write_bytes(b"\xff{")
    assert read_calibration(tmp_path, WEIGHTS, 4) is None


@pytest.mark.parametrize("of", ["coefficients", "nothing"])
@pytest.mark.parametrize("name", ["highest", "highest of a difference"])
def test_a_calibration_that_falls_with_the_score_is_refused(tmp_path: Path, name: str, of: str) -> None:
    facts = json.loads(CALIBRATION.to_json())
    facts[of][name] = -20.0
    (tmp_path / FILE).write_text(json.dumps(facts), encoding="utf-8")

    assert read_calibration(tmp_path, WEIGHTS, 4) is None


def test_the_bundled_model_has_a_calibration_of_its_own_weights() -> None:
    identity = load_encoder("mini").identity

    assert (BUNDLED / "mini" / FILE).stat().st_size < 20_000
    assert calibration_of(identity) is not None
    assert calibration_of(replace(identity, weights=WEIGHTS)) is None
    assert calibration_of(replace(identity, name="openai/clip-vit-base-patch32")) is None
    assert calibration_of(replace(identity, name="no such model")) is None
