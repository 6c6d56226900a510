"""Compare several models: every pair and hit rate, tested on the same queries and corrected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np

from retrieval.errors import EvaluationError
from retrieval.evaluation.figures import Figures
from retrieval.evaluation.metrics import hits_at_k
from retrieval.evaluation.significance import Comparison, holm, sign_flip_p


def compare_models(figures: Mapping[str, Figures], seed: int = 0) -> list[Comparison]:
    """Compute the differences of hit rates between every two models, with p values corrected over all of them (Holm).

    Args:
        figures: by model, of the same evaluation set and cuts.
        seed: of the permutation test.

    Raises:
        EvaluationError: the models were evaluated on different queries or cuts.
    """
    found: list[Comparison] = []
    for first, second in combinations(figures, 2):
        one, other = figures[first], figures[second]
        for direction, measured in one.directions.items():
            against = other.directions.get(direction)
            cuts = [rate.k for rate in measured.hit_rates]
            if (
                against is None
                or cuts != [rate.k for rate in against.hit_rates]
                or not np.array_equal(measured.query_rows, against.query_rows)
            ):
                raise EvaluationError(
                    f"{first} and {second} were not evaluated on the same queries; evaluate both again"
                )
            values = [
                np.stack([hits_at_k(ranks, k) for k in cuts], axis=1).astype(np.float64)
                for ranks in (measured.ranks, against.ranks)
            ]
            p_values = sign_flip_p(values[0], values[1], measured.group, seed=seed)
            for k, p, mine, theirs in zip(
                cuts, p_values.tolist(), measured.hit_rates, against.hit_rates, strict=True
            ):
                difference = theirs.rate.value - mine.rate.value
                found.append(Comparison(first, second, f"{direction}, hit rate@{k}", difference, p))
    corrected = holm(np.array([comparison.p for comparison in found]))
    return [replace(comparison, corrected=p) for comparison, p in zip(found, corrected.tolist(), strict=True)]
