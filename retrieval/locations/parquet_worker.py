"""Reads one Parquet file after another in a process of its own, which alone ever hands hostile bytes to pyarrow.

Started by :mod:`retrieval.locations.parquet_process` as a script and isolated; it imports pyarrow and nothing of
this house. A thousand bytes of Parquet can claim 14 GB, damaged ones can crash the library: here a limit on the
address space and on processor time turns both into the failure of the file.

A request is a JSON object on a line. An answer is one or several messages: a JSON object on a line, of which
``bytes`` says how many bytes follow; the last one holds ``end``, or ``fault``, a clause.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

MEMORY_BYTES = 2**29  # of address space beyond what the libraries map
CPU_SECONDS = 60  # for one batch of rows, or one cell
ROW_BYTES = 2**20  # of a row as JSON, as of a line of JSONL
BATCHES = (256, 16, 1)  # rows held at a time; fewer where they take more than there is
CELL_ROWS = 4
NESTING_LIMIT = 100
FREE_ROWS = 10**6  # rows that a table may claim whatever its size; a real row takes some bytes
FREE_BYTES = 2**30  # bytes that a table may decompress to whatever its size
INFLATION = 100
NAMES = (
    "image", "image_path", "image_file", "image_name", "image_url", "img", "img_path", "img_url",
    "filepath", "file_path", "file_name", "filename", "file", "path", "url",
)  # fmt: skip


class Fault(Exception):
    """A file, a row or a cell cannot be read; the message is a clause."""


class Inflated(Fault):
    """A file that decompresses to far more bytes than its size allows."""


def main() -> None:
    """Answer requests until standard input ends; the argument names folders that hold the library."""
    sys.path += [folder for folder in json.loads(sys.argv[1]) if folder not in sys.path]
    import pyarrow as pa
    import pyarrow.parquet

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    pa.set_memory_pool(pa.system_memory_pool())
    _limit_memory()
    server = Server()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            for message, data in server.answer(request):
                _send(message, data)
            _send({"end": True})
        except Fault as fault:
            _send({"fault": str(fault)})
        except MemoryError:
            _send({"fault": "it takes more memory to read than a table may"})
        except (pa.ArrowException, OSError, ValueError, RecursionError, OverflowError) as error:
            _send({"fault": _clause(error)})


def _limit_memory() -> None:
    with contextlib.suppress(
        ImportError, OSError, ValueError
    ):  # elsewhere the deadline of the other side holds
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  pathlib is not needed for this
            mapped = int(file.read().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(
            resource.RLIMIT_DATA, (hard, hard)
        )  # that of a decoding process is not meant for this
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = mapped + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))


def _send(message: dict[str, Any], data: bytes = b"") -> None:
    message["bytes"] = len(data)
    sys.stdout.buffer.write(json.dumps(message, ensure_ascii=True).encode() + b"\n" + data)
    if "end" in message or ("fault" in message and "row" not in message):
        sys.stdout.buffer.flush()


def _allow_time() -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)  # its signal ends the process


class Server:
    """Answers requests, keeping the last table open at the last cell that was read."""

    def __init__(self) -> None:
        self._path, self._stamp = "", ""
        self._table: Table | None = None
        self._cells: Cells | None = None

    def answer(self, request: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Make the messages that answer a request."""
        _allow_time()
        table = self._open(request["path"])
        if request["do"] == "describe":
            yield table.description(), b""
        elif request["do"] == "rows":
            yield from table.rows(request["columns"])
        else:
            column = request["column"] or table.picture_column()
            if self._cells is None or self._cells.column != column:
                self._cells = Cells(table, column)
            data = self._cells.read(request["row"], request["most"])
            yield {}, data

    def _open(self, path: str) -> Table:
        facts = os.stat(path)  # noqa: PTH116
        stamp = f"{facts.st_ino}:{facts.st_size}:{facts.st_mtime_ns}"
        if self._table is None or (path, stamp) != (self._path, self._stamp):
            self._table, self._cells = Table(path), None
            self._path, self._stamp = path, stamp
        return self._table


