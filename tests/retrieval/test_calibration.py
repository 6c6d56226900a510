"""How likely a first hit is right: pure functions of a query's scores, and the file that holds their figures."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
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
    ),
    intercept=-2.0,
    nothing_below=0.07,
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
    low, high = (CALIBRATION.probability(query, score) for score in sorted((one, other)))

    assert 0 <= low <= high <= 1


@given(st.lists(SCORES, max_size=20), st.floats(0.01, 0.99), st.booleans(), st.booleans())
def test_the_least_score_of_a_probability_has_that_probability(
    scores: list[float], wanted: float, is_sum: bool, is_difference: bool
) -> None:
    query = replace(asked(scores), is_sum=is_sum, is_difference=is_difference)

    least = CALIBRATION.least_score(query, wanted)

    assert CALIBRATION.probability(query, least) == pytest.approx(wanted, abs=1e-9)


def test_each_verdict_begins_at_its_bound() -> None:
    bounds = [CALIBRATION.bound(word) for word in VERDICTS[:-1]]

    assert bounds == sorted(bounds, reverse=True)
    assert [CALIBRATION.verdict(bound) for bound in bounds] == list(VERDICTS[:-1])
    assert CALIBRATION.verdict(math.nextafter(bounds[-1], 0)) == "probably nothing"


def test_where_nothing_else_may_be_found_the_background_stands_for_it() -> None:
    _, mean, deviation, _, _, background, *flags = statistics(CALIBRATION, asked([]), 0.3)

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
    assert statistics(CALIBRATION, asked([], 100, *texts), 0.3)[8:] == pytest.approx(expected)


def test_a_probability_depends_on_the_wording_of_the_query() -> None:
    name, sentence, chinese = (
        CALIBRATION.probability(asked([0.1], 100, text), 0.3)
        for text in ("dog", "two dogs run over wet sand", "狗")
    )

    assert sentence < name < chinese


def test_counts_beyond_those_that_were_fitted_count_as_the_nearest() -> None:
    said = [CALIBRATION.probability(asked([0.1], count), 0.3) for count in (1, 5, 1000, 10**9)]

    assert said[0] == said[1] > said[2] == said[3]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(CALIBRATION.to_json(), encoding="utf-8")

    read = read_calibration(tmp_path, WEIGHTS, 4)

    assert read is not None
    assert read.to_json() == CALIBRATION.to_json()
    assert read.probability(asked([0.1], 100, "两只狗"), 0.3) == pytest.approx(
        CALIBRATION.probability(asked([0.1], 100, "两只狗"), 0.3), abs=1e-6
    )


def test_a_file_of_the_first_format_is_read_and_knows_no_wording(tmp_path: Path) -> None:
    facts = json.loads(CALIBRATION.to_json())
    del facts["format"]
    for name in TERMS[-4:]:
        del facts["coefficients"][name]
    (tmp_path / FILE).write_text(json.dumps(facts), encoding="utf-8")

    read = read_calibration(tmp_path, WEIGHTS, 4)

    assert read is not None
    expected = pytest.approx(CALIBRATION.probability(asked([0.1]), 0.3), abs=1e-6)
    for text in ("", "dog", "两只狗在湿的沙滩上奔跑"):
        assert read.probability(asked([0.1], 100, text), 0.3) == expected


@pytest.mark.parametrize("name", TERMS)
def test_a_file_of_this_format_has_every_coefficient(tmp_path: Path, name: str) -> None:
    facts = json.loads(CALIBRATION.to_json())
    del facts["coefficients"][name]
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
        {"nothing_below": 0.9},
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


@pytest.mark.parametrize("name", ["highest", "highest of a difference"])
def test_a_calibration_that_falls_with_the_score_is_refused(tmp_path: Path, name: str) -> None:
    coefficients = dict(zip(TERMS, CALIBRATION.coefficients, strict=True)) | {name: -20.0}
    falling = replace(CALIBRATION, coefficients=tuple(coefficients.values()))
    (tmp_path / FILE).write_text(falling.to_json(), encoding="utf-8")

    assert read_calibration(tmp_path, WEIGHTS, 4) is None


def test_the_bundled_model_has_a_calibration_of_its_own_weights() -> None:
    identity = load_encoder("mini").identity

    assert (BUNDLED / "mini" / FILE).stat().st_size < 20_000
    assert calibration_of(identity) is not None
    assert calibration_of(replace(identity, weights=WEIGHTS)) is None
    assert calibration_of(replace(identity, name="openai/clip-vit-base-patch32")) is None
    assert calibration_of(replace(identity, name="no such model")) is None
