"""Weighted sums of unit vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.errors import QueryError
from retrieval.query.compose import compose

WEIGHTS = st.floats(min_value=-99, max_value=99).filter(lambda weight: abs(weight) >= 0.01)


def unit_rows(seed: int, count: int, dimension: int = 8) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, dimension))
    unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


@given(st.integers(0, 2**32 - 1), WEIGHTS)
def test_a_single_part_keeps_every_bit_of_the_encoders_vector(seed: int, weight: float) -> None:
    rows = unit_rows(seed, 1)

    composed = compose(rows, [weight])

    assert composed.tobytes() == (rows[0] if weight > 0 else -rows[0]).tobytes()


def test_two_parts_of_equal_weight_meet_half_way() -> None:
    rows = np.eye(2, dtype=np.float32)

    assert compose(rows, [1, 1]) == pytest.approx([2**-0.5, 2**-0.5], abs=1e-7)


def test_a_negative_weight_turns_the_sum_away() -> None:
    rows = np.array([[1, 0], [0.6, 0.8]], np.float32)

    assert compose(rows, [1, -1]) == pytest.approx(np.array([0.4, -0.8]) / np.hypot(0.4, 0.8), abs=1e-7)


@given(st.integers(0, 2**32 - 1), st.lists(WEIGHTS, min_size=2, max_size=5))
def test_a_sum_is_a_unit_float32_vector_in_the_direction_of_the_plain_sum(
    seed: int, weights: list[float]
) -> None:
    rows = unit_rows(seed, len(weights))
    plain = sum(weight * row.astype(float) for weight, row in zip(weights, rows, strict=True))
    assume(np.linalg.norm(plain) > 0.01)

    composed = compose(rows, weights)

    assert composed.dtype == np.float32
    assert np.linalg.norm(composed.astype(float)) == pytest.approx(1, abs=1e-6)
    assert composed == pytest.approx(plain / np.linalg.norm(plain), abs=1e-6)


@given(st.integers(0, 2**32 - 1), st.lists(WEIGHTS, min_size=2, max_size=4), st.integers(-20, 20))
def test_doubling_all_weights_changes_no_bit(seed: int, weights: list[float], power: int) -> None:
    rows = unit_rows(seed, len(weights))
    assume(np.linalg.norm(np.asarray(weights) @ rows.astype(float)) > 0.01)

    scaled = compose(rows, [weight * 2.0**power for weight in weights])

    assert scaled.tobytes() == compose(rows, weights).tobytes()


def test_weights_of_any_size_do_not_overflow() -> None:
    rows = np.eye(2, dtype=np.float32)

    assert compose(rows, [1e308, 1e308]) == pytest.approx([2**-0.5, 2**-0.5], abs=1e-7)


@pytest.mark.parametrize("noise", [0, 1e-7])
def test_parts_that_cancel_each_other_out_say_so(noise: float) -> None:
    rows = unit_rows(1, 1)

    with pytest.raises(QueryError, match="cancel"):
        compose(np.concatenate([rows, rows + np.float32(noise)]), [1, -1])
