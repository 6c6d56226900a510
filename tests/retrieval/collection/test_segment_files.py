"""Segment files: what is written is what FAISS writes, and rows come back bit by bit."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.collection.segments import WrittenSegment, open_segment, write_segment
from retrieval.types import Kind
from tests.builders import unit_rows


class Facts:
    """The row of a segment that was just written."""

    def __init__(self, written: WrittenSegment, kind: Kind = "image") -> None:
        self.id, self.kind, self.rows = 1, kind, written.rows
        self.vectors_name, self.vectors_size = written.vectors.name, written.vectors.size
        self.ids_name, self.ids_size = written.ids.name, written.ids.size


@settings(max_examples=20)
@given(n=st.integers(1, 50), d=st.integers(1, 40), cut=st.integers(0, 50))
def test_the_bytes_are_those_that_faiss_writes_however_the_rows_come(
    tmp_path_factory: pytest.TempPathFactory, n: int, d: int, cut: int
) -> None:
    path = tmp_path_factory.mktemp("collection")
    (path / "segments").mkdir()
    vectors, ids = unit_rows(n, d), np.arange(5, 5 + n)
    index = faiss.IndexFlatIP(d)
    index.add(vectors)
    blocks = [block for block in (vectors[:cut], vectors[cut:]) if len(block)]

    written = write_segment(path, "3-7f3a09c1e4b2d855", ids, blocks)

    data = (path / "segments" / written.vectors.name).read_bytes()
    assert data == faiss.serialize_index(index).tobytes()
    segment = open_segment(path, Facts(written))
    assert np.array_equal(segment.vectors(np.arange(n)), vectors)
    assert np.array_equal(segment.ids, ids)


def test_rows_and_ids_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()

    with pytest.raises(ValueError, match="2 rows were given for 3 ids"):
        write_segment(tmp_path, "1-7f3a09c1e4b2d855", np.arange(3), [unit_rows(2)])
