"""Spherical k-means: the groups that are there, the same each time, the largest first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.analysis import kmeans
from retrieval.analysis.kmeans import centred, choose_count, simplified_silhouette, spherical_kmeans
from tests.builders import unit_rows

SIZES = (70, 50, 40, 30, 20, 10)


def groups(sizes: tuple[int, ...] = SIZES) -> NDArray[np.float32]:
    """Rows around far apart directions."""
    around = np.repeat(unit_rows(len(sizes), 32), sizes, axis=0) + 0.15 * unit_rows(sum(sizes), 32, 1)
    return np.asarray(around / np.linalg.norm(around, axis=1, keepdims=True), np.float32)


def test_groups_that_lie_apart_are_found_the_largest_first() -> None:
    labels, centres = spherical_kmeans(centred(groups()), len(SIZES))

    assert labels.tolist() == np.repeat(np.arange(len(SIZES)), SIZES).tolist()
    assert np.linalg.norm(centres, axis=1) == pytest.approx(1, abs=1e-5)


def test_their_number_is_found_too() -> None:
    assert choose_count(centred(groups())) == len(SIZES)


@given(st.integers(1, 60), st.integers(1, 40), st.integers(0, 5))
def test_every_row_is_in_the_group_of_its_nearest_centre_and_no_group_is_empty(
    count: int, wanted: int, seed: int
) -> None:
    rows = centred(unit_rows(count, 8, seed))

    labels, centres = spherical_kmeans(rows, wanted)

    sizes = np.bincount(labels, minlength=len(centres))
    assert 1 <= len(centres) <= min(count, wanted)
    assert (sizes > 0).all()
    assert (np.diff(sizes) <= 0).all()


def test_the_same_rows_give_the_same_groups_bit_for_bit() -> None:
    rows = centred(unit_rows(300, 32))

    first, again = spherical_kmeans(rows, 12), spherical_kmeans(rows.copy(), 12)

    assert first[0].tolist() == again[0].tolist()
    assert first[1].tobytes() == again[1].tobytes()


def test_equal_rows_are_one_group() -> None:
    rows = centred(np.repeat(unit_rows(1), 20, axis=0))

    assert spherical_kmeans(rows, 5)[0].tolist() == [0] * 20
    assert choose_count(rows) == 4  # all of which are one


def test_a_start_on_a_sample_finds_the_same_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans, "_SAMPLE", 60)

    assert spherical_kmeans(centred(groups()), 6)[0].tolist() == np.repeat(np.arange(6), SIZES).tolist()


def test_the_silhouette_is_the_mean_over_rows_of_how_much_nearer_the_own_centre_is() -> None:
    rows = unit_rows(40, 8)
    labels, centres = spherical_kmeans(rows, 4)
    expected = []
    for row, label in zip(rows, labels, strict=True):
        far = [1 - float(row @ centre) for centre in centres]
        own = far.pop(label)
        expected.append((min(far) - own) / max(min(far), own))

    assert simplified_silhouette(rows, labels, centres) == pytest.approx(np.mean(expected), abs=1e-5)
    assert simplified_silhouette(rows, labels, centres[:1]) == -1


def test_a_row_at_the_mean_becomes_zeros_and_breaks_nothing() -> None:
    one = unit_rows(1)
    rows = centred(np.concatenate([one, -one, np.zeros_like(one)]))

    assert rows[2].tolist() == [0] * 16
    assert np.isfinite(spherical_kmeans(rows, 3)[1]).all()
