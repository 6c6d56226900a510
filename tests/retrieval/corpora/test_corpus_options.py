from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.corpora import CaptionColumn, CorpusOptions, parse_caption_column
from retrieval.errors import UsageError


@pytest.mark.parametrize(
    ("spelling", "column"),
    [
        ("caption", CaptionColumn("caption")),
        ("captions_zh:zh", CaptionColumn("captions_zh", "zh")),
        ("caption:zh-Hans", CaptionColumn("caption", "zh-Hans")),
        ("dc:title", CaptionColumn("dc:title")),
        ("dc:en:", CaptionColumn("dc:en")),
        ("dc:title:en", CaptionColumn("dc:title", "en")),
        ("a caption", CaptionColumn("a caption")),
    ],
)
def test_a_caption_column_is_spelt_as_a_name_with_an_optional_language(
    spelling: str, column: CaptionColumn
) -> None:
    assert parse_caption_column(spelling) == column


@pytest.mark.parametrize("spelling", ["", ":en", ":"])
def test_a_caption_column_without_a_name_is_a_usage_error(spelling: str) -> None:
    with pytest.raises(UsageError, match="has no name"):
        parse_caption_column(spelling)


@given(name=st.text(min_size=1))
def test_a_colon_at_the_end_closes_any_name(name: str) -> None:
    assert parse_caption_column(f"{name}:") == CaptionColumn(name)


def test_a_language_that_is_no_tag_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="'Chinese' is not a language tag"):
        CorpusOptions(lang="Chinese")
    with pytest.raises(UsageError, match="'z' is not a language tag"):
        CorpusOptions(caption_columns=(CaptionColumn("caption", "z"),))
