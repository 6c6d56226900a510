"""An accelerator as a file: arrays in the safetensors format, every shape checked before FAISS sees a number.

https://huggingface.co/docs/safetensors: eight bytes of length, a JSON header, then the arrays. It is written here piece
by piece, since the library's writer would hold a second copy of everything, and read by the library, which maps it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.accelerators.balance import Balance
from retrieval.collection.accelerators.coded_rows import PART_DIMENSION, CodedRows
from retrieval.identity import LARGEST_DIMENSION

FORMAT = "vlsearch inverted file 1"
LARGEST_CELLS = 2**20
_LEVELS = 16  # of a part's 4 bits
_NAMES = {
    np.dtype(np.float32): "F32",
    np.dtype(np.int32): "I32",
    np.dtype(np.int64): "I64",
    np.dtype(np.uint8): "U8",
}


class AcceleratorDamaged(ValueError):
    """A file that does not hold an inverted file; the message is a clause that says why."""


def accelerator_bytes(coded: CodedRows) -> Iterator[bytes | memoryview]:
    """Give the file's contents piece by piece."""
    arrays = _arrays(coded)
    header: dict[str, Any] = {"__metadata__": {"format": FORMAT}}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        header[name] = {"dtype": _NAMES[array.dtype], "shape": array.shape, "data_offsets": [start, end]}
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    yield len(encoded).to_bytes(8, "little") + encoded
    for array in arrays.values():
        yield np.ascontiguousarray(array).data.cast("B")


def read_accelerator(path: Path, rows: int) -> CodedRows:
    """Read an inverted file that says that it holds so many vectors; its codes are mapped.

    Args:
        path: a regular file that nobody writes to, or ``/proc/self/fd/N`` of one.
        rows: vectors that it must hold.

    Raises:
        AcceleratorDamaged: it is not one, or its arrays do not go together.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            if (file.metadata() or {}).get("format") != FORMAT:
                raise AcceleratorDamaged("it is not an inverted file of a version that is known here")
            names = list(file.keys())
            _check_shapes({name: file.get_slice(name) for name in names}, rows)
            arrays = {name: file.get_tensor(name) for name in names if name != "codes"}
        arrays["codes"] = _map_codes(path)
    except SafetensorError as error:
        raise AcceleratorDamaged(f"it cannot be read ({error})") from error
    _check_values(arrays, rows)
    balance = Balance(arrays.pop("mean"), arrays.pop("stored"), arrays.pop("asked"))
    return CodedRows(balance, **arrays)


def _map_codes(path: Path) -> NDArray[np.uint8]:
    """Map the codes of a file that the library has read: a selection reads some of them, now and then."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        codes = json.loads(file.read(length))["codes"]
        start = file.tell() + codes["data_offsets"][0]
        return np.asarray(np.memmap(file, np.uint8, "r", start, tuple(codes["shape"])))


def _arrays(coded: CodedRows) -> dict[str, NDArray[Any]]:
    """All arrays, those of eight bytes first so that each is aligned."""
    balance = coded.balance
    return {
        "ids": coded.ids, "mean": balance.mean, "stored": balance.stored_map,
        "asked": balance.query_map,
        "means": coded.means, "radii": coded.radii, "codebooks": coded.codebooks, "sizes": coded.sizes,
        "codes": coded.codes,
    }  # fmt: skip


def _check_shapes(found: dict[str, Any], rows: int) -> None:
    """Refuse arrays of other names, types or shapes than an inverted file of ``rows`` vectors has."""
    shapes = {name: (piece.get_dtype(), tuple(piece.get_shape())) for name, piece in found.items()}
    d, rank = (*shapes.get("stored", ("", ()))[1], 0, 0)[:2]
    cells = (*shapes.get("radii", ("", ()))[1], 0)[0]
    parts = rank // PART_DIMENSION
    wanted = {
        "ids": ("I64", (rows,)), "mean": ("F32", (d,)), "stored": ("F32", (d, rank)), "asked": ("F32", (d, rank)),
        "means": ("F32", (cells, rank)), "radii": ("F32", (cells,)),
        "codebooks": ("F32", (parts, _LEVELS, PART_DIMENSION)), "sizes": ("I32", (cells,)),
        "codes": ("U8", (rows, parts // 2)),
    }  # fmt: skip
    sound = (
        0 < rank <= d <= LARGEST_DIMENSION and not rank % (2 * PART_DIMENSION) and 0 < cells <= LARGEST_CELLS
    )
    if not sound or shapes != wanted:
        raise AcceleratorDamaged(f"its arrays are not those of an inverted file of {rows} vectors")


def _check_values(arrays: dict[str, NDArray[Any]], rows: int) -> None:
    """Refuse numbers that a search could not bear: sizes that are not the rows', values that are not finite."""
    sizes = arrays["sizes"].astype(np.int64)
    if (sizes < 0).any() or int(sizes.sum()) != rows:
        raise AcceleratorDamaged("the sizes of its cells do not add up to its vectors")
    for name, array in arrays.items():
        if array.dtype == np.float32 and not np.isfinite(array).all():
            raise AcceleratorDamaged(f"its {name} hold values that are not finite")
