"""Preparing is a pure function of values: it gives equal bytes in this process, in a new one and in the pool."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL.Image import Image

from retrieval.decoding.image_rule import ImageRule
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.preparations import Fit, Patches, Preparation, Shrink, Squeeze, Whole
from retrieval.decoding.prepare import PreparedImage, prepare, prepare_encoded, read_encoded
from retrieval.errors import ImageError, ImageTooLarge
from retrieval.types import CellBytes, FileBytes, InlineBytes, Limits, Location, MemberBytes
from tests.retrieval.decoding.pictures import black_png, encoded, photo

UNIT = (1.0, 1.0, 1.0)
RULES: list[Preparation] = [
    ImageRule(32, 3, (32, 32), UNIT, UNIT),
    Patches(16, 12, 2),
    Squeeze(32, 1.0, 40),
    Shrink(24, 2.0),
    Fit(24),
    Whole(16),
]


@pytest.fixture
def locations(tmp_path: Path) -> list[Location]:
    """One JPEG as a file, a tar member, a cell of a table and bytes."""
    data = encoded(photo(), "JPEG")
    (tmp_path / "a.jpg").write_bytes(data)
    (tmp_path / "b.tar").write_bytes(b"before" + data + b"behind")
    pq.write_table(pa.table({"image": [data]}), tmp_path / "c.parquet")
    return [
        FileBytes(tmp_path / "a.jpg"),
        MemberBytes(tmp_path / "b.tar", "", 6, len(data)),
        CellBytes(tmp_path / "c.parquet", "image", 1),
        InlineBytes(data),
    ]


def facts_of(found: PreparedImage) -> tuple[object, ...]:
    assert found.array is not None
    array = found.array
    return found.digest, array.dtype, array.shape, array.tobytes(), found.width, found.height


# multiprocessing would leave its resource tracker beside tests that count the children of this process.
_CALL_PICKLED = """
import pickle, sys
function, calls = pickle.load(sys.stdin.buffer)
pickle.dump([function(*arguments) for arguments in calls], sys.stdout.buffer)
"""


def test_a_pickled_call_gives_equal_bytes_in_a_new_process_and_in_a_worker_of_the_pool(
    locations: list[Location],
) -> None:
    calls = [(location, rule) for location in locations for rule in RULES]
    here = [facts_of(prepare(location, rule, Limits())) for location, rule in calls]

    work = pickle.dumps((prepare, [(location, rule, Limits()) for location, rule in calls]))
    done = subprocess.run([sys.executable, "-c", _CALL_PICKLED], input=work, capture_output=True, check=True)
    there = [facts_of(found) for found in pickle.loads(done.stdout)]
    with DecodePool(Limits(), workers=1) as pool:
        pooled = [facts_of(pool.prepare(location, rule)) for location, rule in calls]

    assert here == there == pooled
    assert {found[0] for found in here} == {hashlib.sha256(encoded(photo(), "JPEG")).digest()}


def test_an_image_that_was_read_is_prepared_as_one_that_is_prepared_at_once(
    locations: list[Location],
) -> None:
    for location in locations:
        read = read_encoded(location, Limits())

        assert facts_of(prepare_encoded(read, RULES[0], Limits())) == facts_of(
            prepare(location, RULES[0], Limits())
        )


def test_the_reason_of_an_image_that_cannot_be_taken_survives_pickling(tmp_path: Path) -> None:
    refused: list[tuple[Location, int | None, str]] = [
        (FileBytes(tmp_path / "none.png"), None, "No such file"),
        (InlineBytes(b"words"), None, "not a picture"),
        (InlineBytes(black_png(4000, 4000, 8, 2)), 2**20, "memory"),
    ]
    for location, memory, reason in refused:
        with pytest.raises(ImageError, match=reason) as caught:
            prepare(location, RULES[0], Limits(), memory)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_preparation_that_fails_on_an_image_is_a_reason_and_no_crash() -> None:
    class Failing:
        short_side = 8

        def prepare(self, image: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
            raise {1: MemoryError, 2: ZeroDivisionError}[image.width]

    with pytest.raises(ImageTooLarge):
        prepare(InlineBytes(encoded(photo().resize((1, 1)))), Failing(), Limits())
    with pytest.raises(ImageError, match="cannot be prepared"):
        prepare(InlineBytes(encoded(photo().resize((2, 1)))), Failing(), Limits())