class Table:
    """One Parquet file, opened and checked."""

    def __init__(self, path: str) -> None:
        import pyarrow.parquet as pq

        self.path = path
        self.size = os.path.getsize(path)  # noqa: PTH202
        source: Any = path
        try:
            path.encode()
        except UnicodeEncodeError:  # pyarrow opens no other names
            source = open(path, "rb")  # noqa: PTH123, SIM115  as long as the table
        self.file = pq.ParquetFile(source, pre_buffer=False, buffer_size=2**16, memory_map=False)
        self.schema = self.file.schema_arrow
        metadata = self.file.metadata
        self.groups = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
        self.rows_count = metadata.num_rows
        self._budget = 0
        if min(self.groups, default=0) < 0 or sum(self.groups) != self.rows_count:
            raise Fault("its row groups do not add up to its rows")
        if self.rows_count > max(FREE_ROWS, INFLATION * self.size):
            raise Fault(f"it claims {self.rows_count:,} rows in {self.size:,} bytes")

    def description(self) -> dict[str, Any]:
        """Describe the file: names and kinds of the columns, and the number of rows."""
        columns = [[field.name, self._kind(field)] for field in self.schema]
        return {"columns": columns, "rows": self.rows_count}

    def _kind(self, field: Any) -> str:
        """``bytes``, ``struct`` (without images), ``value``, or the path of the bytes in a struct of an image."""
        import pyarrow as pa

        if _is_bytes(field.type):
            return "bytes"
        if not pa.types.is_struct(field.type):
            return "value"
        inner = field.type.get_field_index("bytes")
        if inner < 0 or not _is_bytes(field.type.field(inner).type):
            return "struct"
        return "path" if self._is_empty(f"{field.name}.bytes") else "embedded"

    def _is_empty(self, leaf: str) -> bool:
        """Whether statistics say that a column has no value, as where a data set kept paths only."""
        metadata = self.file.metadata
        at = next((n for n in range(metadata.num_columns) if metadata.schema.column(n).path == leaf), None)
        if at is None or not self.rows_count:
            return False
        for group in range(metadata.num_row_groups):
            chunk = metadata.row_group(group).column(at)
            statistics = chunk.statistics
            if (
                statistics is None
                or not statistics.has_null_count
                or statistics.null_count != chunk.num_values
            ):
                return False
        return True

    def picture_column(self) -> str:
        """Find the path of the bytes in the one column that holds images; a usual name decides between several."""
        kinds = {name: kind for name, kind in self.description()["columns"] if kind in ("bytes", "embedded")}
        usual = [name for name in kinds if name.lower() in NAMES]
        chosen = usual or list(kinds)
        if len(chosen) != 1:
            raise Fault(
                "it holds no pictures" if not chosen else f"it holds pictures in {', '.join(chosen[:5])}"
            )
        return chosen[0] if kinds[chosen[0]] == "bytes" else f"{chosen[0]}.bytes"

    def leaves(self, names: list[str]) -> list[str]:
        """List the columns to read for some names: of structs only what holds no bytes, and of bytes nothing."""
        import pyarrow as pa

        found: list[str] = []
        for name in names:
            field = self.schema.field(name)
            if pa.types.is_struct(field.type) and any(_holds_bytes(one.type) for one in field.type):
                found += [f"{name}.{one.name}" for one in field.type if not _holds_bytes(one.type)]
            elif not _holds_bytes(field.type):
                found.append(name)
        return found

    def rows(self, names: list[str]) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Stream each row as ``{"row": ordinal from 1, "fields": {...}}``, or with ``fault`` in place of the fields."""
        columns = self.leaves(names)
        first, self._budget = 1, max(FREE_BYTES, INFLATION * self.size)
        for group, count in enumerate(self.groups):
            yield from self._group_rows(group, columns, first, first + count)
            first += count

    def _group_rows(
        self, group: int, columns: list[str], first: int, last: int
    ) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Read the rows from ``first`` up to ``last``, again in smaller batches where memory is short."""
        import pyarrow as pa

        row = first
        for size in BATCHES:
            try:
                for record in self._records(group, columns, size, row - first):
                    if row >= last:
                        raise Fault("it holds more rows than it says")
                    message, length = _message(row, record)
                    self._charge(length)
                    yield message, b""
                    row += 1
                if row < last:
                    raise Fault("it holds fewer rows than it says")
                return
            except MemoryError:
                continue  # with fewer rows at a time
            except Inflated:
                raise
            except (pa.ArrowException, OSError, ValueError, Fault) as error:
                reason = f"row group {group + 1} is damaged from row {row} on ({_clause(error)})"
                yield {"row": row, "damage": reason}, b""
                return
        reason = f"row group {group + 1} ends at row {row}, which takes more memory than a row may"
        yield {"row": row, "damage": reason}, b""

    def _charge(self, length: int) -> None:
        """Count what a batch takes in memory, and what its rows take once dictionaries are looked up."""
        self._budget -= length
        if self._budget < 0:
            raise Inflated(f"its rows unpack to more than {INFLATION} times its size")

    def _records(
        self, group: int, columns: list[str], size: int, skipped: int
    ) -> Iterator[dict[str, Any] | str]:
        """Stream the records of a row group, without the first ones; a text says why one cannot be taken."""
        if not columns:
            yield from ({} for _ in range(self.groups[group] - skipped))
            return
        for batch in self.file.iter_batches(size, row_groups=[group], columns=columns, use_threads=False):
            _allow_time()
            self._charge(batch.nbytes)
            if skipped >= batch.num_rows:
                skipped -= batch.num_rows
                continue
            yield from _records(batch, skipped)
            skipped = 0


