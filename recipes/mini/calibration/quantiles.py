"""Quantile regression: what all but a share of some values reach, as a linear function of what is known of each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_WIDTH = 0.15  # over which the corner of the loss is rounded, in units of the values
_SHRINKAGE = 1e-4
_STEPS = 100

Values = NDArray[np.float64]


def quantile_regression(known: Values, values: Values, weights: Values, share: float) -> Values:
    """Fit coefficients of ``known`` so that a weighted share of the values is below its product with them.

    The pinball loss (Koenker & Bassett 1978) rounded by a logistic kernel, which Newton's method minimises (He et al.,
    "Smoothed quantile regression with large-scale inference", 2021).

    Args:
        known: (n, terms), the last of which is constant.
        values: (n,).
        weights: (n,), of mean 1.
        share: in (0, 1).
    """
    shrinkage = _SHRINKAGE * len(values) * np.r_[np.ones(known.shape[1] - 1), 1e-2]
    found: Values = np.zeros(known.shape[1])
    found[-1] = np.quantile(values, share)
    for _ in range(_STEPS):
        below = 1 / (1 + np.exp(-np.clip((known @ found - values) / _WIDTH, -50, 50)))
        gradient = known.T @ (weights * (below - share)) + shrinkage * np.r_[found[:-1], 0]
        curvature = (known * (weights * below * (1 - below) / _WIDTH)[:, None]).T @ known + np.diag(shrinkage)
        step = np.linalg.solve(curvature, gradient)
        found = found - step * min(1.0, 1 / float(np.abs(step).max()))
        if np.abs(step).max() < 1e-6:
            break
    return found
