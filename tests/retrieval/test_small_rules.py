"""Rules that stand in one place each: names of images, first bytes, unit rows, JSON objects, words for a shell."""

from __future__ import annotations

import io
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from retrieval.collection.score import error_bound, exact_scores
from retrieval.json_files import parse_object, read_object, read_regular
from retrieval.shell import shell_command, shell_word
from retrieval.signatures import HEAD_BYTES, is_image_file, is_media_file, looks_like_image, media_brands
from retrieval.suffixes import IMAGE_SUFFIXES, is_image_name, suffix_of
from retrieval.unit_rows import UNIT_TOLERANCE, first_not_unit, row_lengths
from tests.builders import unit_rows

# Names


@given(st.text(max_size=6), st.sampled_from(sorted(IMAGE_SUFFIXES)), st.booleans())
def test_a_name_with_the_suffix_of_an_image_is_one_in_either_case(
    stem: str, suffix: str, upper: bool
) -> None:
    name = f"a/{stem}x{suffix.upper() if upper else suffix}"

    assert is_image_name(name)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.JPG", ".jpg"),
        (".jpg", ""),
        ("a/.jpg", ""),
        ("a.b/c", ""),
        ("a.tar.gz", ".gz"),
        ("a.", "."),
        ("", ""),
        ("..", "."),
    ],
)
def test_the_suffix_follows_the_last_dot_of_the_last_part(name: str, suffix: str) -> None:
    assert suffix_of(name) == suffix


# First bytes


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"])
def test_a_file_that_pillow_writes_begins_as_an_image(format_: str, tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.new("RGB", (9, 7)).save(data, format_)
    (tmp_path / "a").write_bytes(data.getvalue())

    assert looks_like_image(data.getvalue()[:HEAD_BYTES])
    assert is_image_file(os.fspath(tmp_path / "a"))


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"B",
        b"BM is how many texts begin",
        b"GIF",
        b"RIFF1234WAVE",
        b"\xff\xd8",
        b"II",
        b"%PDF-1.7",
        b"\0\0\0\x18ftypmp42",
    ],
)
def test_what_begins_otherwise_is_not_an_image(head: bytes) -> None:
    assert not looks_like_image(head.ljust(HEAD_BYTES, b" ") if len(head) > 3 else head)


@given(st.binary(max_size=HEAD_BYTES))
def test_any_bytes_are_an_image_or_are_not(head: bytes) -> None:
    assert looks_like_image(head) in (True, False)


@given(st.lists(st.binary(min_size=4, max_size=4), max_size=5), st.binary(min_size=4, max_size=4))
def test_brands_of_a_media_file_are_listed_with_the_main_one_first(others: list[bytes], main: bytes) -> None:
    size = 16 + 4 * len(others)
    head = size.to_bytes(4, "big") + b"ftyp" + main + bytes(4) + b"".join(others) + b"more data"

    assert is_media_file(head)
    assert media_brands(head) == [main, *others]


def test_a_pipe_a_folder_and_what_is_not_there_are_not_images(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert not is_image_file(os.fspath(tmp_path / "pipe"))  # and is not waited for
    assert not is_image_file(os.fspath(tmp_path))
    assert not is_image_file(os.fspath(tmp_path / "none"))
    assert not is_image_file("a\0b")


# Unit rows and their scores


@given(st.integers(0, 999), st.integers(1, 40), st.integers(1, 60))
def test_rows_of_unit_length_pass(seed: int, n: int, d: int) -> None:
    assert first_not_unit(unit_rows(n, d, seed)) is None


@given(st.integers(0, 9), st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1 - 3e-4, 1 + 3e-4, 1e30]))
def test_the_first_row_of_another_length_is_named_with_its_length(row: int, factor: float) -> None:
    rows = unit_rows(10)
    rows[row:] *= np.float32(factor)

    found = first_not_unit(rows)

    assert found is not None
    assert found[0] == row
    assert not abs(found[1] - 1) <= UNIT_TOLERANCE


def test_lengths_are_summed_in_float64_and_no_rows_are_all_unit() -> None:
    large = np.full((1, 4), 1e30, np.float32)

    assert row_lengths(large)[0] == pytest.approx(2e30)
    assert first_not_unit(np.empty((0, 16), np.float32)) is None


