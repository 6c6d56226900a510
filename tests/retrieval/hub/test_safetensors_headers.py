"""Headers of safetensors: what the library writes is read, and a header that lies is refused before it is believed."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save_file

from retrieval.errors import ModelError
from retrieval.hub.safetensors_header import BITS, HEADER_BYTES, numbers, read_shapes

DTYPES: dict[str, str] = {"F32": "<f4", "F16": "<f2", "I64": "<i8", "U8": "u1", "BOOL": "?"}
SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)
NAMES = st.text("abc._", min_size=1, max_size=6)


def written(folder: str, header: object, data: bytes) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = Path(folder) / "model.safetensors"
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    return path


@settings(max_examples=40)
@given(st.dictionaries(NAMES, st.tuples(st.sampled_from(sorted(DTYPES.values())), SHAPES), max_size=4))
def test_whatever_the_library_writes_is_read_with_its_shapes(
    tensors: dict[str, tuple[str, tuple[int, ...]]],
) -> None:
    arrays: dict[str, NDArray[Any]] = {
        name: np.zeros(shape, dtype) for name, (dtype, shape) in tensors.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        save_file(arrays, Path(folder) / "a.safetensors", metadata={"format": "np"})

        shapes = read_shapes(Path(folder) / "a.safetensors")

    assert shapes == {name: array.shape for name, array in arrays.items()}
    assert numbers(shapes) == sum(array.size for array in arrays.values())


FACTS = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from([*BITS, "F31", None, 3]),
        "shape": st.lists(st.integers(-2, 5), max_size=3) | st.none() | st.just([2**63]),
        "data_offsets": st.lists(st.integers(-2, 50), max_size=3) | st.none(),
        "more": st.none(),
    },
)


@settings(max_examples=100)
@given(st.dictionaries(NAMES, FACTS | st.none() | st.integers(), max_size=3), st.binary(max_size=40))
def test_any_header_is_true_to_the_file_or_is_refused(header: dict[str, Any], data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(folder, header, data)
        try:
            shapes = read_shapes(path)
        except ModelError as error:
            said = str(error)
            assert "download the model again" in said or "give a complete" in said
            return

    stored = sum(
        BITS[header[name]["dtype"]] * int(np.prod(shape, dtype=object)) for name, shape in shapes.items()
    )
    assert stored == 8 * len(data)


@settings(max_examples=100)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_hold_what_they_say(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        path.write_bytes(data)
        try:
            assert isinstance(read_shapes(path), dict)
        except ModelError as error:
            assert "\n" not in str(error)  # noqa: PT017 - as above


def span(start: int, stop: int, sides: list[int] | None = None) -> dict[str, Any]:
    return {"dtype": "U8", "shape": [stop - start] if sides is None else sides, "data_offsets": [start, stop]}


@pytest.mark.parametrize(
    ("header", "data", "fault"),
    [
        ({"a": span(0, 3), "b": span(2, 5)}, 5, "overlap, or leave holes"),
        ({"a": span(0, 2), "b": span(3, 5)}, 5, "overlap, or leave holes"),
        ({"a": span(0, 4)}, 5, "it has 5 bytes of tensors, and its header says 4"),
        ({"a": span(0, 6)}, 5, "it has 5 bytes of tensors, and its header says 6"),
        ({"a": span(0, 4, [5])}, 4, "do not go with its shape"),
        ({"a": {"dtype": "F31", "shape": [1], "data_offsets": [0, 4]}}, 4, "'F31', which is not known"),
        ({"a": {"dtype": "U8", "shape": [True], "data_offsets": [0, 1]}}, 1, "not whole numbers"),
        ({"a": {"dtype": "U8", "shape": [1.0], "data_offsets": [0, 1]}}, 1, "not whole numbers"),
        ({"a": {"dtype": "U8", "shape": [1] * 17, "data_offsets": [0, 1]}}, 1, "not whole numbers"),
        ({"a": {"dtype": "U8", "shape": [1]}}, 1, "has no dtype, shape and data_offsets"),
        ({"a" * 500: None}, 0, "has no dtype"),
        (b"[]", 0, "does not hold a JSON object"),
        (b"{", 0, "does not fit"),
        (b"{]", 0, "is not JSON"),
    ],
)
def test_a_lie_is_named(header: object, data: int, fault: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=fault) as caught:
        read_shapes(written(str(tmp_path), header, bytes(data)))

    assert len(str(caught.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize("length", [0, 1, HEADER_BYTES + 1, 2**63, 2**64 - 1])
def test_a_header_of_an_impossible_length_is_not_read(length: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(length.to_bytes(8, "little") + b"{}")

    with pytest.raises(ModelError, match="does not fit"):
        read_shapes(tmp_path / "a")


def test_a_pipe_a_folder_and_a_missing_file_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for name in ("pipe", ".", "none"):
        with pytest.raises(ModelError, match=r"cannot read|not a regular file"):
            read_shapes(tmp_path / name)
