"""What was asked of a collection's accelerators, and what none of them reached; kept in the catalogue's settings."""

from __future__ import annotations

import json
from typing import NamedTuple

from retrieval.collection.statement import ReadConnection, Select, Setting
from retrieval.types import KINDS, Kind

ASKED = "accelerators"
"""The setting's name; its value is :data:`SCAN`, or the recall that was asked for, in decimals."""

SCAN = "scan"
"""No accelerators: searches are to scan all vectors."""

MISSED = "missed_recall:"
"""The setting's name, and a kind; its value is a JSON list, as :class:`MissedRecall` has its fields."""


class MissedRecall(NamedTuple):
    """A recall that no accelerator of a kind has reached.

    Attributes:
        recall: that was asked for.
        encoder_id: of the vectors, in the catalogue.
        rows: vectors that there were.
    """

    recall: float
    encoder_id: int
    rows: int


def asked_recall(connection: ReadConnection) -> float | None:
    """Read the recall that was last asked for, above 0 and below 1; None if none was, or a value not ours is there."""
    value = _read(connection, ASKED)
    try:
        recall = float(value or "")
    except ValueError:
        return None
    return recall if 0 < recall < 1 else None


def scans_as_asked(connection: ReadConnection) -> bool:
    """Whether searches are to scan all vectors, because that was asked for."""
    return _read(connection, ASKED) == SCAN


def missed_recall(connection: ReadConnection, kind: Kind) -> MissedRecall | None:
    """Read which recall the accelerators of a kind have missed last; None if none, or a value not ours is there."""
    try:
        recall, encoder_id, rows = json.loads(_read(connection, f"{MISSED}{kind}") or "null")
        return MissedRecall(float(recall), int(encoder_id), int(rows))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def why_scanned(connection: ReadConnection, encoder_id: int | None) -> dict[Kind, str]:
    """Say of the kinds that no accelerator is wanted or possible for why their vectors are all scanned."""
    if scans_as_asked(connection):
        return dict.fromkeys(KINDS, "optimize --scan was asked for")
    missed = {kind: missed_recall(connection, kind) for kind in KINDS}
    return {
        kind: f"no accelerator finds {one.recall:.1%} of the exact 10 best of {one.rows:,} vectors"
        for kind, one in missed.items()
        if one is not None and one.encoder_id == encoder_id
    }


def _read(connection: ReadConnection, name: str) -> str | None:
    settings = _SETTING.rows(connection, name)
    return settings[0].value if settings else None


_SETTING = Select(Setting, "SELECT name, value FROM settings WHERE name = ?")