@settings(max_examples=50)
@given(st.integers(0, 999), st.integers(1, 30), st.integers(1, 300))
def test_a_score_depends_on_its_row_and_the_query_alone(seed: int, n: int, d: int) -> None:
    rows, query = unit_rows(n, d, seed), unit_rows(1, d, seed + 1)[0]

    together = exact_scores(rows, query)

    alone = [exact_scores(np.ascontiguousarray(row[None]), query)[0] for row in rows]
    assert together.tolist() == alone
    assert together.dtype == np.float32


@settings(max_examples=50)
@given(st.integers(0, 999), st.integers(1, 600))
def test_float32_sums_stay_within_the_error_bound_of_the_exact_score(seed: int, d: int) -> None:
    rows, query = unit_rows(20, d, seed), unit_rows(1, d, seed + 1)[0]

    blas, one_by_one = rows @ query, np.cumsum(rows * query, axis=1, dtype=np.float32)[:, -1]

    for scores in (blas, one_by_one):
        assert (np.abs(scores.astype(np.float64) - exact_scores(rows, query)) <= error_bound(d)).all()


def test_rows_in_another_memory_order_are_refused() -> None:
    with pytest.raises(ValueError, match="C-contiguous"):
        exact_scores(np.asfortranarray(unit_rows(3, 5)), unit_rows(1, 5)[0])


# JSON objects in files of strangers


@given(
    st.dictionaries(
        st.text(max_size=5), st.integers() | st.text(max_size=5) | st.lists(st.booleans(), max_size=3)
    )
)
def test_an_object_is_parsed_to_what_was_written(value: dict[str, object]) -> None:
    assert parse_object(json.dumps(value)) == value


@given(st.binary(max_size=30) | st.text('{}[]",:1', max_size=20))
def test_anything_else_is_refused_with_a_clause_of_which_the_file_is_the_subject(data: bytes | str) -> None:
    try:
        assert isinstance(parse_object(data), dict)
    except ValueError as error:
        assert str(error).startswith(("is ", "does not "))  # noqa: PT017 - which of both happens is not known


@pytest.mark.parametrize("data", ["[" * 200_000, "1" * 5000, '{"a":' * 200_000])
def test_json_that_no_parser_takes_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match="is "):
        parse_object(data)


@pytest.mark.parametrize(("limit", "taken"), [(7, True), (6, False)])
def test_a_file_of_just_the_limit_is_read_and_one_byte_more_is_not(
    tmp_path: Path, limit: int, taken: bool
) -> None:
    (tmp_path / "a.json").write_text('{"a":1}')

    if taken:
        assert read_object(tmp_path / "a.json", limit) == {"a": 1}
    else:
        with pytest.raises(ValueError, match="is larger than 6 bytes"):
            read_object(tmp_path / "a.json", limit)


def test_only_regular_files_are_read_and_links_to_them(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "link").symlink_to("a")
    os.mkfifo(tmp_path / "pipe")

    assert read_regular(tmp_path / "link", 9) == b"x"
    for name in ("pipe", ".", "none"):
        with pytest.raises(OSError, match=r"regular|directory"):
            read_regular(tmp_path / name, 9)


# Words for a shell


def test_bash_reads_back_what_is_quoted_for_it() -> None:
    words = [
        "plain",
        "a b",
        "it's",
        "$HOME",
        "`x`",
        "a\nb",
        "\x1b[2J",
        "",
        "*",
        "日本",
        "-x",
        "\\",
        "a\\'\n",
        "!",
        "~",
        "\x7f",
        "#",
    ]

    printed = subprocess.run(
        ["bash", "-c", "printf '%s\\0' " + " ".join(map(shell_word, words))], capture_output=True, check=True
    )

    assert printed.stdout.decode().split("\0")[:-1] == words


@given(st.text(st.characters(exclude_categories=[]), max_size=10))
def test_a_quoted_word_moves_no_cursor(word: str) -> None:
    try:
        os.fsencode(word)
    except UnicodeEncodeError:
        return  # no argument of a program is spelt so
    assert shell_word(word).isprintable()


def test_a_path_that_begins_with_a_hyphen_is_no_option_and_words_stay_as_they_are() -> None:
    assert shell_word(Path("-rf")) == "./-rf"
    assert shell_word("-rf") == "-rf"
    assert shell_command("index", Path("a b"), "--lang", "en") == "vlsearch index 'a b' --lang en"
