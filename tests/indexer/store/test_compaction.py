"""Compaction: a policy as a pure function, and rewriting that changes no answer."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import indexer
from indexer.store.changes import Change
from indexer.store.maintenance import compact_if_due
from indexer.store.segment_plan import SEGMENT_BYTES, SMALL_SEGMENTS, SMALL_SHARE, plan_compaction
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.collection.stores.segment_rows import SegmentLoad
from tests.builders import IDENTITY, Index, collection_of, draw, names_and_scores, unit_rows

ROW_BYTES = 2048
FULL = SEGMENT_BYTES // ROW_BYTES


@st.composite
def loads(draw: st.DrawFn) -> list[SegmentLoad]:
    rows = draw(st.lists(st.integers(1, FULL), max_size=30))
    return [
        SegmentLoad(number, n, draw(st.integers(0, n)), ROW_BYTES) for number, n in enumerate(rows, start=1)
    ]


@given(segments=loads(), everything=st.booleans())
def test_a_plan_names_each_segment_at_most_once_and_stays_within_its_memory(
    segments: list[SegmentLoad], everything: bool
) -> None:
    by_id = {segment.id: segment for segment in segments}

    groups = plan_compaction(segments, everything)

    planned = [number for group in groups for number in group]
    assert planned == sorted(set(planned))
    for group in groups:
        live = sum((by_id[number].rows - by_id[number].dead) * ROW_BYTES for number in group)
        assert live <= SEGMENT_BYTES
        assert len(group) > 1 or by_id[group[0]].dead


@given(segments=loads(), everything=st.booleans())
def test_after_a_plan_nothing_is_due_that_a_plan_can_mend(
    segments: list[SegmentLoad], everything: bool
) -> None:
    groups = plan_compaction(segments, everything)
    by_id = {segment.id: segment for segment in segments}
    planned = {number for group in groups for number in group}
    merged = [
        SegmentLoad(100 + at, sum(by_id[n].rows - by_id[n].dead for n in group), 0, ROW_BYTES)
        for at, group in enumerate(groups)
    ]
    left = [segment for segment in segments if segment.id not in planned]
    left += [segment for segment in merged if segment.rows]

    again = plan_compaction(left, everything)

    assert all(len(group) > 1 for group in again)  # only merging may be left, never masked rows


def test_a_tenth_of_masked_rows_makes_a_segment_due_and_a_tenth_exactly_does_not() -> None:
    assert plan_compaction([SegmentLoad(1, FULL, FULL // 10, ROW_BYTES)]) == []
    assert plan_compaction([SegmentLoad(1, FULL, FULL // 10 + 1, ROW_BYTES)]) == [[1]]


def test_small_segments_are_merged_once_there_are_more_than_eight() -> None:
    small = [SegmentLoad(number, 10, 0, ROW_BYTES) for number in range(1, SMALL_SEGMENTS + 2)]

    assert plan_compaction(small[:-1]) == []
    assert plan_compaction(small) == [[segment.id for segment in small]]


def test_large_segments_without_masked_rows_are_never_rewritten() -> None:
    rows = int(FULL * SMALL_SHARE)

    assert plan_compaction([SegmentLoad(n, rows, 0, ROW_BYTES) for n in range(20)], everything=True) == []


def test_optimize_leaves_one_segment_drops_masked_rows_and_changes_no_answer(collection: Path) -> None:
    vectors = unit_rows(60)
    names = [f"{number}" for number in range(60)]
    parts = [(names[at : at + 12], vectors[at : at + 12]) for at in range(0, 60, 12)]
    path = collection_of(collection, *parts)
    with Writer(path) as writer:
        writer.commit(Change(removed=[3, 30, 31]), IDENTITY)
    query = unit_rows(1, seed=7)
    with Collection.open(path) as opened:
        before = names_and_scores(opened.search(query, "image", 60)[0])

        assert indexer.optimize(path) == (5, 1)

        assert names_and_scores(opened.search(query, "image", 60)[0]) == before
        info = opened.info()
    assert (info.rows, info.dead, info.contents) == (57, 0, 57)
    assert len(list((path / "segments").iterdir())) == 2


def test_a_segment_with_nothing_but_masked_rows_goes_without_a_successor(collection: Path) -> None:
    path = collection_of(collection, (["a"], unit_rows(1)), (["b"], unit_rows(1, seed=1)))
    with Writer(path) as writer:
        writer.commit(Change(removed=[1]), IDENTITY)

        assert compact_if_due(writer) == 1

    with Collection.open(path) as opened:
        assert (opened.info().segments, opened.info().contents) == (1, 1)
    assert indexer.doctor(path) == indexer.Diagnosis((), ())


def test_a_content_that_comes_back_before_compaction_needs_no_encoding(
    collection: Path, index: Index, photos: Path
) -> None:
    for number in range(12):  # one of fifteen is below the tenth that makes a segment due
        draw(photos / f"{number}.png", (number, 7, 7))
    index(photos)
    indexer.delete(collection, [str(photos / "red.png")])

    report = index(photos)

    assert report.encoded == 0
