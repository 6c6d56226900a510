"""How far a run is, and who wants to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: indexing, training or evaluating.

    Attributes:
        stage: what is being done, in a word or two.
        done: items finished.
        total: items in all; None where a corpus cannot tell its length cheaply.
        failed: items that could not be taken so far.
        note: what else changes on the way (a loss), in a few words.
    """

    stage: str
    done: int
    total: int | None
    failed: int = 0
    note: str = ""


OnProgress = Callable[[Progress], None]
"""Called as a run goes on."""


def ignore_progress(_: Progress) -> None:
    """Do nothing: for runs that nobody watches."""
