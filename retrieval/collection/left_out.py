"""Counts, by kind, of what the last whole run over each corpus skipped; kept in the catalogue's settings."""

from __future__ import annotations

import json
from collections import Counter

from retrieval.collection.statement import ReadConnection, Select, Setting

LEFT_OUT = "left_out:"
"""Prefix of the setting's name, followed by the corpus id; the setting's value is a JSON object of counts."""

_LIMIT = 2**16  # characters of a value: a collection may come from strangers


def read_left_out(connection: ReadConnection) -> dict[str, int]:
    """Read counts by kind, summed over all corpora; a setting that is not JSON counts nothing."""
    total: Counter[str] = Counter()
    for setting in _SETTINGS.rows(connection, len(LEFT_OUT), LEFT_OUT):
        total.update(counts_in(setting.value))
    return dict(sorted(total.items()))


_SETTINGS = Select(Setting, "SELECT name, value FROM settings WHERE substr(name, 1, ?) = ?")


def counts_in(value: str) -> dict[str, int]:
    """Read the counts in the value of a setting; what is not JSON of counts counts nothing."""
    if len(value) > _LIMIT:
        return {}
    try:
        counts = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(counts, dict):
        return {}
    return {kind: n for kind, n in counts.items() if type(n) is int and 0 < n < 2**63}
