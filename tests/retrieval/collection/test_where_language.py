"""The language of conditions: what a text says, and the sentence where it says nothing."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from retrieval.collection.filters.parse import parse_where
from retrieval.errors import FilterError
from retrieval.expressions import (
    And,
    Between,
    Comparison,
    Contains,
    Expression,
    Missing,
    Near,
    Not,
    OneOf,
    Or,
    Prefix,
    Under,
    check_size,
    field,
    near,
    under,
)
from tests.conditions import expressions

A, B, C = (Comparison(name, "=", value) for name, value in ("a1", "b2", "c3"))


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("width >= 4000", Comparison("width", ">=", "4000")),
        ("rating == 5", Comparison("rating", "=", "5")),
        ("rating <> 5", Comparison("rating", "!=", "5")),
        ("lens='RF 24-70'", Comparison("lens", "=", "RF 24-70")),
        ("""title = 'it''s "it"'""", Comparison("title", "=", 'it\'s "it"')),
        ('"date of sale" < 2021-05-03T12:30', Comparison("date of sale", "<", "2021-05-03T12:30")),
        ("camera in (canon, 'Nikon Z')", OneOf("camera", ("canon", "Nikon Z"))),
        ("taken in 2021", OneOf("taken", ("2021",))),
        ("iso between 100 and 400 and f = 1", And((Between("iso", "100", "400"), Comparison("f", "=", "1")))),
        ("lat is null", Missing("lat")),
        ("lat IS NOT Missing", Not(Missing("lat"))),
        ("keywords contains 雪", Contains("keywords", "雪")),
        ("keywords not contains dog", Not(Contains("keywords", "dog"))),
        ("name starts with IMG_", Prefix("name", "IMG_")),
        ("name = IMG_*", Prefix("name", "IMG_")),
        ("name = 'IMG_*'", Comparison("name", "=", "IMG_*")),
        ("folder under ~/Pictures", Under("~/Pictures")),
        ("near(48.14, 11.58, 10 km)", Near(48.14, 11.58, 10.0)),
        ("near(-48.14,+11.5,500m)", Near(-48.14, 11.5, 0.5)),
        ("near = far", None),
        ("a = 1 or b = 2 and not c = 3", Or((A, And((B, Not(C)))))),
        ("(a = 1 or b = 2) and c = 3", And((Or((A, B)), C))),
        ("a=1 OR b=2 Or c=3", Or((A, B, C))),
    ],
)  # fmt: skip
def test_a_condition_is_read_as_it_is_written(text: str, expression: Expression | None) -> None:
    if expression is None:
        with pytest.raises(FilterError):
            parse_where(text)
    else:
        assert parse_where(text) == expression


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("width", "character 6: a comparison of 'width'"),
        ("width >", "character 8: a value is expected, and the end found"),
        ("width > 3 and", "character 14: a field"),
        ("width > 3 rating = 4", "character 11: and, or, or the end is expected, and 'rating' found"),
        ("(width > 3", "character 11: '\\)'"),
        ("a = 'open", "character 5: the quotation that begins"),
        ("near(91, 0, 1 km)", "no place at 91, 0"),
        ("near(1, 0, 1 league)", "'league' is not a unit"),
        ("near(1, 0, -1 km)", "-1 km is not a distance"),
        ("name under /tmp", "under goes with folder"),
        ("name < IMG_*", "ends with \\*"),
        ("a ! b", "'!' is not part"),
        ("and = 3", "a field is expected, and 'and'"),
        ("x" * 10_001, "10,001 characters"),
        ("(" * 60 + "a = 1" + ")" * 60, "50 levels"),
        ("not " * 2000 + "a = 1", "50 levels"),
        (" or ".join(["a = 1"] * 1100), "1,000 parts"),
        (f"a in ({','.join('1' * 1001)})", "1,001 values"),
        ("a = \udcff", "bytes that are not characters"),
    ],
)
def test_what_is_no_condition_is_a_sentence_that_says_where(text: str, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        parse_where(text)


@given(expressions())
def test_an_expression_written_out_reads_as_itself(expression: Expression) -> None:
    with contextlib.suppress(FilterError):
        check_size(expression)
        assert str(parse_where(str(expression))) == str(expression)


@given(st.text(st.sampled_from("ab12 ()=<>!,\"'*.\\\n%_;雪") | st.characters(), max_size=40))
@example("a = ''''")
def test_no_text_has_another_end_than_an_expression_or_a_sentence(text: str) -> None:
    with contextlib.suppress(FilterError):
        parse_where(text)


def test_conditions_are_built_in_python_as_in_words() -> None:
    built = (
        (field("taken") >= "2021-05")
        & field("camera").contains("canon")
        & ~field("lat").is_missing()
        & (near(48.14, 11.58, 10) | under("/photos") | (field("rating").one_of(4, 5)))
    )

    assert str(built) == str(
        parse_where(
            "taken >= 2021-05 and camera contains canon and not (lat is null) "
            "and (near(48.14, 11.58, 10 km) or folder under /photos or rating in (4, 5))"
        )
    )


@pytest.mark.parametrize("wrong", [And(()), Or((Missing("a"), "b = 1")), OneOf("a", ())], ids=str)  # type: ignore[arg-type]  # a user's mistake
def test_a_malformed_expression_object_is_refused(wrong: Expression) -> None:
    with pytest.raises(FilterError):
        check_size(wrong)


def test_and_between_conditions_is_refused_where_it_would_drop_one() -> None:
    with pytest.raises(TypeError, match="&"):
        (field("a") == 1) and (field("b") == 2)  # type: ignore[unused-ignore]
