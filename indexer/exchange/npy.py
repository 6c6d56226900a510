"""Rows of vectors in ``.npy`` files that come from strangers: a header of our own reading, then plain reads.

The file is neither mapped (one that is cut short meanwhile would kill the process) nor unpickled, and only the rows
asked for are held.
"""

from __future__ import annotations

import ast
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import CorpusFormatError
from retrieval.unit_rows import UNIT_TOLERANCE

_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}  # of the header's length, by the major version
_HEADER_LIMIT = 10_000  # numpy's own
_FLOATS = re.compile(r"[<>=|]?f[248]")
_KEYS = {"descr", "fortran_order", "shape"}
_AGAIN = "Write it again with numpy.save, or copy it again"


@dataclass(frozen=True, slots=True)
class NpyRows:
    """A two-dimensional array of floats in a file, rows one after another.

    Attributes:
        path: the file.
        dtype: float16, float32 or float64, in either byte order.
        rows: how many there are.
        dimension: numbers in a row.
        offset: of the first row, in bytes.
    """

    path: Path
    dtype: np.dtype[np.floating]
    rows: int
    dimension: int
    offset: int

    def read(self, start: int, stop: int) -> NDArray[np.floating]:
        """Rows ``start`` to ``stop`` (not included) as they are stored, (stop - start, dimension).

        Raises:
            CorpusFormatError: the file cannot be read, or is shorter than it was.
        """
        count = (stop - start) * self.dimension
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset + start * self.dimension * self.dtype.itemsize)
                data = file.read(count * self.dtype.itemsize)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        if len(data) != count * self.dtype.itemsize:
            raise CorpusFormatError(str(self.path), "has become shorter", _AGAIN)
        return np.frombuffer(data, self.dtype).reshape(stop - start, self.dimension)


def open_npy(path: Path) -> NpyRows:
    """Check the header of a ``.npy`` file against the file's size.

    Raises:
        CorpusFormatError: it is not a whole file of float rows in C order.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise CorpusFormatError(str(path), "is not a regular file", _AGAIN)
            dtype, shape, offset = _read_header(file)
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise CorpusFormatError(str(path), f"is not a .npy file of float rows ({error})", _AGAIN) from error
    wanted, found = shape[0] * shape[1] * dtype.itemsize, status.st_size - offset
    if wanted != found:
        fault = f"says {shape[0]:,} rows of {shape[1]:,} numbers, {wanted:,} bytes, and has {found:,}"
        raise CorpusFormatError(str(path), fault, _AGAIN)
    return NpyRows(path, dtype, *shape, offset)


def unit_rows(rows: NDArray[np.floating]) -> list[NDArray[np.float32] | None]:
    """Bring rows to unit length, float32; None for one that is all zeros or not finite. Unit rows keep their bits."""
    with np.errstate(invalid="ignore", over="ignore"):
        exact = rows.astype(np.float64)
        norms = np.linalg.norm(exact, axis=1)
        usable = np.isfinite(norms) & (norms > UNIT_TOLERANCE)
        far = usable & (np.abs(norms - 1.0) > UNIT_TOLERANCE)
        exact[far] /= norms[far, None]
        units = exact.astype(np.float32)
    return [row if good else None for row, good in zip(units, usable, strict=True)]


def _read_header(file: BinaryIO) -> tuple[np.dtype[np.floating], tuple[int, int], int]:
    """The dtype, the shape and the offset of the data.

    Raises:
        ValueError: says what is wrong, in a clause.
    """
    start = file.read(len(_MAGIC) + 2)
    if len(start) < len(_MAGIC) + 2 or not start.startswith(_MAGIC):
        raise ValueError("it does not begin as one")
    width = _LENGTH_BYTES.get(start[6])
    if width is None:
        raise ValueError(f"its version is {start[6]}.{start[7]}")
    length = int.from_bytes(file.read(width), "little")
    if length > _HEADER_LIMIT:
        raise ValueError(f"its header is longer than {_HEADER_LIMIT:,} bytes")
    raw = file.read(length)
    if len(raw) != length:
        raise ValueError("it ends within its header")
    return *_parse_header(raw, "utf-8" if start[6] == 3 else "latin-1"), file.tell()


def _parse_header(raw: bytes, encoding: str) -> tuple[np.dtype[np.floating], tuple[int, int]]:
    try:
        facts = ast.literal_eval(raw.decode(encoding))  # literals alone: no name, no call
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise ValueError("its header is not a literal") from None
    if not isinstance(facts, dict) or set(facts) != _KEYS:
        raise ValueError("its header has other keys")
    descr, shape = facts["descr"], facts["shape"]
    if not isinstance(descr, str) or not _FLOATS.fullmatch(descr):
        raise ValueError(f"its values are {descr!r:.80}")
    if facts["fortran_order"] is not False:
        raise ValueError("its columns, not its rows, lie one after another")
    sides = shape if isinstance(shape, tuple) else ()
    if len(sides) != 2 or any(type(side) is not int or side < 0 for side in sides):
        raise ValueError(f"its shape is {shape!r:.80}")
    return np.dtype(descr), (sides[0], sides[1])


def _unreadable(path: Path, error: OSError) -> CorpusFormatError:
    return CorpusFormatError(str(path), f"cannot be read ({error.strerror or error})", "Copy it again")
