"""Names and texts are not ours: what is printed is safe for a terminal, and what is piped is the real bytes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.answers import json_line
from retrieval.cli.printing import (
    bytes_size,
    counted,
    name_bytes,
    name_line,
    one_line,
    printable,
    short_name,
    written_ranks,
)
from retrieval.types import Hit, Item
from retrieval.uris import file_uri

ANY = st.text(st.characters(exclude_categories=[]))


def hit(uri: str, text: str | None = None) -> Hit:
    return Hit(1, 0.5, Item(1, "image" if text is None else "text", uri, None, text, None, (), {}))


@given(ANY)
def test_what_is_printed_moves_no_cursor_and_can_be_encoded(text: str) -> None:
    shown = printable(text)

    shown.encode("utf-8")
    assert all(letter.isprintable() or letter in "\t\n" or ord(letter) > 0x9F for letter in shown)
    assert not set(shown) & set("\x1b\x07\x9b\r\u202e\u2066")


@given(ANY)
def test_one_line_is_one_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1


@given(st.dictionaries(ANY, ANY))
def test_json_lines_are_utf_8_on_one_line_and_hold_what_was_given(value: dict[str, str]) -> None:
    line = json_line(value)

    line.encode("utf-8")
    assert len(line.splitlines()) == 1
    assert json.loads(line) == value


@given(
    st.binary(min_size=1).filter(
        lambda name: b"\0" not in name and b"/" not in name and name not in (b".", b"..")
    )
)
def test_any_name_a_file_system_allows_reaches_the_next_program_byte_for_byte(name: bytes) -> None:
    uri = file_uri(Path("/photos", os.fsdecode(name)))

    assert name_bytes(hit(uri)) == b"/photos/" + name


def test_a_tars_member_is_piped_as_the_query_takes_it() -> None:
    assert name_line(hit(file_uri(Path("/data/a.tar"), "x/1.jpg"))) == b"/data/a.tar#x/1.jpg"


def test_a_texts_line_feeds_do_not_make_two_lines_of_it() -> None:
    assert name_line(hit("file:///a.csv#1", "a dog\r\n in the  snow")) == b"a dog in the snow"


def test_names_below_the_working_directory_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert short_name(file_uri(tmp_path / "photos" / "a.jpg")) == "photos/a.jpg"
    assert short_name(file_uri(tmp_path.parent / "a.jpg")) == str(tmp_path.parent / "a.jpg")


@pytest.mark.parametrize(("count", "said"), [(0, "0 images"), (1, "1 image"), (80000, "80,000 images")])
def test_counts_agree_with_their_noun(count: int, said: str) -> None:
    assert counted(count, "image") == said


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "0 bytes"), (999, "999 bytes"), (1200, "1.2 kB"), (5_100_000, "5.1 MB"), (10**16, "10,000.0 TB")],
)
def test_sizes_are_in_decimal_units(size: int, said: str) -> None:
    assert bytes_size(size) == said


@pytest.mark.parametrize(
    ("ranks", "cosine", "said"),
    [
        ({}, 0.3, ""),
        ({"vector": 3, "words": 1}, 0.3, "by meaning 3, by words 1"),
        ({"words": 2}, 0.1, "by words 2"),
        ({"words": 2}, None, ""),
    ],
)
def test_people_read_a_hits_place_by_each_source_where_several_ranked_it(
    ranks: dict[str, int], cosine: float | None, said: str
) -> None:
    assert written_ranks(Hit(1, 0.03, hit("a.jpg").item, ranks, cosine=cosine)) == said
