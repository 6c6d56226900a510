"""CSV and TSV files with a header line, streamed row by row.

CSV is RFC 4180 with the delimiter that its header uses (comma, semicolon, tab or bar); faulty quoting is a
failure of its row, not a guess. TSV is literal (IANA text/tab-separated-values): a quotation mark is part of
the text. The csv module's field limit (131,072 characters) is a setting of the whole process and left alone.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from retrieval.corpora.columns import choose_columns, has_usual_columns
from retrieval.corpora.corpus import Corpus, Entries
from retrieval.corpora.corpus_path import CorpusPath
from retrieval.corpora.format import Format
from retrieval.corpora.options import TABLE_OPTIONS, CorpusOptions
from retrieval.corpora.records import PROBED, Table, table_of
from retrieval.corpora.textfile import LINE_LIMIT, Line, estimate_lines, read_lines
from retrieval.errors import CorpusFormatError
from retrieval.types import Failure

_DELIMITERS = ",;\t|"  # the first wins a tie


class Row(NamedTuple):
    """The fields of one row, or why it has none; ``line`` is where it ends."""

    line: int
    fields: list[str]
    fault: str | None = None


def open_csv(at: CorpusPath, options: CorpusOptions) -> Corpus:
    """Open a CSV file; its images and captions are named ``row=12`` by the ordinal of the row below the header.

    Raises:
        CorpusFormatError: it cannot be read, has no header, or a column is missing or ambiguous.
        UsageError: ``options.images`` is not a folder.
    """
    return _open("csv", at.path, options, read_csv_rows)


def open_tsv(at: CorpusPath, options: CorpusOptions) -> Corpus:
    """Open a TSV file, in which nothing is quoted or escaped; for the rest as :func:`open_csv`."""
    return _open("tsv", at.path, options, read_tsv_rows)


def read_csv_rows(path: Path) -> Iterator[Row]:
    """Stream the rows of a CSV file, the header first; blank lines are not rows."""
    feed = _CsvLines(read_lines(path))
    reader = csv.reader(feed, delimiter=_delimiter(path), skipinitialspace=True, strict=True)
    while True:
        feed.begin_row()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # the next line starts afresh
            yield Row(feed.line, [], feed.fault or f"is not CSV ({error})")
            continue
        if fields or feed.fault:
            yield Row(feed.line, fields, feed.fault)


def read_tsv_rows(path: Path) -> Iterator[Row]:
    """Stream the rows of a TSV file, the header first; blank lines are not rows."""
    for number, text, fault in read_lines(path):
        if text or fault:
            yield Row(number, text.split("\t"), fault)


class _CsvLines:
    """The lines that a csv.reader takes, as many as a quoted field spans, with the first fault in a row."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self.line = 0
        self.begin_row()

    def begin_row(self) -> None:
        self.fault: str | None = None
        self._characters = 0

    def __iter__(self) -> _CsvLines:
        return self

    def __next__(self) -> str:
        self.line, text, fault = next(self._lines)
        self.fault = self.fault or fault
        self._characters += len(text)
        if self._characters > LINE_LIMIT:  # a row of endless quoted fields, each ending on the next line
            raise csv.Error(f"a row is longer than {LINE_LIMIT:,} characters")
        return text + "\n"


def _delimiter(path: Path) -> str:
    head = next(read_lines(path), Line(1, "")).text
    return max(_DELIMITERS, key=head.count)


def _open(format: str, path: Path, options: CorpusOptions, read: Callable[[Path], Iterator[Row]]) -> Corpus:
    place = f"{path}:1"
    header = next(read(path), None)
    if header is None:
        raise CorpusFormatError(
            str(path), "is empty", "Give a table that begins with the names of its columns"
        )
    if header.fault:
        raise CorpusFormatError(
            place, f"the header cannot be read: {header.fault}", "Save it as UTF-8, lines ending in LF"
        )
    names = [name.strip() for name in header.fields]
    rows = islice((row.fields for row in read(path) if row.fault is None), 1, 1 + PROBED)
    first = [dict(zip(names, fields, strict=False)) for fields in rows]
    table, note = table_of(path, choose_columns(place, names, options), options, first)
    lines = estimate_lines(path)
    total = None if lines is None else max(lines - 1, 0)
    return Corpus(table.names.whole, format, lambda _: _entries(table, names, read), total, note)


def _entries(table: Table, names: list[str], read: Callable[[Path], Iterator[Row]]) -> Entries:
    for ordinal, (line, fields, fault) in enumerate(islice(read(table.names.path), 1, None), 1):
        row = f"row={ordinal}"
        if fault is None and len(fields) != len(names):
            fault = f"has {len(fields)} fields, and the header {len(names)}"
        if fault is None:
            yield from table.entries(dict(zip(names, fields, strict=True)), row)
        else:
            yield Failure(table.names.part(row), f"the row that ends in line {line}: {fault}")


def _has_header(at: CorpusPath, delimiter: str) -> bool:
    return at.first_line is not None and has_usual_columns(at.first_line.split(delimiter))


TSV = Format(
    name="tsv",
    title="TSV",
    help="A table with a header line and tabs between fields; nothing is quoted.",
    uri="#row=12",
    open=open_tsv,
    suffixes=(".tsv", ".tab"),
    is_content=lambda at: _has_header(at, "\t"),
    options=TABLE_OPTIONS,
)
CSV = Format(
    name="csv",
    title="CSV",
    help="A table with a header line; other columns than pictures and captions become attributes.",
    uri="#row=12",
    open=open_csv,
    suffixes=(".csv",),
    is_content=lambda at: _has_header(at, ","),
    options=TABLE_OPTIONS,
)
