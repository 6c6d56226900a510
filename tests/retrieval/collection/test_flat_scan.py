"""A scan proposes the best rows, whichever library does it: from bytes as they lie in a file, unaligned."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.collection.score import error_bound, exact_scores
from retrieval.collection.stores import flat_scan
from retrieval.collection.stores.flat_scan import best_rows, best_selected, products_of
from tests.builders import unit_rows

Scan = Callable[[NDArray[np.uint8], NDArray[np.float32], int], tuple[NDArray[np.float32], NDArray[np.int64]]]


def mapped(path: Path, rows: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Map rows that lie behind 45 bytes of a file, as a segment's do."""
    path.write_bytes(b"x" * 45 + rows.tobytes())
    return np.asarray(np.memmap(path, np.uint8, "r", 45, (len(rows), 4 * rows.shape[1])))


@pytest.fixture(params=["numpy", "FAISS"])
def scan(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Scan:
    monkeypatch.setattr(flat_scan._numpy, "takes", lambda size: request.param == "numpy")
    return best_rows


@pytest.mark.parametrize("count", [1, 7, 700])
def test_the_best_rows_come_first_with_scores_within_the_bound(
    tmp_path: Path, scan: Scan, count: int
) -> None:
    rows, query = unit_rows(count, seed=1), unit_rows(1, seed=2)
    exact = exact_scores(rows, query[0])
    k = min(5, count)

    scores, numbers = scan(mapped(tmp_path / "rows", rows), query, k)

    bound = error_bound(rows.shape[1])
    assert (np.diff(scores[0]) <= 0).all()
    assert np.abs(scores[0] - exact[numbers[0]]).max() <= bound
    assert len(set(numbers[0])) == k
    assert np.delete(exact, numbers[0]).max(initial=-1) <= scores[0, -1] + bound


@pytest.mark.parametrize("one_in", [1, 3, 700])
def test_some_rows_are_scanned_as_a_file_of_those_alone(tmp_path: Path, scan: Scan, one_in: int) -> None:
    rows, query = unit_rows(700, seed=1), unit_rows(1, seed=2)
    rows[7] = np.nan
    some = np.arange(699, -1, -one_in)[::-1]
    k = min(5, len(some))

    scores, numbers = best_selected(mapped(tmp_path / "rows", rows), some, query, k)

    alone = scan(mapped(tmp_path / "some", rows[some]), query, k)
    assert numbers.tolist() == alone[1].tolist()
    assert scores == pytest.approx(alone[0], abs=error_bound(rows.shape[1]))


def test_rows_that_are_not_numbers_are_never_proposed(tmp_path: Path, scan: Scan) -> None:
    rows = unit_rows(9)
    rows[2:8] = np.nan

    _, numbers = scan(mapped(tmp_path / "rows", rows), unit_rows(1, seed=1), 5)

    assert sorted(numbers[0]) == [-1, -1, 0, 1, 8]


def test_products_of_some_rows_are_theirs_within_the_bound_in_the_order_asked_for(tmp_path: Path) -> None:
    rows, query = unit_rows(300), unit_rows(1, seed=1)[0]
    numbers = np.random.default_rng(2).permutation(300)[:77]

    products = products_of(mapped(tmp_path / "rows", rows), numbers, query)

    assert np.abs(products - exact_scores(rows[numbers], query)).max() <= error_bound(len(query))


def test_a_batch_and_a_query_alone_propose_the_same_rows(tmp_path: Path) -> None:
    rows, queries = unit_rows(300), unit_rows(40, seed=1)
    data = mapped(tmp_path / "rows", rows)

    _, together = best_rows(data, queries, 10)

    alone = [best_rows(data, query[None], 10)[1][0].tolist() for query in queries]
    assert together.tolist() == alone


def test_rows_spread_over_several_blocks_keep_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = unit_rows(50)
    monkeypatch.setattr(flat_scan._numpy, "takes", lambda size: True)
    monkeypatch.setattr(flat_scan, "_BLOCK_BYTES", 4 * rows.shape[1] * 7)

    _, numbers = best_rows(mapped(tmp_path / "rows", rows), rows[33][None], 1)

    assert numbers.tolist() == [[33]]


def test_a_process_imports_faiss_when_numpy_has_scanned_as_much_as_that_is_worth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "faiss", raising=False)
    monkeypatch.setattr(flat_scan, "NUMPY_BYTES", 100)
    scans = flat_scan._Numpy()

    assert [scans.takes(size) for size in (60, 40, 1)] == [True, True, False]


def test_a_process_that_has_imported_faiss_scans_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", ModuleType("faiss"))

    assert not flat_scan._Numpy().takes(1)
