from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.corpora import CaptionColumn
from retrieval.errors import CorpusFormatError
from retrieval.types import Attribute, CorpusImage, CorpusText, Entry, FileBytes
from retrieval.uris import file_uri
from tests.retrieval.corpora.corpus_reading import read, write


def test_a_line_is_a_picture_with_a_list_of_captions_named_by_ordinal(tmp_path: Path) -> None:
    record = {"image": "a.jpg", "captions": ["one", "two"], "id": 7, "tags": ["x", {"y": 1}], "none": None}
    path = write(tmp_path / "t.jsonl", f"\n{json.dumps(record)}\n")

    (entry,) = read(path).entries

    attributes: dict[str, Attribute] = {"id": 7, "tags": '["x", {"y": 1}]'}
    line = file_uri(path, "row=2")
    assert entry == Entry(
        CorpusImage(file_uri(tmp_path / "a.jpg"), FileBytes(tmp_path / "a.jpg"), None, attributes),
        (CorpusText(f"{line}/captions/0", "one"), CorpusText(f"{line}/captions/1", "two")),
    )


def test_a_bad_caption_costs_its_picture_and_the_other_captions_nothing(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.jsonl", r'{"image": "a.jpg", "captions": ["one", 2, "", null, "half \ud800", "six"]}'
    )

    found = read(path)

    line = file_uri(path, "row=1")
    assert found.texts == [CorpusText(f"{line}/captions/0", "one"), CorpusText(f"{line}/captions/5", "six")]
    assert [failure.uri for failure in found.failures] == [f"{line}/captions/1", f"{line}/captions/4"]
    assert found.reasons[0] == "a caption is a number instead of a text"
    assert "surrogate pair" in found.reasons[1]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"image": "b.jpg"', "is not JSON"),
        (b"[1, 2]", "is JSON, but a list instead of an object"),
        (b"null", "is JSON, but null instead of an object"),
        (b'{"image": "\xff"}', "is not UTF-8"),
        (b'{"a":' * 100_000, "the JSON is nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b'{"image": "' + b"a" * 2**20 + b'"}', "a line is longer than"),
        (b'{"image": {"bytes": "..."}}', "the picture's name is an object"),
        (b'{"caption": "alone"}', "the picture's name is empty"),
        (b'{"image": "../b.jpg"}', "is not inside"),
        (b'{"image": "b\\u0000.jpg"}', "cannot be a file's name"),
        (b'{"image": "b\\udc80.jpg"}', "cannot be a file's name"),
    ],
)
def test_a_bad_line_is_a_failure_and_the_rest_goes_on(tmp_path: Path, line: bytes, reason: str) -> None:
    good = b'{"image": "a.jpg", "caption": "fine"}\n'
    path = write(tmp_path / "t.jsonl", good + line + b"\n" + good)

    found = read(path)

    assert found.words == ["fine", "fine"]
    assert [failure.uri for failure in found.failures] == [file_uri(path, "row=2")]
    assert reason in found.reasons[0]


def test_numbers_that_a_database_cannot_hold_are_left_out_or_become_texts(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.jsonl",
        '{"image": "a.jpg", "a": NaN, "b": 1e999, "c": 18446744073709551616, "d": "\\ud800"}',
    )

    (picture,) = read(path).pictures

    assert picture.attributes == {"c": "18446744073709551616", "d": "?"}


def test_keys_that_come_late_are_columns_too(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", '{"image": "a.jpg"}\n{"image": "b.jpg", "caption": "late"}\n')

    assert read(path).words == ["late"]


def test_captions_under_another_key_are_taken_when_it_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", '{"image": "a.jpg", "captions": ["one"], "captions_zh": ["一"]}\n')

    found = read(path, caption_columns=(CaptionColumn("captions_zh", "zh"),))

    assert found.texts == [CorpusText(f"{file_uri(path, 'row=1')}/captions_zh/0", "一", lang="zh")]
    assert found.pictures[0].attributes == {"captions": ["one"]}


@pytest.mark.parametrize(
    ("content", "fault"), [("", "is empty"), ("[1]\n", "no JSON object"), ("x\n" * 2000, "not JSON")]
)
def test_a_file_without_objects_is_an_error(tmp_path: Path, content: str, fault: str) -> None:
    with pytest.raises(CorpusFormatError, match=fault):
        read(write(tmp_path / "t.jsonl", content))


def test_a_named_key_that_no_line_has_is_an_error_that_names_those_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", '{"image": "a.jpg", "caption": "x"}\n')

    with pytest.raises(CorpusFormatError, match="no column 'words'; its columns are: image, caption"):
        read(path, caption_columns=(CaptionColumn("words"),))


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(
    lambda text: bool(text.strip())
)


@settings(max_examples=60)
@given(captions=st.lists(st.lists(_TEXTS), min_size=1), as_ascii=st.booleans())
def test_any_captions_written_as_jsonl_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, captions: list[list[str]], as_ascii: bool
) -> None:
    records = [{"image": "a.jpg", "captions": texts} for texts in captions]
    content = "".join(json.dumps(record, ensure_ascii=as_ascii) + "\n" for record in records)

    found = read(write(tmp_path_factory.mktemp("jsonl") / "t.jsonl", content))

    assert found.failures == []
    assert [[text.text for text in entry.texts] for entry in found.entries] == captions
    assert len({text.uri for text in found.texts}) == len(found.texts)
