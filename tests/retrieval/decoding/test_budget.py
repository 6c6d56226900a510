"""The memory of a run: divided so that no share is too small, and never more than there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.decoding import budget
from retrieval.decoding.budget import LEAST_BUDGET_BYTES, PROCESS_BYTES, default_budget, divide

MIB, GIB = 2**20, 2**30
BUDGETS = st.integers(LEAST_BUDGET_BYTES, 2**42)
WORKERS = st.integers(1, 200)


@given(BUDGETS, WORKERS)
def test_a_division_never_gives_away_more_than_the_budget(total: int, workers: int) -> None:
    found = divide(total, workers)

    kept = total - min(total // 4, GIB)
    assert found.budget == total
    assert found.workers * found.share <= kept
    assert found.alone + (found.workers - 1) * PROCESS_BYTES <= kept


@given(BUDGETS, WORKERS)
def test_there_are_as_many_workers_as_asked_for_or_as_have_256_mib_each(total: int, workers: int) -> None:
    found = divide(total, workers)

    assert 1 <= found.workers <= workers
    assert found.share >= 256 * MIB
    if found.workers < workers:
        assert (total - min(total // 4, GIB)) // (found.workers + 1) < 256 * MIB


@given(BUDGETS, WORKERS)
def test_one_picture_alone_may_take_at_least_what_it_may_take_beside_others(total: int, workers: int) -> None:
    found = divide(total, workers)

    assert found.alone >= found.share


@given(BUDGETS, WORKERS, st.integers(0, 2**40))
def test_more_memory_never_means_fewer_workers_or_smaller_shares_for_as_many(
    total: int, workers: int, more: int
) -> None:
    less, richer = divide(total, workers), divide(total + more, workers)

    assert richer.workers >= less.workers
    assert richer.alone + richer.workers * PROCESS_BYTES >= less.alone + less.workers * PROCESS_BYTES
    if richer.workers == less.workers:
        assert richer.share >= less.share


def test_the_smallest_budget_has_three_workers_at_most() -> None:
    assert [divide(GIB, workers).workers for workers in (1, 2, 3, 9)] == [1, 2, 3, 3]


def test_the_default_is_a_quarter_of_this_machine_and_at_least_1_gib() -> None:
    assert default_budget() >= GIB


@pytest.mark.parametrize(
    ("physical", "limits", "expected"),
    [
        (64 * GIB, [], 16 * GIB),
        (64 * GIB, [8 * GIB], 2 * GIB),
        (64 * GIB, [8 * GIB, 32 * GIB], 2 * GIB),
        (2 * GIB, [], GIB),
        (64 * GIB, [512 * MIB], GIB),
        (8 * GIB, [2**63 - 4096], 2 * GIB),
    ],
)
def test_the_least_of_the_machines_memory_and_its_control_groups_counts(
    physical: int, limits: list[int], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "_physical", lambda: physical)
    monkeypatch.setattr(budget, "_group_limits", lambda: limits)

    assert default_budget() == expected


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("1073741824\n", [GIB]),
        ("max\n", []),
        ("0\n", []),
        ("-1\n", []),
        ("", []),
        ("1e9\n", []),
        ("\u0661\n", []),
    ],
)
def test_the_limit_of_a_control_group_is_a_whole_number_of_bytes_or_none(
    content: str, found: list[int], tmp_path: Path
) -> None:
    (tmp_path / "memory.max").write_text(content, encoding="utf-8")

    assert budget._read_limit(tmp_path / "memory.max") == found
    assert budget._read_limit(tmp_path / "not there") == []
