"""Keywords that public functions hand on as one value: which they take, and what None stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def checked_keywords(given: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Give the keywords of a call, without those that are None, which stands for the default.

    Args:
        given: the keywords.
        known: which the function takes.

    Raises:
        TypeError: it does not take one of them.
    """
    if unknown := sorted(given.keys() - known):
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}; options are {', '.join(sorted(known))}")
    return {name: value for name, value in given.items() if value is not None}
