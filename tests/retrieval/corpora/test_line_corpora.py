from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import CorpusFormatError
from retrieval.types import CorpusImage, CorpusText, Entry, UrlBytes
from retrieval.uris import file_uri
from tests.retrieval.corpora.corpus_reading import read, write


def test_each_line_that_is_not_blank_is_a_text_named_by_its_number(tmp_path: Path) -> None:
    path = write(tmp_path / "t.txt", "\ufeffA dog.\r\n\r\n  \nZwei Bären.")

    found = read(path, lang="de")

    assert found.entries == [
        Entry(None, (CorpusText(file_uri(path, "L1"), "A dog.", lang="de"),)),
        Entry(None, (CorpusText(file_uri(path, "L4"), "Zwei Bären.", lang="de"),)),
    ]


def test_a_line_that_is_no_utf8_or_too_long_is_a_failure_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.txt", b"one\n\xe9t\xe9\n" + b"x" * (3 * 2**20) + b"\nfour\n" + b"y" * (2**20 + 1)
    )

    found = read(path)

    assert found.words == ["one", "four"]
    assert [failure.uri for failure in found.failures] == [file_uri(path, f"L{line}") for line in (2, 3, 5)]
    assert found.reasons[:2] == [
        "byte 1 of the line (0xe9) is not UTF-8",
        "a line is longer than 1,048,576 bytes",
    ]


def test_a_caption_of_exactly_the_limit_is_taken(tmp_path: Path) -> None:
    found = read(write(tmp_path / "t.txt", "x" * 2**16 + "\n" + "y" * (2**16 + 1)))

    assert [len(words) for words in found.words] == [2**16]
    assert found.reasons == ["a caption is longer than 65,536 characters"]


def test_utf16_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        CorpusFormatError, match=r"is UTF-16, and texts are read as UTF-8. Save it as UTF-8\."
    ):
        read(write(tmp_path / "t.txt", "A dog.\n".encode("utf-16")), format="lines")


_LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), max_size=40)


@settings(max_examples=60)
@given(lines=st.lists(_LINES))
def test_any_lines_are_read_back_with_their_numbers(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    path = write(tmp_path_factory.mktemp("txt") / "t.txt", "".join(f"{line}\n" for line in ["first", *lines]))

    found = read(path, format="lines")

    expected = [(n, line) for n, line in enumerate(["first", *lines], 1) if line.strip()]
    assert [(text.uri, text.text) for text in found.texts] == [
        (file_uri(path, f"L{n}"), line) for n, line in expected
    ]


def test_a_url_a_line_is_a_picture_with_its_caption_after_a_tab(tmp_path: Path) -> None:
    path = write(tmp_path / "t.txt", "https://example.org/a.jpg\n\nhttp://example.org/b.jpg\tA dog.\r\n")

    found = read(path)

    assert found.entries == [
        Entry(CorpusImage("https://example.org/a.jpg", UrlBytes("https://example.org/a.jpg"))),
        Entry(
            CorpusImage("http://example.org/b.jpg", UrlBytes("http://example.org/b.jpg")),
            (CorpusText(file_uri(path, "L3"), "A dog."),),
        ),
    ]


def test_a_line_that_is_no_url_is_a_failure_and_the_rest_goes_on(tmp_path: Path) -> None:
    lines = "https://example.org/a.jpg\nftp://example.org/b.jpg\n/etc/passwd\nhttp://\n\tcaption\nhttps://x.org/c\n"
    path = write(tmp_path / "t.txt", lines)

    found = read(path)

    assert [picture.uri for picture in found.pictures] == ["https://example.org/a.jpg", "https://x.org/c"]
    assert [failure.uri for failure in found.failures] == [
        file_uri(path, f"L{line}") for line in (2, 3, 4, 5)
    ]
