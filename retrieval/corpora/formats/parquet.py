"""Parquet tables, streamed row by row from a limited process (:mod:`retrieval.locations.parquet_process`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from retrieval.corpora.columns import choose_columns
from retrieval.corpora.corpus import Corpus, Entries
from retrieval.corpora.corpus_path import CorpusPath
from retrieval.corpora.format import Format
from retrieval.corpora.options import TABLE_OPTIONS, CorpusOptions
from retrieval.corpora.records import PROBED, Table, table_of
from retrieval.corpora.values import parse_object
from retrieval.errors import CorpusFormatError
from retrieval.locations.parquet_process import ParquetFault, ParquetProcess
from retrieval.suffixes import PARQUET_SUFFIXES
from retrieval.types import CellBytes, CorpusImage, Failure


def open_parquet(at: CorpusPath, options: CorpusOptions) -> Corpus:
    """Open a Parquet file: its images and captions are named ``row=12`` by the ordinal of the row, from 1.

    A column of images holds their paths or URLs, or the images themselves: bytes, or as Hugging Face writes them
    a struct of ``bytes`` and ``path``. Stored images are read in place, each from its row. Other columns of bytes
    are not read. Dates and times become attributes as ISO-like texts.

    Raises:
        CorpusFormatError: it is not a Parquet file, or a column is missing or ambiguous.
        UsageError: ``options.images`` is not a folder.
    """
    path = at.path
    with _reading(at) as process:
        found = process.describe(path)
        head = [
            parse_object(row.fields, "") for row in islice(process.rows(path, list(found.columns)), PROBED)
        ]
    columns = choose_columns(str(path), list(found.columns), options)
    kind = "value" if columns.image is None else found.columns[columns.image]
    if kind == "struct":
        fault = f"column {columns.image!r} holds objects without a picture's bytes"
        raise CorpusFormatError(str(path), fault, "Name the column of pictures with --image-column")
    first = [record for record in head if not isinstance(record, Failure)]
    table, note = table_of(path, columns, options, first if kind == "value" else ())
    read = [name for name, of_kind in found.columns.items() if of_kind != "bytes"]
    return Corpus(table.names.whole, "parquet", lambda _: _entries(table, kind, read), found.rows, note)


@contextmanager
def _reading(at: CorpusPath) -> Iterator[ParquetProcess]:
    path = str(at.path)
    if not _is_parquet(at):
        raise CorpusFormatError(path, "is not a Parquet file", "Check the path and --format")
    try:
        with ParquetProcess() as process:
            yield process
    except ParquetFault as fault:
        raise CorpusFormatError(path, f"cannot be read as Parquet ({fault})", "Write it again") from fault


def _entries(table: Table, kind: str, read: list[str]) -> Entries:
    """Make the entries of the rows; a damaged row group ends in a failure, and reading goes on with the next one."""
    last = 0
    try:
        with ParquetProcess() as process:
            for found in process.rows(table.names.path, read):
                last = found.row
                row = f"row={found.row}"
                if found.fault is not None:
                    yield Failure(table.names.part(row), found.fault)
                    continue
                record = parse_object(found.fields, table.names.part(row))
                if isinstance(record, Failure):
                    yield record
                else:
                    yield from _row_entries(table, kind, record, found.row)
    except ParquetFault as fault:
        yield Failure(table.names.part(f"row={last + 1}"), f"the table cannot be read from here on ({fault})")


def _row_entries(table: Table, kind: str, record: dict[str, object], row: int) -> Entries:
    column, name = table.columns.image, f"row={row}"
    if column is None or kind == "value":
        yield from table.entries(record, name)
        return
    stored = record.pop(column, None)
    path = stored.get("path") if isinstance(stored, dict) else None
    if kind == "path":
        yield from table.entries({**record, column: path}, name)
        return
    leaf = column if kind == "bytes" else f"{column}.bytes"
    location = CellBytes(table.names.path, leaf, row)
    attributes = {"path": path} if isinstance(path, str) and path else {}
    image = CorpusImage(table.names.part(name), location, None, attributes)
    yield from table.entries_of_stored_image(image, record, name)


def _is_parquet(at: CorpusPath) -> bool:
    return at.head.startswith(b"PAR1")


FORMAT = Format(
    name="parquet",
    title="Parquet",
    help="A table; its pictures are paths, URLs, or stored in it (extra parquet).",
    uri="#row=12",
    open=open_parquet,
    suffixes=PARQUET_SUFFIXES,
    is_content=_is_parquet,
    options=TABLE_OPTIONS,
)
