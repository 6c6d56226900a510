"""An inverted file's proposals against a search of its cells in plain numpy, and searches beside it that stay exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.collection.accelerators import coded_lists, inverted_file
from retrieval.collection.accelerators.balance import Balance, fit_balance, fit_isotropic, paired_axes
from retrieval.collection.accelerators.coded_lists import Selection
from retrieval.collection.accelerators.coded_rows import CodedRows, build_coded_rows
from retrieval.collection.accelerators.inverted_file import InvertedFile, SearchParameters
from tests.builders import unit_rows

ROWS, DIMENSION = 600, 16
Rows = NDArray[np.float32]


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    return unit_rows(ROWS, DIMENSION, seed=5)


@pytest.fixture(scope="module")
def coded(vectors: NDArray[np.float32]) -> CodedRows:
    ids = np.arange(ROWS, dtype=np.int64) * 2 + 11
    return build_coded_rows(lambda: [vectors], ids, unit_rows(100, DIMENSION, seed=6))


@pytest.fixture(scope="module")
def inverted(coded: CodedRows) -> InvertedFile:
    return InvertedFile(coded)


def cells_in_order(coded: CodedRows, query: NDArray[np.float32], weight: float) -> NDArray[np.int64]:
    mapped = coded.balance.map_queries(query[None])[0].astype(np.float64)
    means, radii = (values.astype(np.float16).astype(np.float64) for values in (coded.means, coded.radii))
    order = means @ mapped + weight * np.linalg.norm(mapped) * radii
    return np.argsort(-order, kind="stable")


def ids_of_cells(coded: CodedRows, cells: NDArray[np.int64]) -> set[int]:
    ends = np.cumsum(coded.sizes)
    return {
        int(one) for cell in cells.tolist() for one in coded.ids[ends[cell] - coded.sizes[cell] : ends[cell]]
    }


@settings(max_examples=30)
@given(st.integers(0, 999), st.integers(1, 40), st.sampled_from([0.0, 0.3, 1.0]))
def test_all_vectors_of_the_cells_that_come_first_are_proposed_where_all_are_asked_for(
    coded: CodedRows, inverted: InvertedFile, seed: int, cells: int, weight: float
) -> None:
    query = unit_rows(1, DIMENSION, seed)[0]

    found = inverted.propose(query, SearchParameters(cells, ROWS, weight))

    assert set(found.tolist()) == ids_of_cells(coded, cells_in_order(coded, query, weight)[:cells])


@settings(max_examples=30)
@given(st.integers(0, 999), st.integers(1, 60), st.integers(1, 700))
def test_proposals_are_different_vectors_of_the_visited_cells_and_no_more_than_asked_for(
    coded: CodedRows, inverted: InvertedFile, seed: int, cells: int, rescored: int
) -> None:
    query = unit_rows(1, DIMENSION, seed)[0]

    found = inverted.propose(query, SearchParameters(cells, rescored, 0.3)).tolist()

    visited = ids_of_cells(coded, cells_in_order(coded, query, 0.3)[:cells])
    assert len(set(found)) == len(found) == min(rescored, len(visited))
    assert set(found) <= visited


@settings(max_examples=30)
@given(st.integers(0, 999), st.integers(1, 60), st.integers(1, 700), st.integers(1, 40))
def test_of_selected_vectors_those_of_the_visited_cells_alone_are_proposed(
    coded: CodedRows, inverted: InvertedFile, seed: int, cells: int, rescored: int, one_in: int
) -> None:
    query = unit_rows(1, DIMENSION, seed)[0]
    ids = np.sort(coded.ids)[::one_in]
    parameters = SearchParameters(cells, rescored, 0.3)

    selection = inverted.select(np.append(ids, 10**6))
    found = inverted.propose_some(query, parameters, selection)
    in_lists_of_all = inverted.propose_some(query, parameters, select_in_lists_of_all(inverted, ids))

    assert found.scores == pytest.approx(in_lists_of_all.scores)
    order = cells_in_order(coded, query, 0.3)
    held = [len(ids_of_cells(coded, order[at : at + 1]) & set(ids.tolist())) for at in range(len(order))]
    assert selection.in_cell[order].tolist() == held
    assert len(set(found.ids.tolist())) == len(found.ids) >= min(rescored, sum(held[:cells]))
    assert set(found.ids.tolist()) <= set(ids.tolist())
    assert (np.diff(found.scores) <= 0).all()


def select_in_lists_of_all(inverted: InvertedFile, ids: NDArray[np.int64]) -> Selection:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(inverted_file, "OWN_LISTS_BYTES", 0)
        selection = inverted.select(ids)
    assert selection.lists is inverted._lists
    return selection


def test_more_cells_are_visited_where_the_first_ones_hold_none_that_are_selected(
    coded: CodedRows, inverted: InvertedFile
) -> None:
    query = unit_rows(1, DIMENSION, seed=3)[0]
    order = cells_in_order(coded, query, 0.3)
    selection = inverted.select(np.array(sorted(ids_of_cells(coded, order[20:])), np.int64))

    found = inverted.propose_some(query, SearchParameters(10, 50, 0.3), selection)
    refused = inverted.propose_some(query, SearchParameters(10, 50, 0.3), selection, most_codes=100)

    assert len(found.ids) == 50
    assert len(refused.ids) == 0


@pytest.mark.parametrize("rows", [1, 50])
def test_cells_packed_some_at_a_time_answer_as_all_of_them_together(
    coded: CodedRows, inverted: InvertedFile, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coded_lists, "_PACKED_ROWS", rows)
    parameters = SearchParameters(inverted.cells // 2, 100, 0.3)

    again = InvertedFile(coded)

    for query in unit_rows(10, DIMENSION, seed=7):
        assert np.array_equal(again.propose(query, parameters), inverted.propose(query, parameters))


@settings(max_examples=20)
@given(st.integers(0, 999))
def test_a_third_of_all_vectors_holds_the_best_ten(
    vectors: NDArray[np.float32], coded: CodedRows, inverted: InvertedFile, seed: int
) -> None:
    query = unit_rows(1, DIMENSION, seed)[0]
    best = np.argsort(-(vectors @ query))[:10] * 2 + 11

    found = inverted.propose(query, SearchParameters(inverted.cells, ROWS // 3, 0.3))

    assert np.isin(best, found).mean() >= 0.9


def test_cells_are_means_with_the_root_mean_square_distance_of_their_vectors(
    vectors: NDArray[np.float32], coded: CodedRows
) -> None:
    balanced = dict(zip((np.arange(ROWS) * 2 + 11).tolist(), coded.balance.map_stored(vectors), strict=True))
    ends = np.cumsum(coded.sizes)

    for cell, size in enumerate(coded.sizes.tolist()):
        if size:
            own = np.stack([balanced[one] for one in coded.ids[ends[cell] - size : ends[cell]].tolist()])
            assert coded.means[cell] == pytest.approx(own.mean(0), abs=1e-4)
            spread = ((own - own.mean(0)) ** 2).sum(1).mean()
            assert coded.radii[cell] == pytest.approx(np.sqrt(spread), abs=1e-3)


@settings(max_examples=15)
@given(st.integers(0, 99), st.integers(4, 24), st.integers(0, 3))
def test_balanced_inner_products_differ_from_plain_ones_by_a_constant_of_the_query(
    seed: int, d: int, more: int
) -> None:
    rows, queries = unit_rows(200 + more, d, seed), unit_rows(60, d, seed + 1)
    balance = fit_balance(rows, queries, d)

    shift = balance.map_queries(queries) @ balance.map_stored(rows).T - queries @ rows.T

    assert balance.rank == d
    assert np.ptp(shift, axis=1) == pytest.approx(0, abs=2e-3)


@settings(max_examples=10)
@given(st.integers(0, 99), st.integers(2, 15), st.sampled_from([fit_balance, fit_isotropic]))
def test_fewer_components_keep_fewer_and_equal_vectors_give_the_same_maps(
    seed: int, rank: int, fit: Callable[[Rows, Rows, int], Balance]
) -> None:
    rows, queries = unit_rows(200, 16, seed), unit_rows(60, 16, seed + 1)

    one, again = fit(rows, queries, rank), fit(rows, queries, rank)

    assert one.rank == rank
    assert one.map_stored(rows).shape == (200, rank)
    assert np.array_equal(one.stored_map, again.stored_map)
    assert np.isfinite(one.query_map).all()


def test_isotropic_queries_are_as_long_in_every_direction() -> None:
    queries = unit_rows(5000, 16, 1) * np.linspace(0.2, 2, 16, dtype=np.float32)
    rows = unit_rows(200, 16, 2) * np.float32(0.01)  # too short to count in the queries' second moment

    asked = fit_isotropic(rows, queries, 16).map_queries(queries)

    squared = np.linalg.eigvalsh(asked.T @ asked / len(asked))
    assert squared.max() < 6 * squared.min()  # of 100 times before: a tenth is added to every direction


@given(st.integers(0, 99))
def test_paired_axes_are_orthonormal_and_pair_the_strongest_with_the_weakest(seed: int) -> None:
    rows = np.multiply(unit_rows(300, 8, seed), np.arange(1, 9), dtype=np.float32)

    axes = paired_axes(rows)

    assert axes.T @ axes == pytest.approx(np.eye(8), abs=1e-5)
    moments = ((rows @ axes) ** 2).mean(0)
    assert moments[0::2].tolist() == sorted(moments[0::2], reverse=True)
    assert moments[1::2].tolist() == sorted(moments[1::2])
    assert moments[0::2].min() >= moments[1::2].max() - 1e-5


def test_codes_along_paired_axes_of_isotropic_queries_err_less_in_score_than_balanced_ones_turned_at_random() -> (
    None
):
    rng = np.random.default_rng(3)
    stored = rng.standard_normal((4000, 16), np.float32) * np.geomspace(1, 0.05, 16, dtype=np.float32)
    queries = rng.standard_normal((500, 16), np.float32) * np.geomspace(1, 0.1, 16, dtype=np.float32)
    turned = np.linalg.qr(rng.standard_normal((16, 16)))[0].astype(np.float32)
    balanced, isotropic = fit_balance(stored, queries, 16), fit_isotropic(stored, queries, 16)

    paired = isotropic.turned(paired_axes(isotropic.map_stored(stored)))

    assert error_of_scores(paired, stored, queries) < 0.8 * error_of_scores(
        balanced.turned(turned), stored, queries
    )


def error_of_scores(balance: Balance, stored: Rows, queries: Rows) -> float:
    """Standard deviation of what coding two components a part takes from or adds to a score."""
    mapped = balance.map_stored(stored)
    codec: Any = faiss.ProductQuantizer(16, 8, 4)
    codec.train(mapped)
    lost = codec.decode(codec.compute_codes(mapped)) - mapped
    return float((balance.map_queries(queries) @ lost.T).std())
