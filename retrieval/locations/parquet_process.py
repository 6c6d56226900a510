"""Read Parquet in a limited process (:mod:`retrieval.locations.parquet_worker`): all rows, or single images."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.closing import Closing
from retrieval.extras import require

ANSWER_SECONDS = 120.0  # to wait for the next message; the process's own limit on processor time comes first
_HEADER_LIMIT = 8 * 2**20  # bytes of a message; a row has at most one mebibyte


class ParquetFault(Exception):
    """A file or a cell cannot be read; the message is a clause."""


@dataclass(frozen=True, slots=True)
class ParquetTable:
    """A table's columns with their kinds, and its number of rows.

    Kinds: ``value``, ``bytes``, ``struct``, ``embedded`` (a struct with an image's bytes), ``path`` (such a struct in
    which no row has bytes).
    """

    columns: dict[str, str]
    rows: int


@dataclass(frozen=True, slots=True)
class ParquetRow:
    """A row by its ordinal from 1: its fields as JSON, or why it has none; ``damage`` ends its row group."""

    row: int
    fields: str = "{}"
    fault: str | None = None
    damage: bool = False


class ParquetProcess(Closing):
    """A worker process that reads Parquet; a context manager that ends it. Not for several threads at once.

    Raises:
        MissingExtra: pyarrow is not installed.
    """

    def __init__(self) -> None:
        require("parquet", "reading Parquet")
        worker = Path(__file__).with_name("parquet_worker.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(worker), json.dumps(_library_folders())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=os.sep,
            env={
                name: os.environ[name]
                for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")
                if name in os.environ
            },
        )
        self._buffer = bytearray()

    @property
    def is_running(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def describe(self, path: Path) -> ParquetTable:
        """Read the columns and the number of rows of a file.

        Raises:
            ParquetFault: it cannot be read.
        """
        (message, _), *_ = self._ask({"do": "describe", "path": os.fspath(path.absolute())})
        return ParquetTable({str(name): str(kind) for name, kind in message["columns"]}, int(message["rows"]))

    def rows(self, path: Path, columns: list[str]) -> Iterator[ParquetRow]:
        """Stream the rows of a file in their order; columns of bytes have no field.

        Raises:
            ParquetFault: it cannot be read on.
        """
        for message, _ in self._ask({"do": "rows", "path": os.fspath(path.absolute()), "columns": columns}):
            if "damage" in message:
                yield ParquetRow(message["row"], fault=message["damage"], damage=True)
            else:
                yield ParquetRow(message["row"], message.get("fields", "{}"), message.get("fault"))

    def cell(self, path: Path, column: str | None, row: int, most: int) -> bytes:
        """Read the bytes of the image in a row; an empty ``column`` is the one that holds images.

        Raises:
            ParquetFault: there is none, or it has more than ``most`` bytes.
        """
        request = {
            "do": "cell",
            "path": os.fspath(path.absolute()),
            "column": column,
            "row": row,
            "most": most,
        }
        ((_, data),) = self._ask(request)
        return data

    def _ask(self, request: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bytes]]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ParquetFault(_DIED) from error
        while True:
            message = json.loads(self._line())
            data = self._take(int(message["bytes"]))
            if message.get("end"):
                return
            if "fault" in message and "row" not in message:
                raise ParquetFault(message["fault"])
            yield message, data

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _HEADER_LIMIT:
                raise ParquetFault(_DIED)
            self._fill()
        return self._take(end + 1)

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._fill()
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _fill(self) -> None:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        if os.name == "posix" and not select.select([descriptor], [], [], ANSWER_SECONDS)[0]:
            self.close()
            raise ParquetFault("it takes too long to read")
        data = os.read(descriptor, 2**18)
        if not data:
            self._process.wait()
            raise ParquetFault(_DIED)
        self._buffer += data


_DIED = "the process that reads it has died: it is damaged, or takes more memory or time than a table may"


def _library_folders() -> list[str]:
    """List folders of pyarrow that an isolated interpreter does not search by itself; never the working directory."""
    found = []
    for name in ("pyarrow", "numpy"):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            found.append(str(Path(spec.origin).parent.parent))
    return [folder for folder in found if Path(folder).is_absolute() and folder != str(Path.cwd())]


_shared: ParquetProcess | None = None
_owner = 0
_lock = threading.Lock()


def read_cell(path: Path, column: str | None, row: int, most: int) -> bytes:
    """Read the bytes of an image stored in a table by a process that is kept for the next one; from any thread.

    Raises:
        MissingExtra: pyarrow is not installed.
        ParquetFault: there is none, or it has more than ``most`` bytes.
    """
    global _shared, _owner
    with _lock:
        if _shared is None or _owner != os.getpid() or not _shared.is_running:
            _shared, _owner = ParquetProcess(), os.getpid()
            atexit.register(_shared.close)
        try:
            return _shared.cell(path, column, row, most)
        except ParquetFault:
            if not _shared.is_running:
                _shared = None
            raise
        except BaseException:  # in the middle of an answer: the next one would begin with its rest
            _shared.close()
            _shared = None
            raise
