"""Lines of a text file: every line comes, with its number, whatever its end, its mark and its bytes."""

from __future__ import annotations

import codecs
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.corpora.textfile import LINE_LIMIT, estimate_lines, lines_in, read_lines
from retrieval.errors import CorpusFormatError

PLAIN = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=12)
MARKS = st.sampled_from([b"", codecs.BOM_UTF8])


@given(st.lists(PLAIN, max_size=6), st.sampled_from(["\n", "\r\n"]), MARKS, st.booleans())
def test_lines_come_back_whatever_their_ends_and_with_or_without_a_mark(
    texts: list[str], end: str, mark: bytes, ended: bool
) -> None:
    texts = [text.removeprefix("\ufeff") for text in texts] or [""]
    raw = mark + (end.join(texts) + (end if ended else "")).encode()

    found = list(lines_in(raw))

    expected = (
        texts if ended or texts[-1] else texts[:-1]
    )  # what follows the last end is a line if it is something
    assert [line.text for line in found] == expected
    assert [line.number for line in found] == list(range(1, len(expected) + 1))
    assert not any(line.fault for line in found)


@settings(max_examples=50)
@given(
    st.binary(max_size=60).filter(lambda raw: not raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)))
)
def test_a_file_and_its_bytes_in_memory_have_the_same_lines(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.txt")
        path.write_bytes(raw)

        assert list(read_lines(path)) == list(lines_in(raw))


@given(st.binary(max_size=60))
def test_a_line_that_is_not_utf_8_says_which_byte_and_keeps_all_of_them(raw: bytes) -> None:
    body = raw.removeprefix(codecs.BOM_UTF8)
    for line, whole in zip(lines_in(raw), body.split(b"\n"), strict=False):
        bare = whole.removesuffix(b"\r")
        assert line.text.encode(errors="surrogateescape") == bare
        wrong = first_byte_that_is_not_utf_8(bare)
        expected = (
            None if wrong is None else f"byte {wrong + 1} of the line (0x{bare[wrong]:02x}) is not UTF-8"
        )
        assert line.fault == expected


def first_byte_that_is_not_utf_8(raw: bytes) -> int | None:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


@pytest.mark.parametrize("length", [LINE_LIMIT - 1, LINE_LIMIT, LINE_LIMIT + 1, 3 * LINE_LIMIT])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_beyond_the_limit_is_a_fault_and_the_next_one_comes(length: int, end: bytes) -> None:
    found = list(lines_in(b"first\n" + b"x" * length + end + (b"last" if end else b"")))

    assert [line.number for line in found] == list(range(1, len(found) + 1))
    too_long = length > LINE_LIMIT
    assert (found[1].fault is not None) == too_long
    assert len(found[1].text) == (0 if too_long else length)
    assert found[-1].text == ("last" if end else found[1].text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-32-be"])
def test_another_encoding_of_unicode_is_refused_by_its_name(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("\ufeffimage,caption\n".encode(encoding.removesuffix("")))

    with pytest.raises(CorpusFormatError, match=encoding[:6].upper()):
        list(read_lines(path))


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(CorpusFormatError, match="cannot be read"):
        list(read_lines(tmp_path / "none.txt"))


@given(st.integers(0, 200), st.integers(1, 30))
def test_the_estimate_is_exact_where_the_head_holds_the_whole_file(lines: int, width: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.txt")
        path.write_bytes(b"x" * width + b"\n" if lines == 1 else (b"x" * width + b"\n") * lines)

        assert estimate_lines(path) == (lines or None)


def test_an_estimate_of_a_long_file_is_near_and_reads_only_its_head(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"".join(b"%d,%s\n" % (n, b"x" * (n % 7)) for n in range(40_000)))

    estimate = estimate_lines(path)

    assert estimate is not None
    assert abs(estimate - 40_000) < 8_000


def test_a_file_without_a_line_end_and_one_that_is_not_there_have_no_estimate(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")

    assert estimate_lines(tmp_path / "a.txt") is None
    assert estimate_lines(tmp_path / "none.txt") is None
