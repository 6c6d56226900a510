"""The weights of one tower as float32 numpy arrays, each decoded when it is taken: nothing is held twice.

A process that asks one question decodes the weights of one tower alone, one layer after another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.two_tower.weight_names import module_name, scales
from retrieval.hub.safetensors_header import FileData, StoredTensor, read_header

Array = NDArray[np.float32]

_TYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2",
    "U32": "<u4", "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8",
}  # fmt: skip


class Rows(Protocol):
    """Rows of a matrix, by their numbers: (...) int64 to (..., width) float32."""

    def __getitem__(self, numbers: NDArray[np.int64], /) -> Array: ...


@dataclass(frozen=True, slots=True, eq=False)
class QuantisedRows:
    """A matrix of int8, (n, width), with the quantisation scale of each row, (n, 1) float16.

    A fifth of the memory of float32, and the same numbers: a row is multiplied when it is asked for.
    """

    values: NDArray[np.int8]
    scales: NDArray[np.float16]

    def __getitem__(self, numbers: NDArray[np.int64], /) -> Array:
        """Compute rows, as :class:`Rows`."""
        rows: Array = self.values[numbers].astype(np.float32) * self.scales[numbers].astype(np.float32)
        return rows


class NumpyWeights(Mapping[str, Array]):
    """Weights by the names of the torch modules; an item is float32, int8 values times their scales, and new each time.

    Args:
        data: of ``model.safetensors``; stays in memory as long as this does.
        tower: beginning of the names, ``text`` or ``image``.

    Raises:
        ValueError: the header of ``data`` is damaged, or scales have a shape that is not that of their weight's rows.
        TypeError: a tensor has a type that numpy does not know.
    """

    def __init__(self, data: FileData, tower: str) -> None:
        self._data = data
        self._places = {
            module_name(name): place for name, place in read_header(data).items() if name.startswith(tower)
        }
        if unknown := {place.dtype for place in self._places.values()} - _TYPES.keys():
            raise TypeError(f"weights of type {min(unknown)}")
        found = scales({name: place.shape for name, place in self._places.items()})
        self._scales = {weight: self._places.pop(scale) for scale, weight in found}

    def __getitem__(self, name: str) -> Array:
        value = self._view(self._places[name]).astype(np.float32)
        if name in self._scales:
            value *= self._view(self._scales[name]).astype(np.float32)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """Give the shape of a weight, without decoding it.

        Raises:
            KeyError: there is none of that name.
        """
        return self._places[name].shape

    def rows(self, name: str) -> Rows:
        """Give a matrix to take rows from; int8 stays int8. It needs ``data`` no more.

        Raises:
            KeyError: there is none of that name.
        """
        place, scale = self._places[name], self._scales.get(name)
        if scale is None or place.dtype != "I8" or scale.dtype != "F16":
            return self[name]
        return QuantisedRows(self._view(place).copy(), self._view(scale).copy())

    def _view(self, place: StoredTensor) -> NDArray[Any]:
        flat = np.frombuffer(self._data, _TYPES[place.dtype], prod(place.shape), place.start)
        return flat.reshape(place.shape)
