"""The command line's notation: what an argument means depends on how it is written, and on nothing else."""

from __future__ import annotations

import string
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import QueryError
from retrieval.query.parse import parse_line, parse_part, parse_query
from retrieval.query.parts import ImagePart, TextPart
from retrieval.suffixes import IMAGE_SUFFIXES


@pytest.mark.parametrize(
    "words",
    [
        "a dog in the snow",
        "3:30 pm",
        "16:9",
        "2:1 ratio",
        "2: the sequel",
        "2001:a space odyssey",  # no weight: three digits or more
        "1e3:x",
        "half past 7: breakfast",
        "note: dogs",
        "12:",
        "- a list item",
        "-",
        "photo",
        "jpg",
        "what is a .jpg file",
        "...and then",
        "~ten dogs",
        "http://two words",
        "C: drive",
        "+people",
        "٣:كلب",  # digits, but not the ten that a weight is written with
    ],
)
def test_words_are_text_even_with_colons_digits_and_dots(words: str) -> None:
    assert parse_part(words) == TextPart(words, 1.0)


@pytest.mark.parametrize(
    ("argument", "words", "weight"),
    [
        ("-people", "people", -1),
        ("2:dogs", "dogs", 2),
        ("-2:dogs", "dogs", -2),
        ("0.5:dogs", "dogs", 0.5),
        (".5:dogs", "dogs", 0.5),
        ("-.25:dogs", "dogs", -0.25),
        ("99.5:dogs", "dogs", 99.5),
        ("-3:30 pm", "3:30 pm", -1),
        ("2:text:3 dogs", "3 dogs", 2),
        ("text:2:dogs", "2:dogs", 1),
        ("text:-people", "-people", 1),
        ("-text:-people", "-people", -1),
        ("text:./a.jpg", "./a.jpg", 1),
        ("text:image:a", "image:a", 1),
        ("2:2: the sequel", "2:2: the sequel", 1),
    ],
)
def test_a_sign_a_weight_and_a_kind_may_stand_before_words(argument: str, words: str, weight: float) -> None:
    assert parse_part(argument) == TextPart(words, weight)


@pytest.mark.parametrize(
    ("argument", "source", "weight"),
    [
        ("./photo", Path("./photo"), 1),
        ("../photo", Path("../photo"), 1),
        ("/photos/a", Path("/photos/a"), 1),
        ("photo.jpg", Path("photo.jpg"), 1),
        ("my photo.JPEG", Path("my photo.JPEG"), 1),
        ("2:./sunset.jpg", Path("sunset.jpg"), 2),
        ("-a.png", Path("a.png"), -1),
        ("image:photo", Path("photo"), 1),
        ("image:2:photo", Path("2:photo"), 1),
        ("-0.5:image:3", Path("3"), -0.5),
        ("https://example.org/a?size=2", "https://example.org/a?size=2", 1),
        ("2:https://example.org/a.jpg", "https://example.org/a.jpg", 2),
        ("file:///a/b%20c.tar#d.jpg", "file:///a/b%20c.tar#d.jpg", 1),
        ("/data/val.tar#a b.jpg", "file:///data/val.tar#a%20b.jpg", 1),
        ("/data/val.tar#0001", "file:///data/val.tar#0001", 1),
    ],
)
def test_paths_urls_and_tar_members_are_pictures(argument: str, source: Path | str, weight: float) -> None:
    assert parse_part(argument) == ImagePart(source, weight)


def test_a_tilde_behind_a_weight_is_the_home_folder_though_no_shell_expands_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/me")

    assert parse_part("2:~/a.jpg") == ImagePart(Path("/home/me/a.jpg"), 2)


def test_what_an_argument_means_does_not_depend_on_the_files_that_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff")
    monkeypatch.chdir(tmp_path)

    assert parse_part("photo") == TextPart("photo")


@pytest.mark.parametrize("argument", ["", "  ", "text:", "text: ", "image:", "2:text:", "-text: "])
def test_an_empty_part_says_so(argument: str) -> None:
    with pytest.raises(QueryError, match=r"empty|no name"):
        parse_part(argument)


@pytest.mark.parametrize(
    ("argument", "meant"),
    [("2:-people", "-2:people"), ("--people", "-1:people"), ("-2:-people", "-2:people")],
)
def test_a_sign_in_the_wrong_place_is_refused_with_the_right_spelling(argument: str, meant: str) -> None:
    with pytest.raises(QueryError, match=meant):
        parse_part(argument)


@pytest.mark.parametrize("argument", ["0:dogs", "-0:dogs", "00.0:dogs"])
def test_a_weight_of_zero_is_refused(argument: str) -> None:
    with pytest.raises(QueryError, match="other than 0"):
        parse_part(argument)


def test_a_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(QueryError, match="UTF-8"):
        parse_part("caf\udce9")


def test_no_argument_at_all_is_an_empty_query() -> None:
    with pytest.raises(QueryError, match="empty"):
        parse_query([])


def test_subtracted_arguments_have_their_weights_negated() -> None:
    query = parse_query(["beach"], subtract=["people", "2:./a.jpg"])

    assert query.parts == (TextPart("beach"), TextPart("people", -1), ImagePart(Path("a.jpg"), -2))


def test_a_line_holds_parts_between_tabs_and_remembers_its_place() -> None:
    query = parse_line("beach\t-people", "queries.txt:7")

    assert query.parts == (TextPart("beach"), TextPart("people", -1))
    assert query.place == "queries.txt:7"


def test_a_fault_in_a_line_names_the_line() -> None:
    with pytest.raises(QueryError, match=r"^queries\.txt:7: "):
        parse_line("beach\t\tpeople", "queries.txt:7")


@given(st.text(min_size=1).filter(lambda text: text.strip() and not _has_surrogates(text)))
def test_after_the_prefix_text_anything_is_taken_verbatim(words: str) -> None:
    assert parse_part(f"text:{words}") == TextPart(words)


@given(st.text(alphabet=string.printable + "é中-:.#", max_size=12))
def test_any_argument_is_a_part_or_a_query_error(argument: str) -> None:
    try:
        part = parse_part(argument)
    except QueryError:
        return
    assert isinstance(part, (TextPart, ImagePart))


@given(
    st.text(alphabet="abc é中", min_size=1).filter(str.strip),
    st.decimals(min_value="0.01", max_value="99.99", places=2),
    st.booleans(),
)
def test_a_weight_is_read_as_it_is_written(words: str, weight: Decimal, negative: bool) -> None:
    words = words.strip()

    part = parse_part(f"{'-' if negative else ''}{weight}:{words}")

    assert part == TextPart(words, float(weight) * (-1 if negative else 1))


@given(st.sampled_from(sorted(IMAGE_SUFFIXES)), st.booleans())
def test_whatever_ends_like_a_picture_is_one(suffix: str, upper: bool) -> None:
    name = f"a{suffix.upper() if upper else suffix}"

    assert parse_part(name) == ImagePart(Path(name))


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
