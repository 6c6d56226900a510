"""What the last whole run over each corpus passed over, by what it is; kept in the catalogue's settings."""

from __future__ import annotations

import json
from collections import Counter

from sqlalchemy import Connection, select

from retrieval.collection.schema import settings

LEFT_OUT = "left_out:"
"""Name of a setting, before the id of its source; the value is a JSON object of counts."""

_LIMIT = 2**16  # characters of a value: a collection may come from strangers


def read_left_out(connection: Connection) -> dict[str, int]:
    """Counts by kind, summed over all corpora; a setting that is damaged counts nothing."""
    names = settings.c.name
    total: Counter[str] = Counter()
    for value in connection.execute(select(settings.c.value).where(names.startswith(LEFT_OUT))).scalars():
        total.update(_counts(value))
    return dict(sorted(total.items()))


def _counts(value: object) -> dict[str, int]:
    if not isinstance(value, str) or len(value) > _LIMIT:
        return {}
    try:
        counts = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(counts, dict):
        return {}
    return {kind: n for kind, n in counts.items() if type(n) is int and 0 < n < 2**63}
