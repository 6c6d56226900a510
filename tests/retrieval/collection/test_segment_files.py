"""Segment files: what is written is what FAISS writes, and rows come back bit by bit."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.collection.stores import SegmentWriter
from retrieval.collection.stores.segment_files import open_segment
from tests.builders import unit_rows


def writer_of(path: Path) -> SegmentWriter:
    (path / "segments").mkdir()
    return SegmentWriter(path, lambda names: None)


@settings(max_examples=20)
@given(n=st.integers(1, 50), d=st.integers(1, 40), cut=st.integers(0, 50))
def test_the_bytes_are_those_that_faiss_writes_however_the_rows_come(
    tmp_path_factory: pytest.TempPathFactory, n: int, d: int, cut: int
) -> None:
    path = tmp_path_factory.mktemp("collection")
    vectors, ids = unit_rows(n, d), np.arange(5, 5 + n)
    index = faiss.IndexFlatIP(d)
    index.add(vectors)
    blocks = [block for block in (vectors[:cut], vectors[cut:]) if len(block)]

    written = writer_of(path).write(3, ids, blocks)

    data = (path / "segments" / written.vectors_name).read_bytes()
    assert data == faiss.serialize_index(index).tobytes()
    segment = open_segment(path, written)
    assert np.array_equal(segment.vectors(np.arange(n)), vectors)
    assert np.array_equal(segment.ids, ids)


def test_rows_and_ids_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    writer = writer_of(tmp_path)

    with pytest.raises(ValueError, match="2 rows were given for 3 ids"):
        writer.write(1, np.arange(3), [unit_rows(2)])
