"""Vectors by encoding id, whatever ids the segments hold: consecutive, with gaps, or between each other's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.store.accelerator_building import exact_best
from retrieval.collection.search import search
from retrieval.collection.stores import SegmentStore, search_threads
from retrieval.collection.stores.segment_files import Segment
from retrieval.collection.stores.selected_segment import SelectedSegment
from tests.builders import unit_rows

D = 8
NOTHING = np.empty(0, np.int64)


def store_of(parts: list[list[int]]) -> tuple[SegmentStore, dict[int, NDArray[np.float32]]]:
    """A store of segments with these ids, and the vector of each id."""
    segments: dict[int, Segment | SelectedSegment] = {}
    vector_of: dict[int, NDArray[np.float32]] = {}
    for number, ids in enumerate(part for part in parts if part):
        rows = unit_rows(len(ids), D, seed=number)
        segments[number] = Segment(rows.view(np.uint8), np.array(sorted(ids), np.int64))
        vector_of |= dict(zip(sorted(ids), rows, strict=True))
    return SegmentStore(segments, search_threads(1)), vector_of


@st.composite
def some_parts(draw: st.DrawFn) -> list[list[int]]:
    """Ids of a few segments, in order or mixed, most of them consecutive."""
    ids = draw(st.lists(st.integers(0, 60), unique=True, max_size=40))
    cuts = sorted(draw(st.lists(st.integers(0, len(ids)), max_size=3)))
    ordered = sorted(ids) if draw(st.booleans()) else ids
    return [ordered[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(ids)], strict=True)]


@given(some_parts(), st.lists(st.integers(-2, 65), max_size=30))
def test_ids_that_are_held_give_their_vectors_and_the_others_are_named(
    parts: list[list[int]], asked: list[int]
) -> None:
    store, vector_of = store_of(parts)
    ids = np.array(asked, np.int64)

    found, held = store.held_vectors(ids)

    assert held.tolist() == [one in vector_of for one in asked]
    assert store.contains(ids).tolist() == held.tolist()
    assert [row.tolist() for row in found] == [vector_of[one].tolist() for one in asked if one in vector_of]
    if held.all():
        assert np.array_equal(store.vectors(ids), found)
    else:
        with pytest.raises(KeyError):
            store.vectors(ids)


@given(some_parts(), st.integers(0, 99))
def test_the_best_of_one_segment_after_the_other_are_those_of_all_together(
    parts: list[list[int]], seed: int
) -> None:
    store, vector_of = store_of(parts)
    queries = unit_rows(3, D, seed + 100)
    masked = np.array(sorted(vector_of)[::4], np.int64)

    found = exact_best(store, queries, masked)

    whole = [candidates.ids for candidates in search(store, queries, 10, masked)]
    assert [sorted(ids.tolist()) for ids in found] == [sorted(ids.tolist()) for ids in whole]


@given(some_parts(), st.integers(1, 50), st.booleans())
def test_stores_of_a_few_rows_hold_all_rows_in_order_and_the_first_ones_its_beginning(
    parts: list[list[int]], rows: int, of_some: bool
) -> None:
    store, vector_of = store_of(parts)
    if of_some:
        store = store.only(np.array(sorted(vector_of)[::2], np.int64))

    passed = list(store.passes(rows))

    assert all(0 < one.rows <= rows for one in passed)
    assert [number for one in passed for number in one.ids] == store.ids.tolist()
    assert store.first(rows).ids.tolist() == store.ids[:rows].tolist()
    for one in (*passed, store.first(rows)):
        for number, vector in zip(one.ids.tolist(), one.vectors(one.ids), strict=True):
            assert np.array_equal(vector, vector_of[number])
