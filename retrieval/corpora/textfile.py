"""Lines of an untrusted text file: UTF-8, bounded, with the place and the fault of each bad one."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from retrieval.errors import CorpusFormatError

LINE_LIMIT = 2**20
"""Bytes of a line (or of one caption); what is longer is a failure, so memory is bounded on any input."""

_HEAD = 2**16  # bytes looked at for an estimate
_OTHER_MARKS = {  # the longer first: UTF-32's mark begins with UTF-16's
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class Line(NamedTuple):
    """One line without its end; ``fault`` says in a clause why it cannot be taken.

    Bytes that are not UTF-8 stand in ``text`` as lone surrogates (so that a CSV row still ends where it ends);
    the text of a line that is too long is empty.
    """

    number: int
    text: str
    fault: str | None = None


def read_lines(path: Path) -> Iterator[Line]:
    """Stream the lines of a file, counted from 1; ends are LF or CRLF, a UTF-8 mark at the start is dropped.

    Raises:
        CorpusFormatError: the file cannot be read, or is UTF-16 or UTF-32.
    """
    try:
        with path.open("rb") as file:
            _skip_mark(file, path)
            for number, raw in enumerate(_bounded(file), 1):
                yield _decoded(number, raw)
    except OSError as error:
        raise CorpusFormatError(str(path), unreadable(error), "Check the file and its permissions") from error


def lines_in(raw: bytes) -> Iterator[Line]:
    """Split a text in memory into lines, as :func:`read_lines` gives them."""
    with BytesIO(raw) as file:
        file.seek(len(codecs.BOM_UTF8) if raw.startswith(codecs.BOM_UTF8) else 0)
        for number, line in enumerate(_bounded(file), 1):
            yield _decoded(number, line)


def estimate_lines(path: Path) -> int | None:
    """Estimate how many lines a file has from its size and the lines at its start; None where it has none."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        size = path.stat().st_size
    except OSError:
        return None  # reading it will say so
    whole = head.rfind(b"\n") + 1
    return round(size * head.count(b"\n") / whole) if whole else None


def unreadable(error: OSError) -> str:
    """Say in a clause why a file cannot be read."""
    return f"cannot be read ({error.strerror or error})"


def check_encoding(head: bytes, path: Path) -> None:
    """Refuse a file that begins with the mark of UTF-16 or UTF-32.

    Raises:
        CorpusFormatError: it does.
    """
    for mark, encoding in _OTHER_MARKS.items():
        if head.startswith(mark):
            raise CorpusFormatError(
                str(path), f"is {encoding}, and texts are read as UTF-8", "Save it as UTF-8"
            )


def _skip_mark(file: BinaryIO, path: Path) -> None:
    head = file.read(4)
    check_encoding(head, path)
    file.seek(len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0)


def _bounded(file: BinaryIO) -> Iterator[bytes | None]:
    """Read raw lines; None for one beyond the limit, of which no more than the limit is held in memory."""
    while raw := file.readline(LINE_LIMIT + 1):
        if len(raw) <= LINE_LIMIT or raw.endswith(b"\n"):
            yield raw
            continue
        while (rest := file.readline(LINE_LIMIT)) and not rest.endswith(b"\n"):
            pass
        yield None


def _decoded(number: int, raw: bytes | None) -> Line:
    if raw is None:
        return Line(number, "", f"a line is longer than {LINE_LIMIT:,} bytes")
    raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return Line(number, raw.decode())
    except UnicodeDecodeError as error:
        fault = f"byte {error.start + 1} of the line (0x{raw[error.start]:02x}) is not UTF-8"
        return Line(number, raw.decode(errors="surrogateescape"), fault)