class Cells:
    """The bytes of images in one column, read forward: the next row is cheap, an earlier one starts again."""

    def __init__(self, table: Table, column: str) -> None:
        self.table, self.column = table, column
        self._group, self._next = -1, 0
        self._batches: Iterator[Any] = iter(())
        self._batch: Any = None
        self._start = 0
        self._budget = max(FREE_BYTES, INFLATION * table.size)

    def read(self, row: int, most: int) -> bytes:
        """Read the bytes in a row (from 1), at most ``most`` of them."""
        group, at = self._find(row)
        if group != self._group or at < self._start:
            self._batches = self.table.file.iter_batches(
                CELL_ROWS, row_groups=[group], columns=[self.column], use_threads=False
            )
            self._group, self._start, self._batch = group, 0, None
        while self._batch is None or at >= self._start + self._batch.num_rows:
            _allow_time()
            self._start += 0 if self._batch is None else self._batch.num_rows
            try:
                self._batch = next(self._batches)
            except BaseException as error:
                self._group, self._batch = -1, None
                if isinstance(error, StopIteration):
                    raise Fault("it holds fewer rows than it says") from error
                raise
        scalar = self._leaf()[at - self._start]
        if not scalar.is_valid:
            raise Fault("no picture is stored in this row")
        size = scalar.as_buffer().size
        if size > most:
            raise Fault(f"{size:,} bytes, over the limit of {most:,} (--max-bytes)")
        self._budget -= size
        if self._budget < 0:
            raise Fault(f"the pictures of this table unpack to more than {INFLATION} times its size")
        return bytes(scalar.as_py())

    def _find(self, row: int) -> tuple[int, int]:
        first = 1
        for group, count in enumerate(self.table.groups):
            if first <= row < first + count:
                return group, row - first
            first += count
        raise Fault(f"there is no row {row} in the table")

    def _leaf(self) -> Any:
        import pyarrow as pa

        column = self._batch.column(0)
        while pa.types.is_struct(column.type):
            column = column.field(0) if column.null_count == 0 else column.flatten()[0]
        if not _is_bytes(column.type):
            raise Fault(f"column {self.column!r} holds no pictures")
        return column


def _records(batch: Any, skipped: int) -> Iterator[dict[str, Any] | str]:
    import pyarrow as pa

    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        is_time = pa.types.is_temporal(column.type)  # nanoseconds, which Python's times do not have
        columns.append((name, column.cast(pa.string()) if is_time else column))
    for row in range(skipped, batch.num_rows):
        record: dict[str, Any] = {}
        fault = None
        for name, column in columns:
            try:
                record[name] = column[row].as_py()
            except (
                ValueError,
                RecursionError,
                OverflowError,
            ) as error:  # a UnicodeDecodeError is a ValueError
                fault = f"column {name!r} holds a value that cannot be read ({_clause(error)})"
                break
        yield fault or record


def _message(row: int, record: dict[str, Any] | str) -> tuple[dict[str, Any], int]:
    """Make the message of a row, or of why it cannot be taken, with the length of its fields as JSON."""
    if isinstance(record, str):
        return {"row": row, "fault": record}, len(record)
    try:
        fields = json.dumps(_plain(record, NESTING_LIMIT), ensure_ascii=True, allow_nan=False)
    except Fault as fault:
        return {"row": row, "fault": str(fault)}, 0
    if len(fields) > ROW_BYTES:
        return {"row": row, "fault": f"the row is longer than {ROW_BYTES:,} bytes"}, len(fields)
    return {"row": row, "fields": fields}, len(fields)


def _plain(value: Any, depth: int) -> Any:
    """Convert a value to JSON: dates and decimals to texts, numbers that are not finite and bytes to null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return None
    if depth == 0:
        raise Fault(f"a value is nested in more than {NESTING_LIMIT} levels")
    if isinstance(value, dict):
        return {str(name): _plain(one, depth - 1) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, depth - 1) for one in value]
    return str(value)


def _holds_bytes(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(_holds_bytes(field.type) for field in kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _holds_bytes(kind.value_type)
    return _is_bytes(kind)


def _is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    )


def _clause(error: BaseException) -> str:
    return " ".join(str(error).partition("\n")[0].split())[:300] or type(error).__name__


if __name__ == "__main__":
    main()
