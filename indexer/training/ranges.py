"""Ranges of a run's settings, checked for calls from Python and the command line alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from retrieval.errors import UsageError

SMALLEST = 1e-9
"""Stands for what must only be more than 0, or less than 1."""


def check_ranges(settings: object, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Refuse a number out of its range, and what is not a finite number; None is not a number and passes.

    Args:
        settings: has an attribute of each name in ``ranges``.
        ranges: lowest and highest value, both allowed.

    Raises:
        UsageError: names the setting, its value and its range.
    """
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            shown = name.replace("_", "-")
            upper = "" if high == math.inf else f" to {high}"
            raise UsageError(f"{shown} is {value}, and must be a number from {low}{upper}")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Refuse a name that is not on the list.

    Raises:
        UsageError: names the setting, its value and the list.
    """
    if value not in choices:
        raise UsageError(f"{name} is {value!r}, and must be one of {', '.join(choices)}")
