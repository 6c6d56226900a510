"""Parquet tables, streamed batch by batch. pyarrow is imported when one is opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.corpora.columns import Columns, choose_columns
from indexer.corpora.corpus import Corpus, Entries
from indexer.corpora.options import CorpusOptions
from indexer.corpora.records import Table, table_of
from indexer.corpora.textfile import unreadable
from retrieval.errors import CorpusFormatError
from retrieval.types import Failure

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_BATCH = 1024  # rows held at a time; wide rows (embeddings) stay at some MB


def open_parquet(path: Path, options: CorpusOptions) -> Corpus:
    """The pictures and captions in a Parquet file, named ``row=12`` by the ordinal of the row, from 1.

    Columns of bytes are not read. Dates and times become attributes as ISO-like texts.

    Raises:
        CorpusFormatError: it is no Parquet file, a column is missing or ambiguous, or the pictures are stored
            inside the table.
        UsageError: ``options.images`` is no folder.
    """
    with _open(path) as file:
        schema = file.schema_arrow
        columns = choose_columns(str(path), schema.names, options)
        _check_not_embedded(path, schema, columns)
        rows = file.metadata.num_rows
    table = table_of(path, columns, options)
    return Corpus(table.names.whole, "parquet", lambda _: _entries(table), rows)


def _open(path: Path) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except UnicodeEncodeError as error:  # pyarrow takes no other names
        raise CorpusFormatError(str(path), "has a name that is not valid Unicode", "Rename it") from error
    except pa.ArrowException as error:
        raise CorpusFormatError(
            str(path), f"is no Parquet file ({_first_line(error)})", "Write it again"
        ) from error
    except OSError as error:  # pyarrow raises bare ones for truncated files, too
        raise CorpusFormatError(
            str(path), unreadable(error), "Write it again, or check its permissions"
        ) from error


def _check_not_embedded(path: Path, schema: pa.Schema, columns: Columns) -> None:
    import pyarrow as pa

    if columns.image is None:
        return
    kind = schema.field(columns.image).type
    if pa.types.is_struct(kind) or _is_bytes(kind):
        fault = f"column {columns.image!r} holds the pictures themselves ({kind}), not their paths or URLs"
        raise CorpusFormatError(str(path), fault, "Write the pictures to files, or to a WebDataset tar")


def _entries(table: Table) -> Entries:
    with _open(table.names.path) as file:
        names = [field.name for field in file.schema_arrow if not _is_bytes(field.type)]
        first = 1
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            yield from _group_entries(table, file, group, names, first)
            first += rows


def _group_entries(table: Table, file: pq.ParquetFile, group: int, names: list[str], first: int) -> Entries:
    """Entries of one row group; a damaged one ends in a failure, and the next group goes on."""
    import pyarrow as pa

    ordinal = first
    try:
        for batch in file.iter_batches(_BATCH, row_groups=[group], columns=names):
            for record in _records(batch):
                row = f"row={ordinal}"
                ordinal += 1
                if isinstance(record, str):
                    yield Failure(table.names.part(row), record)
                else:
                    yield from table.entries(record, row)
    except (pa.ArrowException, OSError) as error:
        reason = f"row group {group + 1} is damaged from row {ordinal} on ({_first_line(error)})"
        yield Failure(table.names.part(f"row={ordinal}"), reason)


def _records(batch: pa.RecordBatch) -> Iterator[dict[str, object] | str]:
    """The rows of a batch by name, or why one cannot be taken."""
    columns = [(name, _plain(column)) for name, column in zip(batch.schema.names, batch.columns, strict=True)]
    try:
        values = [column.to_pylist() for _, column in columns]
    except ValueError:  # somewhere in the batch: find the rows
        for row in range(batch.num_rows):
            yield _record_alone(columns, row)
        return
    names = [name for name, _ in columns]
    for fields in zip(*values, strict=True):
        yield dict(zip(names, fields, strict=True))


def _record_alone(columns: list[tuple[str, pa.Array]], row: int) -> dict[str, object] | str:
    record: dict[str, object] = {}
    for name, column in columns:
        try:
            record[name] = column[row].as_py()
        except ValueError as error:  # a UnicodeDecodeError is one
            return f"column {name!r} holds a value that cannot be read ({error})"
    return record


def _plain(column: pa.Array) -> pa.Array:
    """A column whose values Python can hold: its times have microseconds, those of Parquet nanoseconds."""
    import pyarrow as pa

    return column.cast(pa.string()) if pa.types.is_temporal(column.type) else column


def _is_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    )


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
