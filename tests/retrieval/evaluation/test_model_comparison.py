"""Several models side by side."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.errors import EvaluationError
from retrieval.evaluation.comparison import compare_models
from retrieval.evaluation.significance import holm
from tests.retrieval.evaluation.small_sets import evaluation_of, five_each, random_units, set_of


def test_every_pair_direction_and_k_is_compared_and_corrected_over_all() -> None:
    texts = random_units(100, seed=1)
    models = {name: (random_units(20, seed=n), texts) for n, name in enumerate("abc", 2)}

    rows = evaluation_of(five_each(20), models).comparisons

    assert {(row.first, row.second) for row in rows} == {("a", "b"), ("a", "c"), ("b", "c")}
    assert [row.figure for row in rows[:4]] == [
        f"{direction}, hit rate@{k}" for direction in ("text to image", "image to text") for k in (1, 5)
    ]
    assert len(rows) == 12
    assert [row.corrected for row in rows] == holm(np.array([row.p for row in rows])).tolist()


def test_a_perfect_model_is_significantly_better_than_chance_and_equal_models_never_differ() -> None:
    owners = random_units(40)
    perfect = owners, owners.repeat(5, axis=0)
    chance = owners, random_units(200, seed=1)

    rows = evaluation_of(five_each(40), {"chance": chance, "perfect": perfect, "same": perfect}).comparisons

    better, same = rows[0], rows[-1]
    assert better.difference > 0.5
    assert better.corrected < 0.01
    assert (same.difference, same.p, same.corrected) == (0, 1, 1)


def test_models_on_different_queries_are_not_compared() -> None:
    one = evaluation_of(five_each(20), {"a": (random_units(20), random_units(100))}).models[0].figures
    other = evaluation_of(set_of([(0, 0)], 5, 9), {"b": (random_units(5), random_units(9))}).models[0].figures

    with pytest.raises(EvaluationError, match="a and b were not evaluated on the same queries"):
        compare_models({"a": one, "b": other})
