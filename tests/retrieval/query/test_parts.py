"""What a query is made of, in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from retrieval.errors import QueryError
from retrieval.query.parts import ImagePart, Query, TextPart
from retrieval.texts import normalise_text


def test_a_str_is_a_text_even_if_it_is_written_like_a_path_or_a_url() -> None:
    assert Query.of("./photo.jpg") == Query((TextPart("./photo.jpg"),))
    assert Query.of("https://example.org/a.jpg") == Query((TextPart("https://example.org/a.jpg"),))
    assert Query.of("2:dogs") == Query((TextPart("2:dogs"),))


def test_paths_bytes_and_pil_pictures_are_pictures() -> None:
    picture = Image.new("RGB", (2, 2))

    assert Query.of(Path("photo")) == Query((ImagePart(Path("photo")),))
    assert Query.of(b"\xff\xd8") == Query((ImagePart(b"\xff\xd8"),))
    assert Query.of(picture) == Query((ImagePart(picture),))


def test_a_sequence_sums_plain_and_weighted_parts() -> None:
    query = Query.of(["beach", TextPart("people", -1), Path("sunset.jpg")])

    assert query.parts == (TextPart("beach"), TextPart("people", -1), ImagePart(Path("sunset.jpg")))


def test_a_query_passes_through_unchanged() -> None:
    query = Query((TextPart("dogs", 2),))

    assert Query.of(query) is query


@pytest.mark.parametrize("value", [None, 3, {"text": "dogs"}, ["dogs", 3], [["dogs"]]])
def test_anything_else_is_a_type_error_that_names_its_type(value: Any) -> None:
    with pytest.raises(TypeError, match=r"NoneType|int|dict|list"):
        Query.of(value)


@pytest.mark.parametrize("value", ["", " \n", [], (), b"", ["dogs", ""]])
def test_emptiness_is_a_query_error(value: Any) -> None:
    with pytest.raises(QueryError, match=r"empty|no bytes"):
        Query.of(value)


@pytest.mark.parametrize("weight", [0, float("nan"), float("inf"), -float("inf")])
def test_weights_are_finite_and_not_zero(weight: float) -> None:
    with pytest.raises(QueryError, match="finite"):
        TextPart("dogs", weight)
    with pytest.raises(QueryError, match="finite"):
        ImagePart(Path("a.jpg"), weight)


def test_a_picture_given_as_a_str_is_a_uri() -> None:
    with pytest.raises(QueryError, match=r"pathlib\.Path"):
        ImagePart("photo.jpg")


def test_a_name_with_a_nul_is_refused() -> None:
    with pytest.raises(QueryError, match="NUL"):
        ImagePart(Path("a\0.jpg"))


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(str.strip))
def test_words_are_normalised_exactly_as_indexing_normalises_texts(text: str) -> None:
    assert TextPart(text).words == normalise_text(text)
