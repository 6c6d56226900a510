"""Which copy of a group is the best and why, and what is of the same moment: pure functions of plain values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.duplicates import same_moment
from retrieval.duplicates.groups import DuplicateClass, DuplicateCopy, Joined, group_of
from retrieval.duplicates.same_moment import same_moments, seconds_of
from tests.builders import unit_rows


def copies(folder: Path, **facts: Sequence[Any]) -> list[DuplicateCopy]:
    """Copies that differ in some fields alone; each file is there unless its name begins with gone."""
    fields = dict.fromkeys(("key", "taken"), None) | {"sha256": "", "width": 40, "height": 30, "bytes": 9}
    made = []
    for number in range(len(next(iter(facts.values())))):
        own = {name: values[number] for name, values in facts.items()}
        path = folder / own.pop("name", f"{number}.jpg")
        if not path.name.startswith("gone"):
            path.touch()
        made.append(DuplicateCopy(**{"id": number + 1, "uri": path.as_uri(), "metadata": 0, **fields, **own}))
    return made


@pytest.mark.parametrize(
    ("duplicates", "facts", "best", "why"),
    [
        ("picture", {"width": [40, 400, 30]}, 2, "most pixels"),
        ("picture", {"width": [400, 40], "name": ["a.jpg", "b.NEF"]}, 2, "raw camera file"),
        ("picture", {"width": [400, 40], "name": ["gone.jpg", "b.jpg"]}, 2, "its file is there"),
        ("picture", {"width": [41, 40], "inner_share": [0.99, 1.0], "bytes": [9, 5]}, 2, "no border"),
        ("picture", {"metadata": [1, 5, 3]}, 2, "most metadata"),
        ("picture", {"bytes": [100, 300, None]}, 2, "largest file"),
        ("picture", {"bytes": [100, 100]}, 1, "indexed first"),
        ("picture", {"metadata": [3, 2], "has_camera": [False, True]}, 2, "metadata of a camera"),
        ("picture", {"bytes": [300, 100], "name": ["IMG_7-edited.jpg", "IMG_7.jpg"]}, 2, "not named a copy"),
        ("picture", {"bytes": [300, 100], "name": ["IMG_E7.jpg", "IMG_7.jpg"]}, 2, "not named a copy"),
        (
            "picture",
            {"bytes": [300, 100], "is_turned": [True, False]},
            2,
            "not mirrored or turned",
        ),
        ("picture", {"bytes": [300, 100], "taken": ["2021-05-04", "2021-05-03"]}, 2, "taken first"),
        ("picture", {"bytes": [300, 100], "modified": [10**13, 10**12]}, 2, "oldest file"),
        ("picture", {"bytes": [300, 100], "modified": [10**12 + 10**9, 10**12]}, 1, "largest file"),
        ("picture", {"bytes": [300, 100], "modified": [None, 10**12]}, 1, "largest file"),
        ("bytes", {"is_turned": [True, False], "modified": [10**13, 0]}, 1, "indexed first"),
        ("picture", {"width": [40, 44], "inner_share": [1.0, 0.8]}, 1, "most pixels"),
        ("picture", {"width": [40, 41], "metadata": [9, 0]}, 1, "most metadata"),
        ("picture", {"width": [None, 10]}, 2, "most pixels"),
        ("bytes", {"name": ["a (1).jpg", "a.jpg"]}, 2, "not named a copy"),
        ("bytes", {"name": ["a copy.jpg", "a 副本.jpg", "b.jpg"]}, 3, "not named a copy"),
        ("bytes", {"metadata": [0, 4], "name": ["a.jpg", "a (2).jpg"]}, 2, "most metadata"),
        ("bytes", {"name": ["b.jpg", "a.jpg"]}, 1, "indexed first"),
    ],
)
def test_the_best_copy_stands_first_and_says_why(
    duplicates: DuplicateClass, facts: dict[str, list[Any]], best: int, why: str, tmp_path: Path
) -> None:
    made = copies(tmp_path, **facts)

    group = group_of(duplicates, made)

    assert (group.copies[0].id, group.why) == (best, why)
    assert {copy.id for copy in group.copies} == {copy.id for copy in made}


@given(
    st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)).filter(lambda pair: pair[0] != pair[1])),
    st.integers(1, 9),
)
def test_groups_are_what_pairs_connect(pairs: list[tuple[int, int]], size: int) -> None:
    joined = Joined(20)
    for start in range(0, len(pairs), size):
        joined.join(np.array(pairs[start : start + size], np.int64).reshape(-1, 2))
    groups = joined.groups()

    of = {number: group for group in map(tuple, groups) for number in group}
    assert sorted(of) == sorted({number for pair in pairs for number in pair})
    assert all(of[one] == of[other] for one, other in pairs)
    assert all(
        len(group) - 1 <= sum(one in group for one, _ in pairs) for group in groups
    )  # no group is too large


@pytest.mark.parametrize(
    ("taken", "seconds"),
    [
        ("1970-01-01T00:01:05", 65),
        ("1970-01-01T00:01:05+02:00", 65),  # by the clock that wrote it
        ("1970-01-01T00:01", 60),
        ("2021-05-03", None),
        ("2021", None),
        ("yesterday at noon!!", None),
        (5, None),
        (None, None),
    ],
)
def test_a_time_of_day_is_read_by_its_own_clock(taken: object, seconds: float | None) -> None:
    assert seconds_of(taken) == seconds


def test_pictures_of_one_moment_are_alike_and_taken_within_seconds() -> None:
    vectors = np.array([[1, 0], [0.9, 0.436], [0, 1], [1, 0], [1, 0]], np.float32)

    assert same_moments([100, 104.5, 102, 111, None], vectors, within_s=10) == [[0, 1, 3]]
    assert same_moments([100, 104.5, 102, 111, None], vectors, within_s=5) == [[0, 1]]
    assert same_moments([None] * 5, vectors) == []


@given(
    st.lists(st.sampled_from([None, 0.0, 4.0, 9.0, 15.0, 40.0]), min_size=1, max_size=30),
    st.integers(0, 9),
    st.sampled_from([1, 2, 5, 2048]),
)
def test_groups_of_one_moment_are_what_all_pairs_connect(
    seconds: list[float | None], seed: int, block: int
) -> None:
    vectors = unit_rows(len(seconds), 2, seed)
    expected = Joined(len(seconds))
    for one, other in combinations(range(len(seconds)), 2):
        a, b = seconds[one], seconds[other]
        if a is not None and b is not None and abs(a - b) <= 10 and vectors[one] @ vectors[other] >= 0.6:
            expected.join(np.array([[one, other]]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(same_moment, "_BLOCK", block)
        assert same_moments(seconds, vectors, 10) == expected.groups()


def test_each_of_many_pictures_of_one_moment_is_compared_with_the_first_ones_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(same_moment, "_BLOCK", 50)
    compared = []
    unknown = same_moment._unknown

    def counted(*labels: Any) -> Any:
        found = unknown(*labels)
        compared.append(sum(int(some.sum()) * int(others.sum()) for some, others in found))
        return found

    monkeypatch.setattr(same_moment, "_unknown", counted)
    vectors = np.repeat(np.array([[1, 0], [-1, 0]], np.float32), [995, 5], axis=0)

    groups = same_moments([float(number % 7) for number in range(1000)], vectors, 10)

    assert [len(group) for group in groups] == [995, 5]
    assert sum(compared) < 1000 * 50 * 2
