"""Points in a plane: inside the unit square, the same each time, and what is alike lies together."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.analysis import plane
from retrieval.analysis.plane import FEWEST, MapMethod, lay_out, method_for, principal_components
from retrieval.errors import MissingExtra
from tests.builders import unit_rows

METHODS = pytest.mark.parametrize("method", ["tsne", "pca"])


def groups(count: int, members: int, seed: int = 0) -> NDArray[np.float32]:
    """Rows around far apart directions, one group after the other."""
    rows = np.repeat(unit_rows(count, 32, seed), members, axis=0) + 0.1 * unit_rows(
        count * members, 32, seed + 1
    )
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@METHODS
@pytest.mark.parametrize("count", [1, 2, 3, 12, 40])
def test_any_number_of_rows_becomes_as_many_points_in_the_unit_square(count: int, method: MapMethod) -> None:
    points = lay_out(unit_rows(count), method if count > 3 else "pca")

    assert points.shape == (count, 2)
    assert points.dtype == np.float32
    assert np.isfinite(points).all()
    assert points.min() >= 0
    assert points.max() <= 1


@METHODS
def test_equal_rows_do_not_break_it(method: MapMethod) -> None:
    points = lay_out(np.repeat(unit_rows(1), 30, axis=0), method)

    assert np.isfinite(points).all()


def test_no_rows_give_no_points() -> None:
    assert lay_out(np.empty((0, 16), np.float32), "tsne").shape == (0, 2)


@METHODS
def test_the_same_rows_give_the_same_points_bit_for_bit(method: MapMethod) -> None:
    rows = groups(4, 30)

    assert lay_out(rows, method).tobytes() == lay_out(rows.copy(), method).tobytes()


def test_the_nearest_point_of_nearly_each_is_of_its_own_group() -> None:
    points = lay_out(groups(5, 40), "tsne")

    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    own = np.arange(200) // 40
    assert (own[apart.argmin(axis=1)] == own).mean() > 0.95


def test_rows_beyond_the_most_lie_beside_their_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane, "MOST", 60)

    points = lay_out(groups(3, 60), "tsne")

    centres = points.reshape(3, 60, 2).mean(axis=1)
    nearest = np.linalg.norm(points[:, None] - centres[None], axis=2).argmin(axis=1)
    assert (nearest == np.arange(180) // 60).mean() > 0.95


def test_principal_components_are_those_of_a_singular_value_decomposition() -> None:
    rows = unit_rows(50)
    centred = rows - rows.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)

    found = principal_components(rows, 3)

    assert np.abs(found) == pytest.approx(np.abs(left[:, :3] * values[:3]), abs=1e-4)


def test_few_rows_and_rows_without_the_extra_are_laid_out_by_pca(monkeypatch: pytest.MonkeyPatch) -> None:
    assert method_for(FEWEST, None) == "tsne"
    assert method_for(FEWEST - 1, "tsne") == "pca"
    assert method_for(FEWEST, "pca") == "pca"

    monkeypatch.setattr(plane, "is_installed", lambda extra: False)

    assert method_for(FEWEST, None) == "pca"


def test_tsne_without_the_extra_is_refused_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("retrieval.extras.is_installed", lambda extra: False)

    with pytest.raises(MissingExtra, match=r"the map by t-SNE needs .* pip install 'vlsearch\[map\]'"):
        method_for(FEWEST, "tsne")
