"""What schemathesis is told of the server: ids that there are, so that half of its requests get past the checks."""

from __future__ import annotations

from typing import Any

import schemathesis

ITEMS = 13  # of the collection that is served
RARELY_RIGHT = ("collection", "generation", "where", "upload", "only", "min_score", "key", "crop")


def _plausible(given: Any) -> Any:
    """Give every second value with ids that exist, and without what random texts never name."""
    if isinstance(given, list):
        return [_plausible(one) for one in given]
    if not isinstance(given, dict) or len(repr(given)) % 2:
        return given
    kept = {name: _existing(name, value) for name, value in given.items() if name not in RARELY_RIGHT}
    if kept.get("item") is not None:  # a part is one thing
        kept.pop("text", None)
    return kept


def _existing(name: str, value: Any) -> Any:
    if name in ("item", "id", "before", "unlike") and isinstance(value, int):
        return value % ITEMS + 1
    if name in ("items", "unlike") and isinstance(value, list):
        return [one % ITEMS + 1 if isinstance(one, int) else one for one in value]
    return _plausible(value)


@schemathesis.hook  # type: ignore[untyped-decorator]  # it may not be installed
def map_body(context: Any, body: Any) -> Any:
    """Make bodies plausible."""
    return _plausible(body)


@schemathesis.hook  # type: ignore[untyped-decorator]  # it may not be installed
def map_query(context: Any, query: Any) -> Any:
    """Make parameters plausible."""
    return _plausible(query)


@schemathesis.hook  # type: ignore[untyped-decorator]  # it may not be installed
def map_path_parameters(context: Any, path_parameters: Any) -> Any:
    """Make ids of paths plausible."""
    return _plausible(path_parameters)
