"""Say to people how likely the first hit is right."""

from __future__ import annotations

from retrieval.types import Hits


def sentence(hits: Hits) -> str | None:
    """Word the verdict on the first hit; None where nothing is known of it.

    Where it is known and there are no hits, ``--only`` has left them out.
    """
    if hits.probability is None:
        return None
    share = f"right in {_percent(hits.probability)} of 100 such cases"
    if not hits:
        return f"Nothing here is likely enough (the nearest: {share}); leave out --only to see what comes nearest"
    if hits.verdict == "probably nothing":
        return f"Probably nothing here shows this (the first hit: {share}); these come nearest"
    return f"{str(hits.verdict).capitalize()}: the first hit is {share}"


def _percent(probability: float) -> str:
    """Round to whole per cent, and never to none or all of them."""
    percent = round(100 * probability)
    return "fewer than 1" if percent < 1 else str(min(percent, 99))
