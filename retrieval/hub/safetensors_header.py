"""The header of a safetensors file, checked before anything is allocated for what it says."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from retrieval.errors import ModelError
from retrieval.json_files import parse_object

if TYPE_CHECKING:
    import mmap

_SIDES = 16
HEADER_BYTES = 16 * 2**20  # of ten thousand tensors: one
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip

Shapes = dict[str, tuple[int, ...]]
FileData: TypeAlias = "bytes | mmap.mmap"
"""The bytes of a whole file, read or mapped."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Type and shape of a tensor, and where its bytes begin in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int


def read_shapes(file: Path) -> Shapes:
    """Names and shapes of the tensors in a file whose header is true to its size.

    Raises:
        ModelError: the file cannot be read, or its header lies.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("it is not a regular file")
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(HEADER_BYTES, status.st_size - 8):
                raise ValueError(f"its header of {length:,} bytes does not fit")
            header = parse_object(stream.read(length))
        found = _checked(header, 8 + length, status.st_size)
        return {name: tensor.shape for name, tensor in found.items()}
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror}; give a complete model folder") from error
    except ValueError as error:
        raise ModelError(
            f"{file} does not hold weights in safetensors ({error}); download the model again"
        ) from error


def read_header(data: FileData) -> dict[str, StoredTensor]:
    """Find the tensors in the bytes of a file whose header is true to its size.

    Raises:
        ValueError: it lies; the message is a clause.
    """
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= min(HEADER_BYTES, len(data) - 8):
        raise ValueError(f"its header of {length:,} bytes does not fit")
    return _checked(parse_object(data[8 : 8 + length]), 8 + length, len(data))


def numbers(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """How many numbers tensors hold together."""
    return sum(prod(shape) for shape in shapes.values())


def check_memory(place: Path, count: int) -> None:
    """Refuse so many float32 numbers where the machine has no room for them.

    Raises:
        ModelError: it has not.
    """
    try:
        has = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return
    if 4 * count > has:
        raise ModelError(
            f"{place} takes {4 * count:,} bytes of memory, and this machine has {has:,}; use a smaller model"
        )


def _checked(header: dict[str, Any], begin: int, end: int) -> dict[str, StoredTensor]:
    """Tensors between two bytes of a file, where their offsets follow each other without holes.

    Raises:
        ValueError: says what is wrong, in a clause.
    """
    found: dict[str, StoredTensor] = {}
    spans = []
    for name, facts in header.items():
        if name == "__metadata__":
            continue
        if not isinstance(facts, dict) or set(facts) != {"dtype", "shape", "data_offsets"}:
            raise ValueError(f"{name[:80]!r} has no dtype, shape and data_offsets")
        bits, shape, offsets = BITS.get(str(facts["dtype"])), facts["shape"], facts["data_offsets"]
        if bits is None:
            raise ValueError(f"{name[:80]!r} is of type {facts['dtype']!r:.40}, which is not known")
        if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
            raise ValueError(f"{name[:80]!r} has a shape or offsets that are not whole numbers")
        if prod(shape) * bits != 8 * (offsets[1] - offsets[0]):
            raise ValueError(f"{name[:80]!r} has offsets that do not go with its shape")
        found[name] = StoredTensor(str(facts["dtype"]), tuple(shape), begin + offsets[0])
        spans.append((offsets[0], offsets[1]))
    place = 0
    for start, stop in sorted(spans):
        if start != place:
            raise ValueError("its tensors overlap, or leave holes")
        place = stop
    if place != end - begin:
        raise ValueError(f"it has {end - begin:,} bytes of tensors, and its header says {place:,}")
    return found


def _are_counts(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _SIDES
        and all(type(part) is int and 0 <= part < 2**63 for part in value)
    )
