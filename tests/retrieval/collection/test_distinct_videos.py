"""Of a video, a search for distinct hits gives the best moment alone, however many moments are better than the rest."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.collection import Collection
from retrieval.moments import clock, part_at, seconds_of, video_of
from retrieval.types import Request
from retrieval.uris import file_uri
from tests.builders import collection_of, names_and_scores, rank_naively, unit_rows


@settings(deadline=None, max_examples=25)
@given(
    owners=st.lists(st.sampled_from(["", "", "a", "b", "c"]), min_size=1, max_size=300),
    k=st.integers(1, 8),
    offset=st.integers(0, 3),
)
def test_each_video_is_one_hit_at_its_best_moment(owners: list[str], k: int, offset: int) -> None:
    names = [f"{owner}.mp4#t%3D{n}" if owner else f"{n}.jpg" for n, owner in enumerate(owners)]
    vectors, query = unit_rows(len(names)), unit_rows(1, seed=9)
    wanted, seen = [], set[str]()
    for name, score in rank_naively(names, vectors, query[0], len(names)):
        group = name.partition("#")[0]
        if group not in seen:
            seen.add(group)
            wanted.append((name, score))

    with tempfile.TemporaryDirectory() as place:
        path = collection_of(Path(place, "c"), (names, vectors))
        with Collection.open(path) as collection, collection.reading() as view:
            [hits] = view.search(query, "image", Request(k, distinct=True, offset=offset))

    assert names_and_scores(hits) == wanted[offset : offset + k]


def test_without_distinct_every_moment_is_a_hit(tmp_path: Path) -> None:
    names, vectors = ["a.mp4#t=0", "a.mp4#t=1.5", "b.jpg"], unit_rows(3)

    with Collection.open(collection_of(tmp_path, (names, vectors))) as collection:
        assert len(collection.search(vectors[:1], "image", 3)[0]) == 3


def test_a_least_score_ends_the_search_for_further_hits(tmp_path: Path) -> None:
    names = [f"a.mp4#t={n}" for n in range(200)]
    vectors = unit_rows(200)

    with (
        Collection.open(collection_of(tmp_path, (names, vectors))) as collection,
        collection.reading() as view,
    ):
        [hits] = view.search(vectors[:1], "image", Request(3, distinct=True, min_score=0.9))

    assert names_and_scores(hits)[0][0] == "a.mp4#t=0"
    assert len(hits) == 1


@pytest.mark.parametrize(
    ("milliseconds", "part", "shown"),
    [
        (0, "t=0", "0:00"),
        (12_400, "t=12.4", "0:12"),
        (61_005, "t=61.005", "1:01"),
        (3_725_000, "t=3725", "1:02:05"),
    ],
)
def test_a_moment_is_named_by_its_seconds_and_shown_as_players_show_it(
    milliseconds: int, part: str, shown: str
) -> None:
    assert part_at(milliseconds) == part
    assert seconds_of(part) == milliseconds / 1000
    assert clock(milliseconds / 1000) == shown
    assert video_of(f"file:///a%23t=1.mp4#{part}") == "file:///a%23t=1.mp4"
    assert video_of(file_uri(Path("/a.mp4"), part)) == "file:///a.mp4"


@pytest.mark.parametrize("part", ["t=", "t=1.2345", "t=01", "t=-1", "t=1e5", "t=nan", "page=1", "t=99999999"])
def test_what_names_no_time_is_not_a_moment(part: str) -> None:
    assert video_of(f"file:///a.mp4#{part}") is None
    with pytest.raises(ValueError, match="does not name a time"):
        seconds_of(part)
